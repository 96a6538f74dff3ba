"""Every learner of EconML for a discrete treatment, named in YAML: no Python per learner."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from causalrec.errors import DataError, RequestError
from causalrec.estimators.effect.aipw import CrossFit
from causalrec.estimators.effect.averages import DESCRIPTIONS
from causalrec.estimators.effect.base import AbstractFittedEffect, Design, LearnerData
from causalrec.estimators.effect.fit_log import FitLog
from causalrec.estimators.effect.nuisance import (
    Kind,
    Model,
    Plain,
    build_sklearn_model,
    check_keys,
    check_words,
    constructor_parameters,
    import_class,
    silence_warnings,
)
from causalrec.learners.econml_fitted import FittedByInstrument, FittedEconML
from causalrec.learners.econml_unit import fit_standardised
from causalrec.learners.table import AbstractTableLearner
from causalrec.types import EffectTarget

RUN_SETS = {"discrete_treatment", "discrete_outcome", "treatment_featurizer", "categories", "random_state"}
RUN_SETS |= {"discrete_instrument", "allow_missing", "use_ray", "ray_remote_func_options", "enable_federation"}
TREATMENT_MODELS = {"model_t", "model_propensity", "propensity_model"}
TREATMENT_MODELS |= {"model_t_final", "propensity_model_final", "model_t_xw", "model_t_xwz"}
EFFECT_MODELS = {"model_final", "cate_models", "final_models"}
WORDS = {  # that arguments may be, beside numbers
    **dict.fromkeys(("alpha", "alpha_cov", "batch_size"), ("auto",)),
    "criterion": ("mse", "het"),
    "max_features": ("auto", "sqrt", "log2"),
    "mc_agg": ("mean", "median"),
    "prel_cate_approach": ("driv", "dmliv"),
    "backend": ("threading",),  # joblib's others start processes
}


@dataclass(frozen=True, kw_only=True)
class EconML(AbstractTableLearner):
    """E[Y(a) - Y(0) | x] by a conditional-effect estimator of EconML, arm 0 the control.

    Attributes:
        learner: its class, below `econml.`.
        arguments: plain values of its constructor.
        models: its nuisance models (and `featurizer`), classes of scikit-learn; all must be named, as EconML's own
            choice searches for minutes.
        binary_models: replace `models` where the outcome is 0 or 1, as classifiers (`discrete_outcome` is then set);
            without them, and in metalearners, regressors of the 0/1 outcome serve.
        average: nuisances of the average effect, which is doubly robust whatever the learner; of a learner that takes
            Z, of the effect on compliers. None: there is no average.

    Folds keep users whole. A learner that takes no W reads it as further columns of X; one that takes Z reads the
    graph's instruments, as numbers. Intervals are EconML's own where rows are independent (no user has two), else there
    are none. Fits of models that warn of not having converged are counted, and stand in the record; scikit-learn's
    LogisticRegression warns of nothing where its tolerance is reached too early, so give it a small `tol` (as the YAML
    of every learner does). The mean of the learner's own effects is no average effect where its final stage is wrong:
    it is reported only where instruments are several or no coin, as `projected_effect`.
    Assumption: no unmeasured confounding given X and W, every arm possible; of one
    that takes Z, valid and relevant instruments given X and W, and an effect that does not vary with what is hidden.
    Source: Chernozhukov et al. (Econometrics Journal 2018), Kennedy (EJS 2023), Künzel et al. (PNAS 2019), Athey,
    Tibshirani & Wager (Annals of Statistics 2019). Raises RequestError where a class or an argument is not allowed,
    DataError where the learner fails on the rows. A numeric outcome is learnt in standard deviations from its mean, so
    that penalties weigh alike in any unit; what is said of it is in its own.
    """

    learner: str
    arguments: Mapping[str, Plain] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    binary_models: Mapping[str, Model] = field(default_factory=dict)
    average: CrossFit | None = None

    def __post_init__(self) -> None:
        parameters = constructor_parameters(_learner_class(self.learner))
        nuisances = {key for key in parameters if _is_model(key)}
        for key in self.arguments:
            if key in RUN_SETS:
                raise RequestError(f"learner.arguments.{key}: is set by the run; leave it out")
            if key in nuisances:
                raise RequestError(f"learner.arguments.{key}: is a model; name it in learner.models.{key}")
        check_keys("learner.arguments", self.arguments, parameters.keys() - RUN_SETS - nuisances)  # type: ignore[arg-type]
        check_words("learner.arguments", self.arguments, WORDS)
        for name, models in (("models", self.models), ("binary_models", self.binary_models)):
            check_keys(f"learner.{name}", models, dict.fromkeys(nuisances))
        projects = self.arguments.get("projection")  # of a learner that may, one of two models is never fitted
        unused = {"model_z_xw" if projects else "model_t_xwz"} if "projection" in parameters else set()
        for key in sorted((nuisances - unused) & {k for k, p in parameters.items() if p.default is not None}):
            if key not in self.models:
                raise RequestError(f"learner.models.{key}: name the model; the choice of {self.learner} takes minutes")
        self._models(binary=False, seed=0)
        self._models(binary=True, seed=0)

    @property
    def design(self) -> Design:
        takes = inspect.signature(_learner_class(self.learner).fit).parameters
        return "instrument" if "Z" in takes else "adjustment"

    @property
    def varies_by_controls(self) -> bool:
        return "W" not in inspect.signature(_learner_class(self.learner).fit).parameters

    @property
    def targets(self) -> frozenset[EffectTarget]:
        return frozenset(DESCRIPTIONS) if self.design == "adjustment" and self.average else super().targets

    @property
    def trims(self) -> bool:
        return self.design == "adjustment"

    def fit_rows(self, rows: LearnerData, seed: int) -> AbstractFittedEffect:
        if not rows.modifiers.shape[1]:
            raise DataError(f"effect: {self.learner} has no column by which the effect may vary; name one at least")
        target = _learner_class(self.learner)
        parameters, takes = constructor_parameters(target), inspect.signature(target.fit).parameters
        ours: dict[str, Any] = {
            "discrete_treatment": True,
            "discrete_outcome": rows.binary and bool(self.binary_models),
        }
        ours |= {"categories": list(range(rows.arms + 1)), "random_state": seed}
        arguments = {key: value for key, value in ours.items() if key in parameters}
        columns: dict[str, Any] = {"X": rows.modifiers if "W" in takes else rows.features}
        if "W" in takes and rows.controls.shape[1]:
            columns["W"] = rows.controls
        if "Z" in takes:
            if rows.instruments_or_mediator is None:
                raise DataError(f"effect: {self.learner} reads instruments, and these rows have none")
            columns["Z"] = rows.instruments_or_mediator
        if "groups" in takes and rows.groups is not None:
            columns["groups"] = rows.groups
            folds = self.arguments.get("cv", parameters["cv"].default if "cv" in parameters else None)
            if isinstance(folds, int):
                rows.check_folds(folds)
        log = FitLog()
        with silence_warnings(self.learner, log):
            learner = target(**arguments, **self.arguments, **self._models(binary=rows.binary, seed=seed, log=log))
            learner = fit_standardised(learner, rows, columns)
        fitted = FittedEconML(learner, self.learner, rows, "W" in takes, self.average, seed, log)
        return FittedByInstrument(fitted) if self.design == "instrument" else fitted

    def _models(self, *, binary: bool, seed: int, log: FitLog | None = None) -> dict[str, Any]:
        """Construct the models for an outcome of this kind."""
        chosen = {**self.models, **self.binary_models} if binary else self.models
        classify = (
            binary
            and "discrete_outcome" in constructor_parameters(_learner_class(self.learner))
            and bool(self.binary_models)
        )
        named = {key: (f"learner.{self._home(key, binary)}.{key}", model) for key, model in chosen.items()}
        return {
            key: build_sklearn_model(where, model, _kind(key, classify), seed, log)
            for key, (where, model) in named.items()
        }

    def _home(self, key: str, binary: bool) -> str:
        return "binary_models" if binary and key in self.binary_models else "models"


def _learner_class(name: str) -> type[Any]:
    """Import a learner of effects of EconML; RequestError where it is none, or asks for more than the rows hold."""
    target = import_class("learner.learner", name, "econml")
    from econml._cate_estimator import BaseCateEstimator

    if not issubclass(target, BaseCateEstimator) or inspect.isabstract(target):
        raise RequestError(f"learner.learner={name}: is not a learner of conditional effects")
    if target.__module__.startswith("econml.panel"):
        raise RequestError(f"learner.learner={name}: needs a panel, which no log here has")
    if "categories" not in constructor_parameters(target):
        raise RequestError(f"learner.learner={name}: cannot be told which arm is the control; choose another")
    return target


def _is_model(key: str) -> bool:
    return key == "featurizer" or ("model" in key and key != "multitask_model_final")


def _kind(key: str, classify: bool) -> Kind:
    """Say what a model must be: the treatment is one of several arms, an effect a number."""
    if key == "featurizer":
        return "transformer"
    if key.lower() in TREATMENT_MODELS:
        return "classifier"
    return "classifier" if classify and key not in EFFECT_MODELS else "regressor"
