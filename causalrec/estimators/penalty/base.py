"""The contract of a penalty: a term that is added to any objective, as a pure function of ratios over a batch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import RequestError
from causalrec.features.batch_columns import BatchColumn
from causalrec.types import OUTCOME, Batch, Estimand, Feedback, Link, Outputs, Role, Term

RoleVectors = Mapping[Role, tuple[Tensor, Tensor]]
Weight = Annotated[float, Field(ge=0)]


class AbstractPenaltyRows(ABC):
    """Draws the rows of a penalty that does not read those of the objective."""

    @abstractmethod
    def draw(self, log: InteractionLog, generator: np.random.Generator, count: int) -> SampledRows:
        """Return the rows of the next `count` steps, `[count,B]`, drawn by the generator alone.

        The generator is a function of the penalty's name, the seed and the epoch, so that a fit that goes on meets the
        same rows again. `Rows.row` is -1 where a pair is not logged.
        """


@dataclass(frozen=True, kw_only=True)
class AbstractPenalty(ABC):
    """A term of the training loss beside the objective's: `weight * combine(reduced ratios)`.

    Class variables:
        roles: The networks whose outputs it reads; the objective must have them.
        estimands, links, feedback_types: What it is defined for.
        reads_terms: It reads the objective's terms of the rows (`Outputs.terms`): the loss itself, row by row.
        reads_energies: It reads the energies of triples (`Outputs.energies`), which an encoder of a graph has alone.
        moves: It reads a second forward of its `roles`, at the vectors that `move` returns: `ratios` is handed the
            outputs there, with the objective's terms, and those before in `Outputs.unmoved`. It has no rows of its own.
        vectorizable: Its functions also run on `[R,B]` rows and `[R]` values, so that fits that differ in its weight
            train as one program.

    Args:
        weight: What its value is multiplied by; 0 leaves the objective as it is.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME,)
    estimands: ClassVar[frozenset[Estimand]] = frozenset({"exposed_mean"})
    links: ClassVar[frozenset[Link]] = frozenset({"identity", "logit", "log", "softmax"})
    feedback_types: ClassVar[frozenset[Feedback]] = frozenset({"explicit", "exposure_logged", "positive_only"})
    reads_terms: ClassVar[bool] = False
    reads_energies: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    vectorizable: ClassVar[bool] = False

    weight: Weight = 1.0  # a type, not its name: no annotations as text in this file, for subclasses elsewhere

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the data set that it reads, by `Batch.columns`."""
        return ()

    @property
    def reads_time(self) -> bool:
        """Whether it reads `Batch.time`."""
        return False

    @property
    def rows(self) -> AbstractPenaltyRows | None:
        """What draws its rows; None where it reads the objective's."""
        return None

    @abstractmethod
    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        """Return terms by name; each is reduced to `sum(weight * value) / sum(weight * normaliser)`, over all ranks."""

    def combine(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the penalty from the reduced ratios, scalars, as a scalar; their sum unless it says otherwise."""
        return reduce(torch.add, values.values())

    def bind(self, dataset: CausalDataset) -> Self:
        """Return the penalty with what it reads of the data: `dataset.training_side`, whose log is the training rows.

        Raises RequestError where they do not hold what it needs.
        """
        return self

    def move(self, vectors: RoleVectors, gradients: RoleVectors) -> RoleVectors:
        """Return by role the user and item vectors `[B,D]` of the second forward; only where it `moves`.

        It is called for the rows of a batch, and for the negatives of triples.

        Args:
            vectors: by role, of the rows of the batch.
            gradients: of the objective's loss, by them, without gradients of their own; 0 in dimensions that hold
                biases and ones. Of a triple's user, summed over both of its items.
        """
        return vectors

    def start_state(self) -> Mapping[str, Tensor]:
        """Return the numbers that it keeps from step to step (multipliers, weights of groups), by name; most keep none.

        They stand in checkpoints, and on the model's device.
        """
        return {}

    def next_state(self, state: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return its state of a step, from that before and the reduced ratios, which are without gradients."""
        return state

    def combine_with_state(self, values: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
        """Return the penalty from the reduced ratios and `next_state` of them; `combine` unless it keeps a state."""
        return self.combine(values)

    def check_card(self, card: DatasetCard) -> None:  # noqa: B027  # most need nothing
        """Raise RequestError where the data set cannot have what it reads; no file is read yet."""

    def check_columns(self, name: str, columns: Mapping[str, BatchColumn]) -> None:  # noqa: B027  # most need nothing
        """Raise RequestError where a column it reads is not what it needs; `name`: of the penalty, in messages."""

    def check_fit(self, name: str, roles: tuple[Role, ...], estimand: Estimand, link: Link, feedback: Feedback) -> None:
        """Raise RequestError where it is undefined for what is trained.

        Args:
            name: of the penalty, in messages.
            roles: the networks that the objective trains.
            estimand: of the objective's prediction.
            link: of the outcome.
            feedback: of the data set.
        """
        choice = f"penalty={name}"
        if missing := [role for role in self.roles if role not in roles]:
            raise RequestError(f"{choice}: reads the network {missing[0]}, which the objective does not train; drop it")
        for what, value, allowed in (
            ("estimand", estimand, self.estimands),
            ("link", link, self.links),
            ("feedback", feedback, self.feedback_types),
        ):
            if value not in allowed:
                listed = ", ".join(sorted(allowed))
                raise RequestError(f"{choice}: undefined for the {what} {value}; it is defined for {listed}: drop it")
