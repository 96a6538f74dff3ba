"""X-learner: an effect network fitted on the differences to the other arm's outcome network (Kuenzel et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from causalrec.estimators.arms import treatment_one_hot
from causalrec.estimators.cross_fitting import crossfit_means
from causalrec.estimators.objective.base import Claim
from causalrec.estimators.objective.effects import AbstractSecondStage
from causalrec.types import Batch, Outputs, Truth


@dataclass(frozen=True, kw_only=True)
class XLearner(AbstractSecondStage):
    """`mean of (1 - p_T) (d - effect(x))^2`, `d = y - m_0(x)` of a treated row (for its arm), `m_a(x) - y` of another.

    One network in place of the paper's two, `g tau_0 + (1 - g) tau_1` with g the propensity: weighting by 1 - p_T has
    the same minimiser where both agree, and p is not asked for at prediction. Mean outcomes are cross-fitted, as for
    `dr_learner`. With one treatment it estimates the effect's squared error, weighted by `2 e (1 - e)`. Source: PNAS
    2019, equations 7 to 9.
    """

    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        means, predicted = crossfit_means(batch, outputs), self.score(outputs)
        in_arm = treatment_one_hot(batch.treatment, predicted.shape[-1])
        untreated = (batch.treatment == 0).to(predicted.dtype)[..., None]
        outcome = batch.outcome[..., None]
        difference = in_arm * (outcome - means[..., :1]) + untreated * (means[..., 1:] - outcome)
        squared = (in_arm + untreated) * (difference - predicted).square()
        return (1 - batch.propensity) * squared.mean(-1)

    def ideal(self, batch: Batch, outputs: Outputs, truth: Truth) -> Tensor:
        return 2 * truth.propensity * (1 - truth.propensity) * super().ideal(batch, outputs, truth)
