"""What a learner of EconML has learnt of rows: effects, their intervals, and what average effects are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.aipw import CrossFit
from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest, normal_average
from causalrec.estimators.effect.base import AbstractFittedEffect, LearnerData
from causalrec.estimators.effect.clustered_variance import standard_errors
from causalrec.estimators.effect.compliers import effect_of_compliers, is_binary_instrument
from causalrec.estimators.effect.fit_log import FitLog
from causalrec.estimators.effect.nuisance import silence_warnings
from causalrec.estimators.effect.simultaneous import SimultaneousInterval, linear_root
from causalrec.types import Doubles

PROJECTED_EFFECT = "projected_effect"
PROJECTION = (
    "the mean over these rows of the effects that the learner projects on the modifiers: weighted by how much the "
    "instruments move each row's treatment, so that it need not be the average effect"
)
IN_OTHER_PROCESSES = (
    "its models are fitted in other processes, so that nobody knows whether they converged; set "
    "learner.arguments.n_jobs=1"
)


@dataclass(frozen=True, eq=False)
class FittedEconML(AbstractFittedEffect):
    """A fitted learner, and the rows it was fitted on.

    Attributes:
        learner: of EconML.
        name: the path of its class, for messages.
        rows: it was fitted on.
        takes_controls: whether it reads W; else W stands beside X.
        cross_fit: nuisances of average effects; None: it has none.
        seed: of what they draw.
        log: counts their fits.
    """

    learner: Any
    name: str
    rows: LearnerData
    takes_controls: bool
    cross_fit: CrossFit | None
    seed: int
    log: FitLog
    _adjusted: dict[bytes, AdjustedRows] = field(default_factory=dict, repr=False)

    def effects(self, modifiers: Doubles, controls: Doubles) -> Doubles:
        columns = self.columns_read(modifiers, controls)
        with silence_warnings(self.name):
            return self._by_arm(self.learner.const_marginal_effect(columns))

    def interval(self, modifiers: Doubles, controls: Doubles, level: float) -> tuple[Doubles, Doubles] | None:
        inference = self.inference(modifiers, controls)
        if inference is None:
            return None
        with silence_warnings(self.name):
            low, high = inference.conf_int(alpha=1 - level)
        return self._by_arm(low), self._by_arm(high)

    def adjusted_rows(self, request: AverageRequest) -> AdjustedRows | None:
        if self.cross_fit is None:
            return None
        included = request.included
        key = b"" if included is None else included.tobytes()
        if key not in self._adjusted:
            rows = self.rows if included is None else self.rows.take(included)
            self._adjusted[key] = self.cross_fit.adjust(rows, self.seed, self.log)
        return self._adjusted[key]

    def outcome_means(self, modifiers: Doubles, controls: Doubles) -> Doubles | None:
        self.rows.check_width(modifiers, controls)
        if self.cross_fit is None:
            return None
        return self.cross_fit.outcome_means(self.rows, np.hstack([modifiers, controls]), self.seed, self.log)

    @property
    def warnings(self) -> tuple[str, ...]:
        away = hasattr(self.learner, "backend") and self.learner.n_jobs != 1
        return (*self.log.lines, *([IN_OTHER_PROCESSES] if away else []))

    def inference(self, modifiers: Doubles, controls: Doubles) -> Any:
        """Return EconML's inference, or None where it has none or its rows are not independent."""
        return self._infer(self.columns_read(modifiers, controls))

    def covariance_root(self, modifiers: Doubles, controls: Doubles, arm: int) -> Doubles | None:
        """Return the root of learners that are linear in their columns; a featurizer makes them linear in others."""
        columns = self.columns_read(modifiers, controls)
        if not hasattr(self.learner, "coef_") or self._infer(columns[:1]) is None:
            return None
        return linear_root(columns, lambda rows: self._by_arm(self._infer(rows).stderr)[:, arm - 1])

    def columns_read(self, modifiers: Doubles, controls: Doubles) -> Doubles:
        self.rows.check_width(modifiers, controls)
        return modifiers if self.takes_controls else np.hstack([modifiers, controls])

    @property
    def lacks_independence(self) -> bool:
        if self.rows.independent:
            return False
        columns = self.columns_read(self.rows.modifiers[:1], self.rows.controls[:1])
        return self._infer_as_independent(columns) is not None

    def _infer(self, columns: Doubles) -> Any:
        return self._infer_as_independent(columns) if self.rows.independent else None

    def _infer_as_independent(self, columns: Doubles) -> Any:
        with silence_warnings(self.name):
            try:
                inference = self.learner.const_marginal_effect_inference(columns)
            except AttributeError:  # how EconML says that a learner has no inference
                return None
        return None if inference.stderr is None else inference

    def _by_arm(self, values: Any) -> Doubles:
        return np.reshape(np.asarray(values, np.float64), (-1, self.rows.arms))


@dataclass(frozen=True, eq=False)
class FittedByInstrument(AbstractFittedEffect):
    """What a learner that takes Z has learnt: the treatment is confounded given the columns, so that nothing averages
    by adjusting for them.
    """

    fitted: FittedEconML

    def effects(self, modifiers: Doubles, controls: Doubles) -> Doubles:
        return self.fitted.effects(modifiers, controls)

    def interval(self, modifiers: Doubles, controls: Doubles, level: float) -> tuple[Doubles, Doubles] | None:
        return self.fitted.interval(modifiers, controls, level)

    @property
    def lacks_independence(self) -> bool:
        return self.fitted.lacks_independence

    def simultaneous_interval(
        self, modifiers: Doubles, controls: Doubles, arm: int, level: float
    ) -> SimultaneousInterval | None:
        return self.fitted.simultaneous_interval(modifiers, controls, arm, level)

    def average(self, request: AverageRequest) -> AverageEffect | None:
        fitted = self.fitted
        if fitted.cross_fit is not None and is_binary_instrument(fitted.rows):
            return effect_of_compliers(fitted.cross_fit, fitted.rows, request, fitted.seed, fitted.log)
        return self._project(request.level)

    def _project(self, level: float) -> AverageEffect:
        """Return the mean of EconML's effects of these rows, with an interval where rows are independent."""
        rows = self.fitted.rows
        columns = rows.modifiers, rows.controls
        effects, inference = self.fitted.effects(*columns), self.fitted.inference(*columns)
        error = np.full(rows.arms, np.nan)
        if inference is not None and inference.mean_pred_stderr is not None:
            given_columns = np.reshape(inference.mean_pred_stderr, rows.arms)  # EconML holds the columns fixed
            error = np.hypot(given_columns, standard_errors(effects - effects.mean(axis=0)))
        average = normal_average(effects.mean(axis=0), error, level)
        return replace(average, metric=PROJECTED_EFFECT, description=PROJECTION)

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.fitted.warnings
