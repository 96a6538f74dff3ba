"""The mean outcome by an estimator of scikit-learn, named in YAML: the reward models of off-policy evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from causalrec.config.schema import ExperimentConfig
from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError
from causalrec.estimators.effect.fit_log import FitLog
from causalrec.estimators.effect.nuisance import Model, build_sklearn_model, silence_warnings
from causalrec.evaluation.slice.base import SliceData
from causalrec.features.views import Views
from causalrec.learners.base import AbstractLearner
from causalrec.learners.outcome_columns import Matrix, OutcomeColumns
from causalrec.learners.predictor import AbstractPredictor
from causalrec.learners.table_columns import log_to_fit
from causalrec.prepared import PreparedData
from causalrec.records.sections import SelectionSection
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import FitResult
from causalrec.types import Doubles, Floats

SklearnModel = Any  # scikit-learn has no types
LOGISTIC: Model = {"estimator": "sklearn.linear_model.LogisticRegression", "C": 100, "tol": 1e-8, "max_iter": 10_000}


@dataclass(frozen=True, kw_only=True)
class RegressionLearner(AbstractLearner):
    """E[Y | x] of exposed rows by one estimator of scikit-learn over the outcome view, in the unit of the outcome.

    It reads numbers and levels as columns, and a 0/1 column for each user and item where the graph names their ids, on
    training and validation rows, unweighted; it chooses nothing by the latter. A 0/1 outcome is learnt by a classifier,
    whose probability of 1 is the prediction; where all outcomes are the same, it predicts that value. Texts are read by
    a frozen language model (`encoder=bert`), as principal components; vectors likewise.

    Assumption: no unmeasured confounding given the outcome view, and the estimator's own form; as the reward model of a
    doubly robust value it need not hold. Source: the reward models of Open Bandit Pipeline (Saito et al., NeurIPS D&B
    2021), whose logistic regression has C = 100. Raises RequestError where a class or an argument is not allowed.

    Attributes:
        model: the estimator of a numeric outcome, a regressor of scikit-learn, and arguments of its constructor.
        binary_model: of a 0/1 outcome, a classifier.
    """

    groups: ClassVar[frozenset[str]] = frozenset({"encoder", "finetuning", "representation"})
    fits_validation: ClassVar[bool] = True
    fixed_estimand: ClassVar[str | None] = "exposed_mean"

    model: Model = field(default_factory=lambda: {"estimator": "sklearn.linear_model.RidgeCV"})
    binary_model: Model = field(default_factory=lambda: dict(LOGISTIC))

    def __post_init__(self) -> None:
        for binary in (False, True):
            estimator = self._build(binary=binary, seed=0)
            if binary and not hasattr(estimator, "predict_proba"):
                raise RequestError(
                    f"learner.binary_model.estimator={self.binary_model['estimator']}: gives no probabilities; choose "
                    f"a classifier that has predict_proba"
                )

    def estimand(self, config: ExperimentConfig) -> str:
        return "exposed_mean"

    def check(self, config: ExperimentConfig, card: DatasetCard) -> None:
        choice = config.run.choice("learner")
        if config.run.selection.folds not in ("auto", 1):
            raise RequestError(
                f"selection.folds={config.run.selection.folds}: {choice} is fitted once, on training and validation "
                f"rows, and chooses nothing by folds; leave it out"
            )
        if config.finetuning.target.trains:
            raise RequestError(
                f"{config.run.choice('finetuning')}: {choice} reads text by a model that stays as it was pretrained; "
                f"set finetuning=frozen"
            )
        if card.bin_edges:
            raise RequestError(f"{choice}: predicts one mean, but {card.name} has classes; leave dataset.bin_edges out")
        if card.feedback == "positive_only":
            raise RequestError(
                f"{choice}: every logged outcome of {card.name} is positive, so that there is nothing to regress; set "
                f"learner=network"
            )

    def check_views(self, config: ExperimentConfig, card: DatasetCard, views: Views) -> None:
        """Raise RequestError where there is no column to read, or where an adjusted one is text that nobody reads."""
        choice = config.run.choice("learner")
        unread = set() if config.encoder.target.reads_text else {"text"}
        kinds = {name: card.column(name).kind for name in {*views.outcome, *views.propensity}}
        if names := sorted(name for name in views.propensity if kinds[name] in unread):
            raise RequestError(
                f"{choice}: learns from numbers, but the graph adjusts for {', '.join(names)}; have text read by "
                f"encoder=bert"
            )
        if not any(kinds[name] not in unread for name in views.outcome):
            raise RequestError(
                f"{choice}: learns from numbers, but the graph gives it none ({', '.join(views.outcome) or 'no column'}"
                f"); name causes of the outcome in graph.edges, or have text read by encoder=bert"
            )

    def columns_read(self, views: Views) -> tuple[str, ...]:
        return views.outcome

    def first(self, config: ExperimentConfig, prepared: PreparedData) -> list[FitRequest]:
        return []

    def predictor(
        self, config: ExperimentConfig, prepared: PreparedData, results: Sequence[FitResult]
    ) -> RegressionPredictor:
        log, columns = log_to_fit(prepared), OutcomeColumns.from_view(config, prepared)
        outcome, fit_log = log.outcome.astype(np.float64), FitLog()
        low, high = float(outcome.min()), float(outcome.max())
        if low == high:
            return RegressionPredictor(columns, None, low, fit_log)
        binary = prepared.dataset.card.outcome == "click"
        estimator = self._build(binary=binary, seed=config.run.seed, log=fit_log)
        if not reads_sparse(estimator):
            columns.require_memory(len(log), config.run.choice("learner"))
        design = as_read(columns.read(log.users, log.item, log), estimator)
        with silence_warnings(config.run.choice("learner")):
            estimator.fit(design, outcome)
        return RegressionPredictor(columns, estimator, high, fit_log)

    def reload(
        self, config: ExperimentConfig, prepared: PreparedData, selection: SelectionSection
    ) -> RegressionPredictor:
        return self.predictor(config, prepared, ())

    def _build(self, *, binary: bool, seed: int, log: FitLog | None = None) -> SklearnModel:
        if binary:
            return build_sklearn_model("learner.binary_model", self.binary_model, "classifier", seed, log)
        return build_sklearn_model("learner.model", self.model, "regressor", seed, log)


class RegressionPredictor(AbstractPredictor):
    """A fitted estimator and the columns that it reads.

    Args:
        columns: of rows.
        estimator: of scikit-learn, fitted; None: all outcomes were the same.
        constant: what is then predicted.
        log: how the fit ended.
    """

    def __init__(self, columns: OutcomeColumns, estimator: SklearnModel, constant: float, log: FitLog) -> None:
        self.columns, self.estimator, self.constant, self.log = columns, estimator, constant, log

    def __call__(self, rows: SliceData) -> Floats:
        if self.estimator is None:
            return np.full(len(rows.item), self.constant, np.float32)
        design = as_read(self.columns.read(rows.user, rows.item, rows), self.estimator)
        return mean_outcome(self.estimator, design).astype(np.float32)

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.log.lines


def mean_outcome(estimator: SklearnModel, design: Matrix) -> Doubles:
    """Return the predictions of a fitted estimator, of a classifier the probability of its last class, float64[N]."""
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(design)[:, -1], np.float64)
    return np.asarray(estimator.predict(design), np.float64)


def reads_sparse(estimator: SklearnModel) -> bool:
    """Whether an estimator of scikit-learn says that it takes sparse rows."""
    return bool(estimator.__sklearn_tags__().input_tags.sparse)


def as_read(design: sparse.csr_matrix, estimator: SklearnModel) -> Matrix:
    """Return sparse rows as the estimator takes them."""
    return design if reads_sparse(estimator) else np.asarray(design.toarray())
