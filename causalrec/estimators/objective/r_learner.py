"""R-learner: an effect network fitted on residuals of outcome and treatment (Nie & Wager, Biometrika 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from causalrec.estimators.cross_fitting import crossfit_means
from causalrec.estimators.objective.base import Claim
from causalrec.estimators.objective.effects import AbstractSecondStage
from causalrec.types import Batch, Outputs, Truth


@dataclass(frozen=True, kw_only=True)
class RLearner(AbstractSecondStage):
    """`mean of (y - m(x) - (T - e(x)) effect(x))^2`, `m = e m_1 + (1 - e) m_0`, e the probability of treatment.

    Mean outcomes are cross-fitted, as for `dr_learner`; e is the propensity that was fitted before. One arm alone: with
    more, e is not told by the probability of the arm received. Equation 4. It estimates the effect's squared error,
    weighted by `e (1 - e)`.
    """

    reads_row_propensity: ClassVar[bool] = True
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    max_treatments: ClassVar[int] = 1

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        means, treated = crossfit_means(batch, outputs), (batch.treatment > 0).to(batch.outcome.dtype)
        treated_probability = torch.where(batch.treatment > 0, batch.propensity, 1 - batch.propensity)
        expected = treated_probability * means[..., 1] + (1 - treated_probability) * means[..., 0]
        return (batch.outcome - expected - (treated - treated_probability) * self.score(outputs)[..., 0]).square()

    def ideal(self, batch: Batch, outputs: Outputs, truth: Truth) -> Tensor:
        return truth.propensity * (1 - truth.propensity) * super().ideal(batch, outputs, truth)
