"""Shapes and types that every package shares.

Legend of shape letters: `B` batch, `C` candidates, `N` log rows, `U` users, `I` items, `D` width, `F` features,
`K` cut-off, `L` tokens, `H` history length, `R` replicates (of a bootstrap, or of a packed model).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field

if TYPE_CHECKING:  # the command line answers without importing torch
    from torch import Tensor

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.floating[Any]]  # as a file holds them, 16, 32 or 64 bits
Bools = npt.NDArray[np.bool_]

MAX_NAME_BYTES = 120  # of a row or a sweep: names of files add a seed, a key, a fingerprint, and end at 255
FILE_ENDINGS = (".json", ".html", ".md", ".tex", ".svg", ".png")  # of files that we write beside such folders


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[\w+=-][\w.+=-]*", name) or len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(
            f"names a folder: letters, digits and . _ + = - alone, no dot first, at most {MAX_NAME_BYTES} bytes"
        )
    if name.endswith(FILE_ENDINGS):
        raise ValueError("names a folder, and ends as the name of a file does; take another")
    return name


FolderName = Annotated[str, AfterValidator(_folder_name)]
Count = Annotated[int, Field(gt=0)]
Depth = Annotated[int, Field(gt=0, le=1_000)]  # of layers
Steps = Annotated[int, Field(gt=0, le=1_000_000)]  # of a fit that may stop before
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # as numpy and torch take it
Share = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1)]  # of one of two aims, the other has the rest
TensorPath = tuple[str, ...]  # where a tensor lies in a batch

OutcomeKind = Literal["rating", "click", "watch_ratio", "count", "reward", "class"]  # class: one of 0, 1, .. in order
Feedback = Literal["explicit", "exposure_logged", "positive_only"]
Entity = Literal["user", "item"]  # whose ids
TRIPLE, CORRUPTED = (
    "triple",
    "corrupted",
)  # columns of a batch of triples: which, and whose tail it is given
ModelSource = Literal["text", "features", "knowledge", "propensities"]  # the last of rows, the others of items
Space = str  # kind of rows that an objective averages over and a sampler draws: logged, all_pairs, triples, or another
CANDIDATES: Space = "candidates"  # logged rows, each against the same many items
ITEM_PAIRS: Space = "item_pairs"  # logged rows, each against another item, whether its user has a row with it or not
Link = Literal["identity", "logit", "log", "softmax"]
Estimand = str  # exposed_mean, effect, or what another task asks for
PropensityKind = Literal[
    "exposure", "relative exposure", "examination", "logged", "treatment"
]  # of what a propensity is the probability

# ranking: 1 where chosen; 0 says nothing of the outcome. effect: the true effect of exposure. uplift: the outcome seen,
# beside the treatment; of both the prediction is an effect. lists: the items that a user is shown. sampled: outcomes of
# a sample of the pairs that are ranked, each with the probability of being in it.
LabelKind = Literal["binary", "rate", "graded", "ranking", "effect", "uplift", "lists", "sampled"]

EffectTarget = Literal["all", "treated", "untreated", "overlap"]  # the rows that an average effect is over

UNLOGGED_TIME = 1 << 62  # a time after every other

Role = NewType("Role", str)
OUTCOME = Role("outcome")
PROPENSITY = Role("propensity")
IMPUTATION = Role("imputation")
USER_ONLY = Role("user_only")  # a network that reads the user alone
ITEM_ONLY = Role("item_only")  # a network that reads the item alone
ADVERSARY = Role("adversary")  # a network that ascends what another role descends
WEIGHT = Role("weight")  # a network of the weights of observed rows
REPRESENTATION = Role("representation")
EFFECT = Role("effect")  # a network of effects; of a head: effects, in the unit of its outcomes
ARMS = Role("arms")  # of a head: the outcome under each treatment
EPSILON = Role("epsilon")  # of a head: the step of targeted regularisation


def nuisance(half: int) -> Role:
    """Name the role of the outcomes under each treatment that learns from one half of the rows (0 or 1)."""
    return Role(f"nuisance[{half}]")


def role_number(role: Role, index: int) -> Role:
    """Name one of several networks of a role.

    >>> role_number(IMPUTATION, 1)
    'imputation[1]'
    """
    return Role(f"{role}[{index}]")


def role_family(role: Role) -> Role:
    """Return the role that one of several networks is of: what is predicted, whatever its number.

    >>> role_family(role_number(IMPUTATION, 1)), role_family(OUTCOME)
    ('imputation', 'outcome')
    """
    return Role(role.partition("[")[0])


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
    """The rows of one step.

    In the space `triples` a row also has a negative: an item that its user has no row with; in `item_pairs` that is any
    other item.

    Attributes:
        item: int64[B].
        treatment: int64[B], 0 = none.
        outcome: float32[B]; 0 where unobserved. Objectives of effects read it, under the identity link, in standard
            deviations from the training mean (`CausalModel.standardise`), as the outputs.
        observed: float32[B] in {0, 1}.
        propensity: float32[B], a probability; 1 where unobserved, unless the objective asks for that of every pair.
        weight: float32[B]; the mean of `weight * value` estimates the mean of `value` over the objective's population.
        features: float32[B,F], the outcome view; its dense columns alone where categories are wide.
        levels: int64[B,K], which of the other columns are 1, -1: none; None where no category of the view is wide.
        user: int64[B]; None in a log without users.
        time: int64[B], where an encoder reads histories; `UNLOGGED_TIME` for a pair that is not logged.
        unit: int64[B], the rank of the row's unit of assignment in an order that goes arm by arm, so that remainders of
            it deal folds; None where each row is its own.
        negative: int64[B], the item of the negative; None outside these two, as the four below.
        negative_features: float32[B,F], its outcome view.
        negative_levels: int64[B,K], as `levels`.
        popularity: float32[B], share of users who have a row with the item.
        negative_popularity: float32[B], the same of the negative.
        negative_observed: float32[B] in {0, 1}, whether the negative has a row; None outside `item_pairs`, as below.
        negative_propensity: float32[B], its propensity; 1 where unobserved.
        candidates: int64[C], items that each row's own stands against, one list for all rows; None outside the space
            `candidates`, as the five below.
        candidate_counts: float32[C], how often the candidate's item is expected among them where it is not the row's.
        candidate_features: float32[C,F], the outcome view's columns of these items, the others 0.
        candidate_levels: int64[C,K], as `levels`.
        user_features: float32[B,F], its columns of the row's user, the others 0.
        user_levels: int64[B,K], as `levels`.
        arm_propensities: float32[B,A+1], the probability of each treatment, where the objective reads it; equal ones of
            a pair that is not logged.
        row: int64[B], the row of the training log, -1: not logged; None unless the objective fits between epochs.
        columns: by name, what objective and penalties read of the data set, [B] each: int64 level codes of a category,
            or float32 numbers.
        penalty_batches: by the penalty's name, the rows of those that draw rows of their own.
    """

    item: Tensor
    treatment: Tensor
    outcome: Tensor
    observed: Tensor
    propensity: Tensor
    weight: Tensor
    features: Tensor
    levels: Tensor | None = None
    user: Tensor | None = None
    time: Tensor | None = None
    unit: Tensor | None = None
    negative: Tensor | None = None
    negative_features: Tensor | None = None
    negative_levels: Tensor | None = None
    popularity: Tensor | None = None
    negative_popularity: Tensor | None = None
    negative_observed: Tensor | None = None
    negative_propensity: Tensor | None = None
    candidates: Tensor | None = None
    candidate_counts: Tensor | None = None
    candidate_features: Tensor | None = None
    candidate_levels: Tensor | None = None
    user_features: Tensor | None = None
    user_levels: Tensor | None = None
    arm_propensities: Tensor | None = None
    row: Tensor | None = None
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    penalty_batches: Mapping[str, Batch] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.item.shape[0])

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """Move every tensor (the signature of `Tensor.to`), so that Lightning can transfer the batch."""
        return self.map_tensors(lambda column: column.to(*args, **kwargs))

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> Batch:
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
            raise ValueError("this batch has no negatives: the objective's space must be 'triples' or 'item_pairs'")
        return dataclasses.replace(
            self,
            item=self.negative,
            features=self.negative_features,
            levels=self.negative_levels,
            negative=self.item,  # whose history must not tell it either
            negative_features=self.features,
            negative_levels=self.levels,
            columns={},  # those of the first item
            penalty_batches={},
        )


PLAIN_COLUMNS = tuple(column.name for column in dataclasses.fields(Batch))[:-2]  # all but the two mappings


@dataclass(frozen=True)
class Outputs:
    """Raw head outputs by role, with the link that turns them into a mean outcome.

    Attributes:
        values: by role, `[B]`. Under `logit` log-odds, under `log` the log of a count, under `identity` the outcome's
            own unit (rating points), under `softmax` `[B,C]`, log-probabilities of C classes up to a constant.
        link: of the outcome.
        vectors: by role, the user and the item vectors behind the output, `[B,D]` each.
        negatives: the outputs of a triple's negatives.
        components: by role, what a head gives where it gives more than one number, named as in its `head_outputs`;
            under `identity` outcomes in training are in standard deviations from their mean, as the batch's.
        candidates: by role, the outputs of each row's user with each candidate, `[B,C]`.
        parameters: by role, parameters that the objective trains beside its networks (`free_parameters`), without a
            row axis; a scalar as `[1]`, so that it meets rows.
        passes: by role, the outputs of P passes with dropout of the vectors, `[P,B]`, without gradient.
        buffers: by name, what the objective has fitted between epochs; empty before the first.
        terms: by name, the objective's terms of these rows, for penalties that read its loss (`reads_terms`).
        energies: by role, of the triples in `Batch.columns` and of their negatives, `[B]` each: the lower, the likelier
            an encoder of a graph holds them; empty where the batch holds no triples.
        unmoved: the outputs before a penalty that `moves` has moved the vectors; None of these themselves.
    """

    values: Mapping[Role, Tensor]
    link: Link
    vectors: Mapping[Role, tuple[Tensor, Tensor]] = field(default_factory=dict)
    negatives: Outputs | None = None
    components: Mapping[Role, Mapping[Role, Tensor]] = field(default_factory=dict)
    candidates: Mapping[Role, Tensor] = field(default_factory=dict)
    parameters: Mapping[Role, Mapping[str, Tensor]] = field(default_factory=dict)
    passes: Mapping[Role, Tensor] = field(default_factory=dict)
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    terms: Mapping[str, Term] = field(default_factory=dict)
    energies: Mapping[Role, tuple[Tensor, Tensor]] = field(default_factory=dict)
    unmoved: Outputs | None = None

    def __getitem__(self, role: Role) -> Tensor:
        return self.values[role]

    def tensors(self) -> dict[TensorPath, Tensor]:
        """Return what networks give, by its path; neither passes nor buffers, which are not of a network alone."""
        flat: dict[TensorPath, Tensor] = {("value", role): value for role, value in self.values.items()}
        flat |= {("candidate", role): value for role, value in self.candidates.items()}
        for role, pair in self.vectors.items():
            flat |= {(side, role): vector for side, vector in zip(("user", "item"), pair, strict=True)}
        for kind, by_role in (("component", self.components), ("parameter", self.parameters)):
            flat |= {(kind, role, name): value for role, values in by_role.items() for name, value in values.items()}
        negatives = {} if self.negatives is None else self.negatives.tensors()
        return flat | {("negative", *path): value for path, value in negatives.items()}

    @staticmethod
    def from_tensors(tensors: Mapping[TensorPath, Tensor], link: Link) -> Outputs:
        """Return the outputs of these tensors, as `tensors` names them."""

        def of(kind: str) -> dict[Role, Tensor]:
            return {Role(path[1]): value for path, value in tensors.items() if path[0] == kind and len(path) == 2}

        def by_name(kind: str) -> dict[Role, dict[str, Tensor]]:
            by_role: dict[Role, dict[str, Tensor]] = {}
            for path, value in tensors.items():
                if path[0] == kind:
                    by_role.setdefault(Role(path[1]), {})[path[2]] = value
            return by_role

        users, items = of("user"), of("item")
        components = {
            role: {Role(name): value for name, value in by.items()} for role, by in by_name("component").items()
        }
        negatives = {path[1:]: value for path, value in tensors.items() if path[0] == "negative"}
        return Outputs(
            of("value"),
            link,
            {role: (users[role], items[role]) for role in users},
            Outputs.from_tensors(negatives, link) if negatives else None,
            components,
            of("candidate"),
            by_name("parameter"),
        )


@dataclass(frozen=True)
class EpochRows:
    """The rows that an objective is shown between two epochs.

    Attributes:
        source: the training rows, or those that were held out from every step (`AbstractObjective.held_out`).
        pairs_per_row: how many pairs that are not logged are drawn to each, anew for each epoch; the weights then make
            the mean over rows and pairs estimate that over all pairs. 0: none, and every weight is one.
    """

    source: Literal["training", "held_out"]
    pairs_per_row: int = 0


@dataclass(frozen=True)
class Truth:
    """What is known of each row of a simulated population, which data never tell.

    Attributes:
        mean: float64[B], the mean outcome if exposed; the relevance, where a positive is an exposed and relevant pair.
        arms: float64[B,A+1], the mean outcome under each treatment.
        propensity: float64[B], the probability of exposure (of examination, of treatment 1).
    """

    mean: Tensor
    arms: Tensor
    propensity: Tensor


@dataclass(frozen=True)
class Term:
    """One summand of a training loss: `sum(weight * value) / sum(weight * normaliser)`.

    The module reduces, so that DDP can all-reduce.

    Attributes:
        value: `[B]`, a number for each row.
        trains: the only role that its gradient may reach.
        normaliser: `[B]`, where the estimator divides by a batch sum (SNIPS, naive); None for a plain mean.
        squared: whether the loss is the square of that ratio (a balance constraint).
    """

    value: Tensor
    trains: Role
    normaliser: Tensor | None = None
    squared: bool = False
