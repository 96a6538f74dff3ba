"""DoWhy's estimators of an average effect, named in YAML; the adjustment set is the one the run has identified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from causalrec.errors import DataError, RequestError
from causalrec.estimators.effect.average_effect import (
    AverageEffect,
    AverageRequest,
    doubly_robust_description,
    few_clusters,
)
from causalrec.estimators.effect.base import AbstractFittedEffect, Design, LearnerData
from causalrec.estimators.effect.clustered_variance import critical_values, fewest_by_arm
from causalrec.estimators.effect.fit_log import FitLog
from causalrec.estimators.effect.nuisance import (
    Model,
    Plain,
    build_sklearn_model,
    check_keys,
    check_words,
    constructor_parameters,
    import_class,
    silence_warnings,
)
from causalrec.learners.table import AbstractTableLearner
from causalrec.types import Doubles, EffectTarget, Ints

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

PROPENSITY = "propensity_score_model"
RUN_SETS = {"identified_estimand", "confidence_intervals", "test_significance", "confidence_level", "kwargs"}
RUN_SETS |= {"num_null_simulations", "num_simulations", "sample_size_fraction", "need_conditional_estimates"}
RUN_SETS |= {"evaluate_effect_strength", "num_quantiles_to_discretize_cont_cols", "propensity_score_column"}
RUN_SETS |= {"regression_estimator", "first_stage_model", "second_stage_model", PROPENSITY}
WORDS = {  # that arguments may be, beside numbers
    "distance_metric": ("minkowski", "euclidean", "manhattan", "cityblock", "chebyshev", "cosine", "l1", "l2"),
    "weighting_scheme": ("ips_weight", "ips_normalized_weight", "ips_stabilized_weight"),
    "num_strata": ("auto",),
}
FRONT_DOOR = "two_stage_regression"
ON_ALL_ALONE = ("doubly_robust", FRONT_DOOR)  # estimators that average over all rows and no others
TARGET_UNITS: Mapping[EffectTarget, str] = {"all": "ate", "treated": "att", "untreated": "atc"}
OTHER_DESIGNS = ("instrumental", "discontinuity", "econml", "causalml", "generalized_linear")


@dataclass(frozen=True, kw_only=True)
class DoWhy(AbstractTableLearner):
    """E[Y(1) - Y(0)] by an estimator of DoWhy given X and W, each column standardised: by the backdoor, or, two-stage
    regression, by the front door.

    Attributes:
        estimator: its class, below `dowhy.causal_estimators.`.
        arguments: plain values of its constructor.
        models: its `propensity_score_model`, a class of scikit-learn; must be named where the estimator takes it.
        replicates: resamples of the clusters (of two axes: of each, and of both at once) for the standard error of the
            average; 0: nan, as for matching, where the bootstrap fails (Abadie & Imbens, Econometrica 2008).

    A regression tells effects by row; any other gives every row the average. One arm against none only. Assumption: no
    unmeasured confounding given X and W; by the front door, the criterion given X and W and linear models of mediator
    and outcome without interactions: the average is the product of two coefficients. Source: Sharma & Kiciman
    (arXiv:2011.04216). Raises RequestError where a class or an argument is not allowed, DataError where the rows have
    several arms or the estimator fails on them.
    """

    estimator: str
    arguments: Mapping[str, Plain] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    replicates: Annotated[int, Field(ge=0)] = 100

    def __post_init__(self) -> None:
        target = _estimator_class(self.estimator)
        parameters = constructor_parameters(target)
        for key in self.arguments:
            if key in RUN_SETS:
                raise RequestError(f"learner.arguments.{key}: is set by the run; leave it out")
        check_keys("learner.arguments", self.arguments, {k: v for k, v in parameters.items() if k not in RUN_SETS})
        check_words("learner.arguments", self.arguments, WORDS)
        check_keys("learner.models", self.models, {k: v for k, v in parameters.items() if k == PROPENSITY})
        if PROPENSITY in parameters and PROPENSITY not in self.models:
            raise RequestError(f"learner.models.{PROPENSITY}: name the model of the treatment")
        self._models(seed=0)

    @property
    def design(self) -> Design:
        return "front-door" if FRONT_DOOR in self.estimator else "adjustment"

    @property
    def varies_by_controls(self) -> bool:
        return False  # its regressions let the effect vary by modifiers alone

    @property
    def targets(self) -> frozenset[EffectTarget]:
        on_all_alone = any(word in self.estimator for word in ON_ALL_ALONE)
        return super().targets if on_all_alone else frozenset(TARGET_UNITS)

    @property
    def trims(self) -> bool:
        return self.design == "adjustment"

    def fit_rows(self, rows: LearnerData, seed: int) -> AbstractFittedEffect:
        if rows.arms != 1:
            name = self.estimator.rpartition(".")[2]
            raise DataError(f"effect: {name} compares one arm with none, not {rows.arms}; choose dr_learner")
        features = rows.features
        if self.design == "front-door" and (
            rows.instruments_or_mediator is None or rows.instruments_or_mediator.shape[1] != 1
        ):
            raise DataError(f"effect: {self.estimator} reads one mediator that is a number, and these rows have none")
        if not features.shape[1] and self.design == "adjustment":
            raise DataError(f"effect: {self.estimator} has no column to adjust for; give modifiers or controls")
        sd = features.std(axis=0)
        scale = ColumnScale(features.mean(axis=0), np.where(sd > 0, sd, 1.0))
        table = scale.table(features).assign(treatment=rows.treatment, outcome=rows.outcome)
        if self.design == "front-door" and rows.instruments_or_mediator is not None:
            table = table.assign(mediator=rows.instruments_or_mediator[:, 0])
        log = FitLog()
        estimator = self.fit_estimator(table, rows, seed, log)
        return _Fitted(self, rows, scale, table, estimator, self.average_effect(estimator, table, "all"), seed, log)

    def fit_estimator(self, table: pd.DataFrame, rows: LearnerData, seed: int, log: FitLog) -> Any:
        """Fit DoWhy's estimator.

        Args:
            table: standardised columns, treatment and outcome.
            rows: the rows that the table, or what it is a resample of, was made from.
            seed: of what its models draw.
            log: counts their fits.
        """
        from dowhy.causal_estimators.regression_estimator import RegressionEstimator
        from dowhy.causal_identifier import IdentifiedEstimand

        adjusted, varying = _names(rows.features.shape[1]), _names(rows.modifiers.shape[1])
        how: dict[str, Any] = {"backdoor_variables": {"backdoor": adjusted}, "default_backdoor_id": "backdoor"}
        how["identifier_method"] = "backdoor"
        if self.design == "front-door":
            how |= {"identifier_method": "frontdoor", "frontdoor_variables": ["mediator"]}
            how["mediation_first_stage_confounders"] = {"backdoor": adjusted}
            how["mediation_second_stage_confounders"] = {"backdoor": [*adjusted, "treatment"]}
        estimand = IdentifiedEstimand(None, ["treatment"], ["outcome"], **how)
        target = _estimator_class(self.estimator)
        tells_rows_apart = issubclass(target, RegressionEstimator) and varying
        with silence_warnings(self.estimator, log):
            estimator = target(estimand, **self.arguments, **self._models(seed=seed, log=log))
            return estimator.fit(table.copy(), effect_modifier_names=varying if tells_rows_apart else None)

    def average_effect(self, estimator: Any, table: pd.DataFrame, target: EffectTarget) -> float:
        """Return the average effect over the target's rows of the table that the estimator was fitted on."""
        arms = {"treatment_value": 1, "control_value": 0, "need_conditional_estimates": False}
        if (
            hasattr(estimator, "interventional_outcomes") and target != "all"
        ):  # DoWhy's regressions average over a table
            table, target = table[table["treatment"] == (target == "treated")], "all"
        with silence_warnings(self.estimator):  # a copy: DoWhy adds columns to it
            return float(estimator.estimate_effect(table.copy(), target_units=TARGET_UNITS[target], **arms).value)

    def _models(self, seed: int, log: FitLog | None = None) -> dict[str, Any]:
        return {
            key: build_sklearn_model(f"learner.models.{key}", model, "classifier", seed, log)
            for key, model in self.models.items()
        }


@dataclass(frozen=True)
class ColumnScale:
    """`mean[F]` and `sd[F]` of the columns fitted on: distances of matching depend on units."""

    mean: Doubles
    sd: Doubles

    def table(self, features: Doubles) -> Any:
        """Return the standardised columns as the table DoWhy reads."""
        import pandas as pd

        return pd.DataFrame((features - self.mean) / self.sd, columns=_names(features.shape[1]))


@dataclass(frozen=True, eq=False)
class _Fitted(AbstractFittedEffect):
    """A fitted estimator, and the rows and the table it was fitted on."""

    effect: DoWhy
    rows: LearnerData
    scale: ColumnScale
    table: pd.DataFrame
    estimator: Any
    value: float
    seed: int
    log: FitLog

    def effects(self, modifiers: Doubles, controls: Doubles) -> Doubles:
        self.rows.check_width(modifiers, controls)
        if not hasattr(self.estimator, "interventional_outcomes"):
            return np.full((len(modifiers), 1), self.value)
        table = self.scale.table(np.hstack([modifiers, controls])).assign(treatment=0)
        with silence_warnings(self.effect.estimator):
            under = [np.asarray(self.estimator.interventional_outcomes(table, arm), np.float64) for arm in (0, 1)]
        return (under[1] - under[0])[:, None]

    def interval(self, modifiers: Doubles, controls: Doubles, level: float) -> tuple[Doubles, Doubles] | None:
        return None

    def average(self, request: AverageRequest) -> AverageEffect:
        rows, table, estimator = self.rows, self.table, self.estimator
        if request.included is not None:
            rows, table = rows.take(request.included), table[request.included].reset_index(drop=True)
            estimator = self.effect.fit_estimator(table, rows, self.seed, self.log)
        value = np.array([self.effect.average_effect(estimator, table, request.target)])
        error = np.array([self._standard_error(rows, table, request.target)])
        words = doubly_robust_description(request.target)  # which says that DoWhy's are their own
        counts = fewest_by_arm(rows.treatment, rows.dependence, rows.arms)
        half_width = critical_values(request.level, counts) * error
        ends = value - half_width, value + half_width
        return AverageEffect(*(value, error, *ends), count=len(rows), description=words, warnings=few_clusters(counts))

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.log.lines

    def _standard_error(self, rows: LearnerData, table: pd.DataFrame, target: EffectTarget) -> float:
        """Return the spread over resamples of clusters: of two axes `V_1 + V_2 - V_12`, and at least either's."""
        if self.effect.replicates < 2:
            return float("nan")
        axes = rows.dependence or (np.arange(len(rows)),)
        if len(axes) == 2:
            axes = (*axes, np.unique(np.stack(axes), axis=1, return_inverse=True)[1].reshape(-1))
        variances = [self._variance(rows, table, target, axis) for axis in axes]
        largest = max(variances[:2])
        return float(np.sqrt(max(largest, sum(variances[:2]) - variances[2]) if len(axes) == 3 else largest))

    def _variance(self, rows: LearnerData, table: pd.DataFrame, target: EffectTarget, axis: Ints) -> float:
        estimates = []
        for draw in range(self.effect.replicates):
            taken = resample(axis, np.random.default_rng([self.seed, draw]))
            sample = table.iloc[taken].reset_index(drop=True)
            estimator = self.effect.fit_estimator(sample, rows, self.seed, self.log)
            estimates.append(self.effect.average_effect(estimator, sample, target))
        return float(np.var(estimates, ddof=1))


def resample(clusters: Ints, rng: np.random.Generator) -> Ints:
    """Draw as many clusters as there are, with replacement; return where all their rows are.

    >>> resample(np.array([7, 8, 7]), np.random.default_rng(0)).tolist()
    [1, 1]
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    order, starts = np.argsort(cluster, kind="stable"), np.concatenate([[0], np.cumsum(np.bincount(cluster))])
    draws = rng.integers(len(starts) - 1, size=len(starts) - 1)
    return np.concatenate([order[starts[draw] : starts[draw + 1]] for draw in draws])


def _names(columns: int) -> list[str]:
    return [f"column_{index}" for index in range(columns)]


def _estimator_class(name: str) -> type[Any]:
    """Import an estimator of DoWhy; RequestError where it is none of those that adjust or go by the front door."""
    if any(word in name for word in OTHER_DESIGNS):
        raise RequestError(f"learner.estimator={name}: is not an estimator that YAML can name")
    target = import_class("learner.estimator", name, "dowhy")
    from dowhy.causal_estimator import CausalEstimator

    if not issubclass(target, CausalEstimator) or "fit" not in vars(target):
        raise RequestError(f"learner.estimator={name}: is not an estimator of DoWhy")
    return target
