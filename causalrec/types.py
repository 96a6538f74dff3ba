"""Shapes and carriers that every room shares.

Legend of shape letters: `B` batch, `N` log rows, `U` users, `I` items, `D` width, `F` features, `K` cut-off,
`L` tokens, `H` history length, `R` replicates (of a bootstrap, or of a packed model).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType

import numpy as np
import numpy.typing as npt
from pydantic import Field

if TYPE_CHECKING:  # the command line answers without importing torch
    from torch import Tensor

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.floating[Any]]  # as a file holds them, 16, 32 or 64 bits
Bools = npt.NDArray[np.bool_]

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
TensorPath = tuple[str, ...]  # where a tensor lies in a batch

OutcomeKind = Literal["rating", "click", "watch_ratio", "count", "reward", "class"]  # class: one of 0, 1, .. in order
Feedback = Literal["explicit", "exposure_logged", "positive_only"]
Space = str  # kind of rows that an objective averages over and a sampler draws: logged, all_pairs, triples, or another
Link = Literal["identity", "logit", "log", "softmax"]
Estimand = Literal["exposed_mean", "effect"]
PropensityKind = Literal[
    "exposure", "relative exposure", "examination", "logged", "treatment"
]  # of what a propensity is the probability

UNLOGGED_TIME = 1 << 62  # a time after every other

Role = NewType("Role", str)
OUTCOME = Role("outcome")
PROPENSITY = Role("propensity")
IMPUTATION = Role("imputation")
USER_ONLY = Role("user_only")  # a network that reads the user alone
ITEM_ONLY = Role("item_only")  # a network that reads the item alone
REPRESENTATION = Role("representation")
EFFECT = Role("effect")  # a network of effects, in the outcome's unit
ARMS = Role("arms")  # of a head: the outcome under each treatment
EPSILON = Role("epsilon")  # of a head: the step of targeted regularisation


def nuisance(half: int) -> Role:
    """Name the role of the outcomes under each treatment that learns from one half of the rows (0 or 1)."""
    return Role(f"nuisance[{half}]")


def link_of(kind: OutcomeKind) -> Link:
    """Return the link between a head's raw output and the mean outcome: logit for clicks, log for counts, softmax for
    classes.

    >>> link_of("click"), link_of("count"), link_of("rating"), link_of("class")
    ('logit', 'log', 'identity', 'softmax')
    """
    links: dict[OutcomeKind, Link] = {"click": "logit", "count": "log", "class": "softmax"}
    return links.get(kind, "identity")


@dataclass(frozen=True)
class Batch:
    """One step's rows, handed over whole.

    `user[B]` and `item[B]` int64; `treatment[B]` int64; `outcome[B]` float32 (0 where unobserved); `observed[B]`
    float32 in {0, 1}; `propensity[B]` float32, a probability (1 where unobserved, unless the objective asks for that of
    every pair); `weight[B]` float32 so that the mean of `weight * value` estimates the mean of `value` over the
    objective's population; `features[B,F]` float32, the outcome view; `time[B]` int64 where an encoder reads histories
    (`UNLOGGED_TIME` for a pair that is not logged). In the space `triples` a row also has a negative, an item the user
    has no row with: `negative[B]` int64, `negative_features[B,F]`, and the `popularity[B]` of both items (share of
    users, a probability). `columns[B]` by name, what objective and penalties read of the data set: int64 level codes of
    a category, float32 numbers. `penalty_batches`: by the penalty's name, the rows of those that draw rows of their
    own.
    """

    item: Tensor
    treatment: Tensor
    outcome: Tensor
    observed: Tensor
    propensity: Tensor
    weight: Tensor
    features: Tensor
    user: Tensor | None = None
    time: Tensor | None = None
    negative: Tensor | None = None
    negative_features: Tensor | None = None
    popularity: Tensor | None = None
    negative_popularity: Tensor | None = None
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    penalty_batches: Mapping[str, Batch] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.item.shape[0])

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """Move every tensor (the signature of `Tensor.to`), so that Lightning can transfer the batch."""
        return self.mapped(lambda column: column.to(*args, **kwargs))

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with every column changed."""
        return Batch.from_tensors({path: change(column) for path, column in self.tensors().items()})

    def tensors(self) -> dict[TensorPath, Tensor]:
        """Return every tensor by its path, `("item",)` or `("columns", NAME)`: what a change of all goes over."""
        values = {name: getattr(self, name) for name in PLAIN_COLUMNS}
        flat: dict[TensorPath, Tensor] = {(name,): value for name, value in values.items() if value is not None}
        flat |= {("columns", name): column for name, column in self.columns.items()}
        for name, batch in self.penalty_batches.items():
            flat |= {("penalty_batches", name, *path): column for path, column in batch.tensors().items()}
        return flat

    @staticmethod
    def from_tensors(tensors: Mapping[TensorPath, Tensor]) -> Batch:
        """Return the batch of these tensors, as `tensors` names them."""
        plain = {path[0]: tensor for path, tensor in tensors.items() if len(path) == 1}
        columns = {path[1]: tensor for path, tensor in tensors.items() if path[0] == "columns"}
        nested: dict[str, dict[TensorPath, Tensor]] = {}
        for path, tensor in tensors.items():
            if path[0] == "penalty_batches":
                nested.setdefault(path[1], {})[path[2:]] = tensor
        batches = {name: Batch.from_tensors(inner) for name, inner in nested.items()}
        return Batch(**plain, columns=columns, penalty_batches=batches)

    def with_negative_items(self) -> Batch:
        """Return the batch with the negatives in place of its items (ValueError outside the space `triples`)."""
        if self.negative is None or self.negative_features is None:
            raise ValueError("this batch has no negatives: the objective's space must be 'triples'")
        return dataclasses.replace(
            self,
            item=self.negative,
            features=self.negative_features,
            negative=self.item,  # whose history must not tell it either
            negative_features=self.features,
            columns={},  # those of the first item
            penalty_batches={},
        )


PLAIN_COLUMNS = tuple(column.name for column in dataclasses.fields(Batch))[:-2]  # all but the two mappings


@dataclass(frozen=True)
class Outputs:
    """Raw head outputs by role, each `[B]`, with the link that turns them into a mean outcome.

    `link="logit"`: log-odds; `"log"`: log of a count; `"identity"`: the outcome's own unit (rating points);
    `"softmax"`: `[B,C]`, log-probabilities of C classes up to a constant. `vectors`:
    the user and item vectors `[B,D]` behind each role; `negatives`: the outputs of a triple's negatives; `components`: by
    role what a head gives where it gives more than one number, as its `gives` says.
    """

    values: Mapping[Role, Tensor]
    link: Link
    vectors: Mapping[Role, tuple[Tensor, Tensor]] = field(default_factory=dict)
    negatives: Outputs | None = None
    components: Mapping[Role, Mapping[Role, Tensor]] = field(default_factory=dict)

    def __getitem__(self, role: Role) -> Tensor:
        return self.values[role]


@dataclass(frozen=True)
class Term:
    """One summand of a training loss: `sum(weight * value) / sum(weight * normaliser)`.

    `value[B]` one number per row; `trains` the only role its gradient may reach; `normaliser[B]` where the estimator
    divides by a batch sum (SNIPS, naive), None for a plain mean; `squared`: the loss is the square of that ratio (a
    balance constraint). The module reduces, so that DDP can all-reduce.
    """

    value: Tensor
    trains: Role
    normaliser: Tensor | None = None
    squared: bool = False
