"""DR-learner: an effect network fitted on doubly robust pseudo-effects (Kennedy, EJS 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.arms import doubly_robust_effects
from causalrec.estimators.cross_fitting import crossfit_means
from causalrec.estimators.objective.base import Claim, ClipUnit
from causalrec.estimators.objective.effects import AbstractSecondStage
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.types import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class DRLearner(AbstractSecondStage):
    """`mean over arms of (pseudo-effect - effect(x))^2`, pseudo-effects as in `doubly_robust_effects`.

    Mean outcomes come from two networks, each used on the half it has not learnt from; all three learn together. Arm a
    of the head of role `effect` is the effect of a. Algorithm 1, with the two halves swapped and pooled. Assumption:
    overlap; either p or the mean outcomes are right.
    """

    reads_row_propensity: ClassVar[bool] = True
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased", "doubly_robust"})
    clip_unit: ClassVar[ClipUnit] = "probability"
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.01

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        inverse = inverse_propensity(batch.observed, batch.propensity, self.clip)
        pseudo = doubly_robust_effects(crossfit_means(batch, outputs), batch.outcome, batch.treatment, inverse)
        return (pseudo - self.score(outputs)).square().mean(-1)
