"""Propensities destroyed: those of a fitted model dealt anew among rows and pairs, or the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.placebo import deal_anew
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity
from causalrec.types import Doubles, Floats


@dataclass(frozen=True, kw_only=True)
class PlaceboPropensity(AbstractPropensity):
    """What another model says, but of other rows.

    Attributes:
        model: fitted.
        share: of the rows (pairs) that are asked for together, among which propensities are dealt anew.
        seed: of what is drawn, the same for as many rows.
        same: what all rows have in place of it: one propensity, or one of each arm float64[A+1]; None: they are dealt.
    """

    model: AbstractPropensity
    share: float
    seed: int
    same: Doubles | None = None
    scores_unlogged_pairs: ClassVar[bool] = True

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        self.model.fit(log, features, randomised_sample)

    def predict(self, log: InteractionLog) -> Floats:
        if self.same is not None:
            return np.broadcast_to(self.same[log.treatment] if self.same.ndim else self.same, len(log)).astype(
                np.float32
            )
        return self._deal(self.model.predict(log))

    def treatment_probabilities(self, log: InteractionLog, arms: int) -> Floats:
        if self.same is not None:
            return np.broadcast_to(self.same, (len(log), arms + 1)).astype(np.float32)
        return self._deal(self.model.treatment_probabilities(log, arms))

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return self.model.columns_read(view)

    def rows(self, log: InteractionLog, arms: int) -> InteractionLog:
        """Return logged rows with these propensities; of `arms` treatments, each with those of another row."""
        if not log.has_arms:
            assert log.propensity is not None
            return log.with_propensity(self.predict(log) if self.same is not None else self._deal(log.propensity))
        of_arms = self.treatment_probabilities(log, arms)
        received = np.take_along_axis(of_arms, log.treatment[:, None], 1)[:, 0]
        logged = None if log.arm_probabilities is None else of_arms
        return replace(log, propensity=received, arm_probabilities=logged)

    def _deal(self, propensities: Floats) -> Floats:
        rng = np.random.default_rng([self.seed, *b"placebo propensities"])
        dealt: Floats = propensities[deal_anew(len(propensities), self.share, rng)]
        return dealt


def same_for_all(model: AbstractPropensity, log: InteractionLog, arms: int) -> Doubles:
    """Return one propensity for all of these rows; of arms, one of each.

    The harmonic mean, so that the weights 1/p sum to what they did; of arms the mean of each, float64[A+1].
    """
    if log.has_arms:
        return np.asarray(model.treatment_probabilities(log, arms).mean(0, dtype=np.float64))
    assert log.propensity is not None
    return np.asarray(1 / np.mean(1 / log.propensity.astype(np.float64)))
