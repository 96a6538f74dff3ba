"""Asymmetric tri-training (Saito, SIGIR 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.ips import ips
from causalrec.estimators.pointwise_error import mean_of, pointwise_error
from causalrec.types import OUTCOME, Batch, Outputs, Role, Space, Term

TEACHERS = (Role("first_teacher"), Role("second_teacher"))


@dataclass(frozen=True, kw_only=True)
class ASIPS(AbstractObjective):
    """Two teachers learn by IPS; the outcome network learns, over all pairs, from pairs on which the teachers agree.

    A pair counts where the teachers' predictions lie within `epsilon` (in the outcome's unit; published for Coat); its
    label is the first teacher's prediction. The paper alternates between the three; here every step updates all of
    them. Teachers differ by their initial weights.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, *TEACHERS)
    space: ClassVar[Space] = "all_pairs"
    clip: Annotated[float, Field(ge=0)] = 0.1
    epsilon: Annotated[float, Field(gt=0)] = 0.164

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        link = outputs.link
        taught = [mean_of(outputs[role], link).detach() for role in TEACHERS]
        agree = ((taught[0] - taught[1]).abs() <= self.epsilon).to(batch.observed.dtype)
        error = pointwise_error(outputs[OUTCOME], taught[0], link)
        terms = {"outcome": Term(agree * error, OUTCOME, normaliser=agree + 1e-6)}
        for role in TEACHERS:
            teacher_error = pointwise_error(outputs[role], batch.outcome, link)
            terms[str(role)] = Term(ips(teacher_error, batch.observed, batch.propensity, clip=self.clip), role)
        return terms
