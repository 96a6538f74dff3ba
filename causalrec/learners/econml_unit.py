"""Learners of EconML that learn a numeric outcome in standard deviations, and speak of it in its own unit.

An elastic net, as kernel DML ends with, weighs its two penalties by one number, and so is another model in every unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from causalrec.estimators.effect.base import LearnerData
from causalrec.types import Doubles


class EffectInference(Protocol):
    """What EconML infers of effects."""

    mean_pred_stderr: Doubles | None

    def scale(self, factor: float) -> None:
        """Multiply effects and their errors."""


class FittedEstimator(Protocol):
    """What is asked of a fitted learner of EconML."""

    def const_marginal_effect(self, columns: Doubles, /) -> Doubles: ...

    def const_marginal_effect_inference(self, columns: Doubles, /) -> EffectInference: ...


class EffectEstimator(FittedEstimator, Protocol):
    """A learner of EconML."""

    def fit(self, outcome: Doubles, treatment: object, /, **columns: object) -> object: ...


def fit_standardised(learner: EffectEstimator, rows: LearnerData, columns: Mapping[str, object]) -> FittedEstimator:
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
    """A fitted learner of EconML whose effects are multiplied by a unit; in all else it is that learner."""

    learner: FittedEstimator
    unit: float

    def const_marginal_effect(self, columns: Doubles, /) -> Doubles:
        return self.unit * self.learner.const_marginal_effect(columns)

    def const_marginal_effect_inference(self, columns: Doubles, /) -> EffectInference:
        inference = self.learner.const_marginal_effect_inference(columns)
        error_of_mean = getattr(inference, "mean_pred_stderr", None)
        inference.scale(self.unit)
        if error_of_mean is not None:  # EconML repeats it once a row where it scales it
            inference.mean_pred_stderr = self.unit * error_of_mean
        return inference

    def __getattr__(self, name: str) -> object:
        if name in ("learner", "unit"):  # of a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self.learner, name)
