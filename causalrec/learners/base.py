"""The contract of a learner: it says its fits in rounds, so that a launcher can make those of many jobs at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from causalrec.config.schema import ExperimentConfig
from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError
from causalrec.estimators.effect.base import Design, FitEffect
from causalrec.features.views import Views
from causalrec.learners.predictor import AbstractPredictor
from causalrec.prepared import PreparedData
from causalrec.records.sections import SelectionSection
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import FitResult
from causalrec.training.folds import Folds
from causalrec.training.selection import SelectedFit
from causalrec.types import ModelSource

Fitter = Callable[[list[FitRequest]], Sequence[FitResult | Exception]]


class AbstractLearner(ABC):
    """What fits. Constructor keywords are its YAML keys; it holds no state: each method is handed the job.

    Attributes:
        groups: the groups of the configuration that it reads beside those of every run; a value asked for in another
            one is refused.
        fits_validation: whether it is fitted on the validation rows too, as it chooses nothing by them.
        reload_reads_propensities: whether what a finished job has learnt is made of propensities again.
        fixed_estimand: of what its prediction is an estimate, whatever it is made of; None: its objective says.
    """

    groups: ClassVar[frozenset[str]] = frozenset()
    fits_validation: ClassVar[bool] = False
    reload_reads_propensities: ClassVar[bool] = True
    fixed_estimand: ClassVar[str | None] = None

    @property
    def design(self) -> Design:
        """By what it identifies an effect: it adjusts for columns, or reads instruments or a mediator beside them."""
        return "adjustment"

    @property
    def varies_by_controls(self) -> bool:
        """Whether the effects it predicts depend on the controls too, not on the modifiers alone."""
        return True

    @abstractmethod
    def estimand(self, config: ExperimentConfig) -> str:
        """Return of what its prediction is an estimate, as the tasks name their estimands."""

    @abstractmethod
    def check(self, config: ExperimentConfig, card: DatasetCard) -> None:
        """Raise RequestError where the parts it reads do not go together, or not with these data; nothing is read."""

    @abstractmethod
    def check_views(self, config: ExperimentConfig, card: DatasetCard, views: Views) -> None:
        """Raise RequestError where it cannot read the columns that the graph gives it."""

    def certify(self, config: ExperimentConfig, *, stacked: bool) -> None:  # noqa: B027  # most have nothing to show
        """Raise RequestError where what it minimises is not what it claims to be; asked before the first fit of a job.

        `stacked`: whether the job's fits train beside others as one program.
        """

    @abstractmethod
    def columns_read(self, views: Views) -> tuple[str, ...]:
        """Return the columns of the views that it reads."""

    def extra_views(self, views: Views) -> dict[str, tuple[str, ...]]:
        """Return the views that it reads beside the outcome view, by the name that the record gives them."""
        return {}

    def folds(self, config: ExperimentConfig, validation_rows: int) -> Folds:
        """Return by how many folds a fit is chosen; a learner that chooses nothing has one."""
        return Folds(1)

    def submodels(self, config: ExperimentConfig, views: Views) -> Mapping[str, ExperimentConfig]:
        """Return the jobs of the models that the job's contains as special cases, by name; none by default."""
        return {}

    @abstractmethod
    def first(self, config: ExperimentConfig, prepared: PreparedData) -> list[FitRequest]:
        """Return the fits of the first round; none where it fits by itself."""

    def then(self, config: ExperimentConfig, prepared: PreparedData, results: Sequence[FitResult]) -> list[FitRequest]:
        """Return the fits of the next round, given the results of all before; none where all are made."""
        return []

    def without_sources(self, config: ExperimentConfig, views: Views) -> Mapping[ModelSource, ExperimentConfig]:
        """Return the job without each source of the data that it reads and could be trained without; none by default.

        All else is as in the job: that is what a source's gain is over.
        """
        return {}

    @abstractmethod
    def predictor(
        self, config: ExperimentConfig, prepared: PreparedData, results: Sequence[FitResult]
    ) -> AbstractPredictor:
        """Return what predicts, from the results of every round."""

    def selection(
        self, config: ExperimentConfig, prepared: PreparedData, results: Sequence[FitResult]
    ) -> SelectedFit | None:
        """Return the fit that was chosen and its candidates; None where nothing was."""
        return None

    @abstractmethod
    def reload(
        self, config: ExperimentConfig, prepared: PreparedData, selection: SelectionSection
    ) -> AbstractPredictor:
        """Return what a finished job has learnt; `selection`: of its record.

        Raises RequestError where the weights are gone, DataError where they are damaged.
        """

    def extend(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        extended: PreparedData,
        predictor: AbstractPredictor,
        selection: SelectionSection,
    ) -> AbstractPredictor:
        """Return what was learnt as something that predicts new users and items too, by their columns.

        Args:
            config: of the job.
            prepared: what stood before its fits.
            extended: the same with the new ids behind the others.
            predictor: of the ids of `prepared`.
            selection: of its record.
        """
        raise RequestError(
            f"{config.run.choice('learner')}: predicts no users or items that it was not handed at first"
        )

    @property
    def refit(self) -> FitEffect | None:
        """What learns an effect from changed rows again, for refuters; None where it cannot."""
        return None

    def fit(self, config: ExperimentConfig, prepared: PreparedData, fitter: Fitter) -> AbstractPredictor:
        """Make every round by `fitter` and return what predicts; raise what a fit raised."""
        results: list[FitResult] = []
        requests = self.first(config, prepared)
        while requests:
            for result in fitter(requests):
                if isinstance(result, Exception):
                    raise result
                results.append(result)
            requests = self.then(config, prepared, results)
        return self.predictor(config, prepared, results)
