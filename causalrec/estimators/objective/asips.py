"""Asymmetric tri-training (Saito, SIGIR 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.ips import ips
from causalrec.estimators.pointwise_error import mean_of, pointwise_error
from causalrec.types import OUTCOME, Batch, Link, Outputs, Role, Space, Term

RANGES: dict[Link, float] = {"logit": 1.0, "identity": 4.0, "log": 4.0}  # of a mean outcome: ratings are 1 to 5
TEACHERS = (Role("first_teacher"), Role("second_teacher"))


@dataclass(frozen=True, kw_only=True)
class ASIPS(AbstractObjective):
    """Two teachers learn by IPS; the outcome network learns, over all pairs, from pairs on which the teachers agree:
    biased by design, as labels are predictions.

    A pair counts where the teachers' predictions lie within `epsilon` of the outcome's range; its label is the first
    teacher's prediction. The paper alternates between the three; here every step updates all of them. Teachers differ
    by their initial weights.

    Attributes:
        clip: least propensity divided by.
        epsilon: as a share of the range, 1 of probabilities and 4 of ratings (1 to 5): 0.041 is the 0.164 rating points
            that are published for Coat.
    """

    reads_row_propensity: ClassVar[bool] = True
    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, *TEACHERS)
    space: ClassVar[Space] = "all_pairs"
    clip: Annotated[float, Field(ge=0)] = 0.1
    epsilon: Annotated[float, Field(gt=0)] = 0.041

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        link = outputs.link
        taught = [mean_of(outputs[role], link).detach() for role in TEACHERS]
        agree = ((taught[0] - taught[1]).abs() <= self.epsilon * RANGES[link]).to(batch.observed.dtype)
        error = pointwise_error(outputs[OUTCOME], taught[0], link)
        terms = {"outcome": Term(agree * error, OUTCOME, normaliser=agree + 1e-6)}
        for role in TEACHERS:
            teacher_error = pointwise_error(outputs[role], batch.outcome, link)
            terms[str(role)] = Term(ips(teacher_error, batch.observed, batch.propensity, clip=self.clip), role)
        return terms
