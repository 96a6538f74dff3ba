"""Asymmetric tri-training in its phases (Saito, SIGIR 2020, "IPS-AT")."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.snips import snips
from causalrec.estimators.pointwise_error import dynamic_propensity, mean_of, pointwise_error
from causalrec.types import OUTCOME, Batch, EpochRows, Outputs, Role, Space, Term, role_number

TEACHERS = tuple(role_number(Role("teacher"), k) for k in (0, 1))
EMPTY = 1e-6  # added to a normaliser that may be 0


@dataclass(frozen=True, kw_only=True)
class IPSAT(AbstractObjective):
    """Two teachers learn by SNIPS and the outcome network from rows as they are; after some epochs it learns, over all
    pairs, from pairs on which the teachers agree: biased by design, as labels are predictions.

    A pair counts where the teachers' mean outcomes lie within `epsilon`; its label is the first one's mean outcome, for
    a click a probability, met by cross-entropy (the paper has ratings and squared errors). The second teacher learns
    from these labels too, to the first they are its own. Teachers go on with their weighted rows in the second phase,
    where the paper leaves them: else decay would pull the first to a constant. They take turns with the even and the
    odd rows, so that no step shows both the same. Chosen as every objective, by biased validation rows; that may be an
    epoch of the first phase. `asips` has no phases, and both teachers on all rows.

    Attributes:
        clip: least number that the teachers divide by; under `dynamic` that of `dynamic_propensity`.
        dynamic: teachers divide by `dynamic_propensity` (D-IPS-AT; the paper of that: 0.1).
        epsilon: in the outcome's unit (probability, rating points); 0.164 is published for ratings of Coat.
        pretraining_epochs: of the first phase; the paper has 150 to 500 steps.
    """

    reads_row_propensity: ClassVar[bool] = True
    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, *TEACHERS)
    space: ClassVar[Space] = "all_pairs"
    epoch_rows: ClassVar[EpochRows | None] = EpochRows("training")
    clip: Annotated[float, Field(ge=0)] = 0.1
    dynamic: Annotated[float, Field(gt=0)] | None = None
    epsilon: Annotated[float, Field(gt=0)] = 0.164
    pretraining_epochs: Annotated[int, Field(ge=0)] = 5

    def between_epochs(
        self, rows: Batch, outputs: Outputs, epoch: int, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        return {"epoch": torch.full_like(rows.weight[:1], epoch)}

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        epoch = outputs.buffers.get("epoch", torch.zeros_like(batch.weight[..., :1]))
        is_second = (epoch >= self.pretraining_epochs).to(batch.weight)
        first, second = (mean_of(outputs[role], outputs.link).detach() for role in TEACHERS)
        agree = ((first - second).abs() <= self.epsilon).to(batch.weight)
        counts = torch.where(is_second > 0, agree, batch.observed)
        label = torch.where(is_second > 0, first, batch.outcome)
        error = pointwise_error(outputs[OUTCOME], label, outputs.link)
        imitation = pointwise_error(outputs[TEACHERS[1]], first, outputs.link)
        return {
            "outcome": Term(counts * error, OUTCOME, normaliser=counts + EMPTY),
            **{str(role): self._teacher_term(batch, outputs, role, (epoch + k) % 2) for k, role in enumerate(TEACHERS)},
            "imitation": Term(is_second * agree * imitation, TEACHERS[1], normaliser=agree + EMPTY),
        }

    def _teacher_term(self, batch: Batch, outputs: Outputs, role: Role, parity: Tensor) -> Term:
        """Return the SNIPS term of a teacher, on the rows whose number is even (0) or odd (1)."""
        if batch.row is None:
            raise ValueError("this batch has no row numbers, which an objective with `epoch_rows` is given")
        its_turn = batch.observed * (batch.row % 2 == parity)
        error = pointwise_error(outputs[role], batch.outcome, outputs.link)
        value, normaliser = snips(error, its_turn, dynamic_propensity(batch.propensity, self.dynamic), clip=self.clip)
        return Term(value, role, normaliser=normaliser + EMPTY)
