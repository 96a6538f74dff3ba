"""X-learner: an effect network fitted on the differences to the other arm's outcome network (Kuenzel et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.arms import arm_probabilities, treatment_one_hot
from causalrec.estimators.cross_fitting import crossfit_means
from causalrec.estimators.objective.base import Claim, ClipUnit
from causalrec.estimators.objective.effects import AbstractSecondStage
from causalrec.types import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class XLearner(AbstractSecondStage):
    """`mean over arms a of w_a (d_a - effect_a(x))^2`: of a row of arm a `d = y - m_0(x)` and `w = p_0 / p_a`, of an
    untreated one `d = m_a(x) - y` and `w = p_a / p_0`; the rows of other arms tell nothing of a.

    One network in place of the paper's two: its minimiser is `(p_a tau_0 + p_0 tau_a) / (p_0 + p_a)`, tau_a the mean d
    of arm a's rows and tau_0 that of the untreated. With one arm that is `e tau_0 + (1 - e) tau_1`, equation 9 with the
    paper's choice g = e: each is weighed by how well the other arm's outcomes are known. Mean outcomes are
    cross-fitted, as for `dr_learner`. Given these, it estimates the effect's squared error weighted by `p_0 + p_a`, so
    with one arm that of all rows alike. Source: PNAS 2019, equations 7 to 9.

    Args:
        clip: the least probability that a ratio divides by.
    """

    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    reads_arm_propensities: ClassVar[bool] = True
    clip_unit: ClassVar[ClipUnit] = "probability"
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.01

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        means, predicted = crossfit_means(batch, outputs), self.score(outputs)
        in_arm = treatment_one_hot(batch.treatment, predicted.shape[-1])
        untreated = (batch.treatment == 0).to(predicted.dtype)[..., None]
        outcome = batch.outcome[..., None]
        difference = in_arm * (outcome - means[..., :1]) + untreated * (means[..., 1:] - outcome)
        weight = self._weight(arm_probabilities(batch, predicted.shape[-1]), in_arm, untreated)
        return (weight * (difference - predicted).square()).mean(-1)

    def _weight(self, probabilities: Tensor, in_arm: Tensor, untreated: Tensor) -> Tensor:
        """Return what a row counts for each arm, `[B,A]`: 0 where it received another."""
        none, treated = probabilities[..., :1], probabilities[..., 1:]
        clip = self.clip[..., None] if isinstance(self.clip, Tensor) else self.clip  # of stacked fits: each its own
        received = torch.where(in_arm > 0, treated, torch.where(untreated > 0, none, 1.0)).clamp_min(clip)
        return (in_arm * none + untreated * treated) / received
