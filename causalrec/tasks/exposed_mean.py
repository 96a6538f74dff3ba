"""The mean outcome under exposure: what a user would say of an item that was shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from causalrec.config.schema import DataRequest, ExperimentConfig
from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.truth import Oracle
from causalrec.errors import DataError, RequestError
from causalrec.evaluation.slice.base import OUTCOME_KINDS, AnySliceData, SliceData
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.overlap import Overlap, overlap
from causalrec.prepared import PreparedData
from causalrec.tasks.base import AbstractTask, Ranking
from causalrec.tasks.catalogue_ranking import CatalogueRanking, CatalogueRequest, score_catalogue
from causalrec.types import Ints, LabelKind

if TYPE_CHECKING:
    from causalrec.evaluation.evaluator import Evaluator, Score
    from causalrec.learners.predictor import AbstractPredictor

PAIRS_AT_ONCE = 1 << 20  # whose true rates are held


@dataclass(frozen=True, kw_only=True)
class ExposedMean(AbstractTask):
    """E[Y | do(exposure = 1)], by user and item: a debiased outcome."""

    estimand: ClassVar[str] = "exposed_mean"
    description: ClassVar[str] = "a debiased outcome, not an effect"
    summary: ClassVar[str] = "mean outcome over all pairs"
    mandatory_baselines: ClassVar[frozenset[str]] = frozenset({"constant", "popularity", "item_mean", "bias_logistic"})
    label_kinds: ClassVar[frozenset[LabelKind]] = OUTCOME_KINDS

    def formula(self, graph: CausalGraph) -> str:
        return f"E[{graph.outcome} | do({graph.exposure})], {self.description}"

    def check_data(self, request: DataRequest, card: DatasetCard) -> None:
        if card.arms:
            raise RequestError(
                f"{request.run.choice('task')}: rows without treatment have outcomes in {card.name}, so that it can be "
                f"asked what treatment changes; set task=effect"
            )

    def check_rows(self, dataset: CausalDataset, config: ExperimentConfig) -> None:
        """Raise DataError where unexposed rows have outcomes, which would be averaged as if they were exposed."""
        unexposed = int(((dataset.logged.treatment == 0) & np.isfinite(dataset.logged.outcome)).sum())
        if unexposed:
            raise DataError(
                f"{dataset.card.name}: {unexposed:,} of {len(dataset.logged):,} logged rows are not exposed and have "
                f"an outcome, which is none under exposure; drop them, or name the arms (of csv, dataset.arms) and ask "
                f"for task=effect"
            )

    def overlap(self, prepared: PreparedData, clip: float) -> Overlap:
        log, dataset, truth = prepared.train, prepared.dataset, None
        assert log.propensity is not None
        if dataset.oracle is not None:
            truth = _mean_rate(dataset.oracle, log)
        described = vars(prepared.exposure)
        return overlap(log.propensity, log.outcome, log.population, clip=clip, truth=truth, **described)

    def scores(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        slices: Sequence[AnySliceData],
        predictor: AbstractPredictor | None,
        evaluator: Evaluator,
    ) -> Iterable[Score]:
        """Return the mean outcome over all pairs, unless every logged outcome is positive."""
        if prepared.dataset.card.feedback != "positive_only":  # else every outcome is one
            yield evaluator.exposed_mean(prepared.train, config.run.name)

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
        """Rank pairs by the predicted mean outcome."""
        from causalrec.evaluation.catalogue_predictions import means

        nothing = np.zeros(len(item), np.float32)
        users = prepared.dataset.logged.num_users
        candidates = SliceData(name="asked", kind="rate", user=user, item=item, label=nothing, num_users=users)
        return Ranking(column="predicted", values=means(predictor(candidates)))

    def rank_catalogue(
        self, config: ExperimentConfig, prepared: PreparedData, predictor: AbstractPredictor, request: CatalogueRequest
    ) -> CatalogueRanking:
        """Rank by the predicted mean outcome, by products of towers where the model has some."""
        return CatalogueRanking(column="predicted", score=score_catalogue(prepared, predictor, request, "rate"))


def _mean_rate(oracle: Oracle, log: InteractionLog) -> float:
    """Return the mean true outcome of all pairs, from blocks of users."""
    items, step = log.pool_items[None, :], max(1, PAIRS_AT_ONCE // log.num_items)
    users = (log.pool_users[start : start + step] for start in range(0, len(log.pool_users), step))
    return sum(float(oracle.rate(block[:, None], items).sum(dtype=np.float64)) for block in users) / log.num_pairs
