"""The contract of a task: the question that a run answers, and every answer that differs by question."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from causalrec.config.run_config import RunConfig
from causalrec.config.schema import DataRequest, ExperimentConfig
from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.evaluation.propensity_quality import PropensityFit, judge_propensity
from causalrec.evaluation.refuter.base import RefutationProblem
from causalrec.evaluation.slice.base import AnySliceData
from causalrec.features.views import FeatureMatrix, Views
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.identify import Adjustment, Identification, identify
from causalrec.graph.overlap import Overlap
from causalrec.prepared import PreparedData
from causalrec.propensity.base import AbstractPropensity
from causalrec.records.sections import TaskSection
from causalrec.tasks.catalogue_ranking import CatalogueRanking, CatalogueRequest, score_by_pairs
from causalrec.types import Doubles, Floats, Ints, LabelKind

if TYPE_CHECKING:  # what is asked is judged without torch
    from causalrec.evaluation.evaluator import Evaluator, Score
    from causalrec.learners.predictor import AbstractPredictor


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How a user's items are ranked.

    Attributes:
        column: what the number is called (`predicted`, `effect`, `score`).
        values: float32[N], the higher the better.
        interval: its ends, float64[N] each, where they are valid; they hold for all N at once.
        outcomes: the mean outcome without and with exposure, float64[N] each, where `values` is their difference.
        note: what must be read with it, one line.
    """

    column: str
    values: Floats
    interval: tuple[Doubles, Doubles] | None = None
    outcomes: tuple[Doubles, Doubles] | None = None
    note: str | None = None


class AbstractTask(ABC):
    """A question that a run can answer. Constructor keywords are its YAML keys; concrete classes are final.

    What a task needs alone (policies, environments, estimators of a value) are keywords of its constructor: components
    found in groups below conf/task. Its YAML names its default slices, metrics and baselines.

    Attributes:
        estimand: of what its numbers are estimates; an objective or a baseline that says another one is refused.
        description: of the estimand, a clause for the footnote of a table ("a debiased outcome, not an effect").
        summary: what the means of the overlap report estimate, as words of a sentence.
        mandatory_baselines: names that its runs must have.
        label_kinds: of slices that judge what it asks for; another slice is refused.
        learns: whether it needs a learner.
        contrasts_exposure: whether it asks for what exposure changes, so that the treatment must be free of causes
            where it was drawn at random, and a front door or instruments may identify it.
    """

    estimand: ClassVar[str]
    description: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    mandatory_baselines: ClassVar[frozenset[str]] = frozenset()
    label_kinds: ClassVar[frozenset[LabelKind]] = frozenset()
    learns: ClassVar[bool] = True
    contrasts_exposure: ClassVar[bool] = False

    def check(self, config: ExperimentConfig, card: DatasetCard) -> None:
        """Raise RequestError where what fits does not answer the question on these data; no file is read."""
        self._check_average(config.run)
        if self.learns and config.learner is None:
            raise RequestError(f"learner=null: {config.run.choice('task')} needs a learner; set learner=network")
        learner = config.components.learner
        if learner is None:
            return
        source = "objective" if "objective" in learner.groups else "learner"
        self.check_estimand(config.run, source, learner.estimand(config))
        learner.check(config, card)

    def _check_average(self, run: RunConfig) -> None:
        """Raise RequestError where an average effect is asked of a question that has none."""
        evaluation = run.evaluation
        if self.contrasts_exposure or (evaluation.target == "all" and not evaluation.trim):
            return
        setting = f"target={evaluation.target}" if evaluation.target != "all" else f"trim={evaluation.trim:g}"
        raise RequestError(
            f"evaluation.{setting}: is of average effects, but {run.choice('task')} asks for {self.estimand}; leave it "
            f"out, or set task=effect"
        )

    def check_estimand(self, run: RunConfig, source: str, estimated: str) -> None:
        """Raise RequestError where an objective or a learner (`source`) estimates something else."""
        if estimated != self.estimand:
            raise RequestError(
                f"{run.choice(source)}: estimates {estimated}, but {run.choice('task')} asks for {self.estimand}; "
                f"choose another {source}, or set task={estimated}"
            )

    def check_data(self, request: DataRequest, card: DatasetCard) -> None:
        """Raise RequestError where these data, or propensities of this kind, cannot answer the question."""
        return

    def check_rows(self, dataset: CausalDataset, config: ExperimentConfig) -> None:
        """Raise DataError where the rows, once loaded, cannot answer the question."""
        return

    def check_baselines(self, request: DataRequest) -> None:
        """Raise RequestError where a mandatory baseline is missing, or one predicts something else."""
        fits, run = ",".join(sorted(self.mandatory_baselines)), request.run
        if missing := sorted(self.mandatory_baselines - set(request.baseline)):
            raise RequestError(
                f"baseline: {', '.join(missing)} missing; the trivial baselines are mandatory for "
                f"{run.choice('task')}: add them, or set baseline=[{fits}]"
            )
        for name, baseline in request.baseline.items():
            if baseline.target.estimand != self.estimand:
                raise RequestError(
                    f"baseline={name}: predicts {baseline.target.estimand}, but {run.choice('task')} asks for "
                    f"{self.estimand}; set baseline=[{fits}]"
                )

    def identify(self, request: DataRequest | ExperimentConfig, card: DatasetCard) -> Adjustment:
        """Identify the estimand from the graph and the card; raise RequestError or NotIdentified."""
        return identify(
            request.components.graph,
            card,
            estimand=self.estimand,
            contrasts_exposure=self.contrasts_exposure,
            use_logged_propensity=request.propensity.target.uses_logged,
        )

    def check_identified(
        self, config: ExperimentConfig, card: DatasetCard, training: Identification, views: Views
    ) -> None:
        """Raise RequestError where what identifies the estimand is not what the learner goes by.

        Args:
            config: of the job.
            card: of the data set.
            training: what identifies the estimand on the training rows.
            views: the columns that each model reads.
        """
        return

    def check_prepared(self, config: ExperimentConfig, prepared: PreparedData) -> None:
        """Raise RequestError or DataError where what is prepared cannot answer the question; nothing is trained yet."""
        return

    def describe_exposure(
        self, log: InteractionLog, propensity: AbstractPropensity, view: FeatureMatrix, causes: FeatureMatrix
    ) -> PropensityFit:
        """Judge the fitted propensities of training rows.

        Args:
            log: the rows.
            propensity: fitted.
            view: the numbers of the propensity view.
            causes: those of the columns that treatment must not follow.
        """
        return judge_propensity(log, propensity, view)

    @abstractmethod
    def overlap(self, prepared: PreparedData, clip: float) -> Overlap:
        """Return what the weights rest on; `clip`: the least propensity that the objective divides by."""

    def scores(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        slices: Sequence[AnySliceData],
        predictor: AbstractPredictor | None,
        evaluator: Evaluator,
    ) -> Iterable[Score]:
        """Return scores beyond the metrics of the slices.

        Args:
            config: of the job.
            prepared: what stood before its fits.
            slices: the rows that the job is scored on.
            predictor: what was learnt; None where the task learns nothing.
            evaluator: of the metrics, with its bootstrap.
        """
        return ()

    def section(self, config: ExperimentConfig) -> TaskSection:
        """Return what the record says of the question; its footnotes stand under every table."""
        clause = f" ({self.description})" if self.description else ""
        return TaskSection(
            name=config.run.chosen_name("task") or "",
            estimand=self.estimand,
            description=f"{self.estimand}: {self.formula(config.components.graph)}",
            footnotes=(f"Estimand: {self.estimand}{clause}.",),
            summary=self.summary,
        )

    @abstractmethod
    def formula(self, graph: CausalGraph) -> str:
        """Write the estimand by the graph's names of exposure and outcome."""

    def footnotes(self, config: ExperimentConfig, prepared: PreparedData) -> tuple[str, ...]:
        """Return what must be read under a table of this run, a sentence each."""
        return ()

    def rank(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        predictor: AbstractPredictor,
        user: Ints,
        item: Ints,
        treatment: int,
        *,
        values_alone: bool = False,
    ) -> Ranking:
        """Say how (user, item) pairs are ranked; RequestError where the task ranks nothing.

        Args:
            config: of the job.
            prepared: what stood before its fits.
            predictor: what was learnt.
            user: int64[N].
            item: int64[N].
            treatment: the arm whose effect ranks them, 1..A.
            values_alone: whether nothing is asked for beside the numbers: intervals of many pairs take time.
        """
        raise RequestError(f"{config.folder}: {config.run.choice('task')} ranks no items")

    def rank_catalogue(
        self, config: ExperimentConfig, prepared: PreparedData, predictor: AbstractPredictor, request: CatalogueRequest
    ) -> CatalogueRanking:
        """Say how all items of many users are ranked, as `rank` ranks those of one; by default by it, pair by pair.

        Args:
            config: of the job.
            prepared: what stood before its fits.
            predictor: what was learnt.
            request: the arm, and the memory that a block may take.
        """
        from causalrec.evaluation.catalogue_predictions import PAIR_BYTES

        def rank(user: Ints, item: Ints) -> Ranking:
            return self.rank(config, prepared, predictor, user, item, request.treatment, values_alone=True)

        first, items = rank(*np.zeros((2, 1), np.int64)), prepared.dataset.logged.num_items
        score = score_by_pairs(lambda *pairs: rank(*pairs).values, items, max(1, request.memory // PAIR_BYTES))
        return CatalogueRanking(column=first.column, score=score, note=first.note)

    def problem(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        *,
        seed: int,
        controls: Sequence[str],
        repeats: int,
    ) -> tuple[RefutationProblem, str]:
        """Return what refuters may attack, and how it was estimated, in words; RequestError where there is nothing.

        Args:
            config: of the job.
            prepared: what stood before its fits.
            seed: of what the refuters draw.
            controls: names of columns that exposure cannot have changed (negative controls).
            repeats: how often a refuter estimates anew.
        """
        raise RequestError(
            f"{config.folder}: estimates {self.estimand}, not an effect; its overlap and baselines are in the record. "
            f"Runs of task=effect can be refuted; of this one, what its sources are good for (refuter=[placebo_source])"
        )
