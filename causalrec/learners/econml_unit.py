"""Learners of EconML that learn a numeric outcome in standard deviations, and speak of it in its own unit.

An elastic net, as kernel DML ends with, weighs its two penalties by one number, and so is another model in every unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from causalrec.estimators.effect.base import LearnerData


def fit_standardised(learner: Any, rows: LearnerData, columns: Mapping[str, Any]) -> Any:
    """Fit a learner of EconML on rows, a numeric outcome in standard deviations from its mean; return what speaks of it
    in the outcome's unit.

    Args:
        learner: of EconML, not fitted.
        rows: whose outcome and treatment it reads.
        columns: what else its `fit` takes, by name.
    """
    if rows.binary:
        learner.fit(rows.outcome, rows.treatment, **columns)
        return learner
    mean, sd = float(rows.outcome.mean()), float(rows.outcome.std())
    learner.fit((rows.outcome - mean) / sd, rows.treatment, **columns)
    return _InOutcomeUnit(learner, sd)


@dataclass(frozen=True)
class _InOutcomeUnit:
    """A learner of EconML whose effects are multiplied by a unit; else it is the learner."""

    learner: Any
    unit: float

    def const_marginal_effect(self, columns: Any) -> Any:
        return self.unit * self.learner.const_marginal_effect(columns)

    def const_marginal_effect_inference(self, columns: Any) -> Any:
        inference = self.learner.const_marginal_effect_inference(columns)
        error_of_mean = getattr(inference, "mean_pred_stderr", None)
        inference.scale(self.unit)
        if error_of_mean is not None:  # EconML repeats it once a row where it scales it
            inference.mean_pred_stderr = self.unit * error_of_mean
        return inference

    def __getattr__(self, name: str) -> Any:
        if name in ("learner", "unit"):  # of a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self.learner, name)
