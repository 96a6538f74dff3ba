"""A task: what showing items uniformly at random would have earned, by inverse propensities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.config.schema import DataRequest, ExperimentConfig
from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError
from causalrec.estimators.bootstrap import cluster_weights, percentile_interval
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slice.base import SliceData
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.overlap import Overlap, overlap
from causalrec.learners.predictor import AbstractPredictor
from causalrec.prepared import PreparedData
from causalrec.tasks.base import AbstractTask
from causalrec.types import Doubles


class AbstractValueEstimator(ABC):
    """Estimates a value from weighted rewards; linear in the rounds' `counts`, for a bootstrap."""

    @abstractmethod
    def estimate(self, weight: Doubles, reward: Doubles, counts: Doubles) -> Doubles:
        """Return the value of each resample, float64[R], of rounds [N] that count `counts[R,N]` times."""


@dataclass(frozen=True, kw_only=True)
class InversePropensity(AbstractValueEstimator):
    """The mean of `weight * reward`."""

    def estimate(self, weight: Doubles, reward: Doubles, counts: Doubles) -> Doubles:
        return counts @ (weight * reward) / counts.sum(axis=1)


@dataclass(frozen=True, kw_only=True)
class SelfNormalised(AbstractValueEstimator):
    """The weighted mean of rewards."""

    def estimate(self, weight: Doubles, reward: Doubles, counts: Doubles) -> Doubles:
        return counts @ (weight * reward) / (counts @ weight)


@dataclass(frozen=True, kw_only=True)
class UniformPolicyValue(AbstractTask):
    """E[Y] under items shown uniformly at random; `estimators` by name."""

    estimand: ClassVar[str] = "uniform_policy_value"
    description: ClassVar[str] = "what another policy would have earned"
    summary: ClassVar[str] = "value of the uniform policy"
    learns: ClassVar[bool] = False

    estimators: Mapping[str, AbstractValueEstimator]

    def formula(self, graph: CausalGraph) -> str:
        return f"E[{graph.outcome}] under items drawn uniformly"

    def check_data(self, request: DataRequest, card: DatasetCard) -> None:
        if not card.logged_propensity:
            raise RequestError(
                f"{request.run.choice('task')}: {card.name} logs no propensities; choose another data set"
            )

    def overlap(self, prepared: PreparedData, clip: float) -> Overlap:
        log = prepared.dataset.logged
        assert log.propensity is not None
        described = vars(prepared.exposure) | {"ece": None, "ece_width": None}
        return overlap(log.propensity, log.outcome, log.num_items, clip=clip, truth=None, **described)

    def scores(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        slices: Sequence[SliceData],
        predictor: AbstractPredictor | None,
        evaluator: Evaluator,
    ) -> Iterable[Score]:
        log, run = prepared.dataset.logged, config.run
        assert log.propensity is not None
        weight = 1 / log.num_items / log.propensity.astype(np.float64)
        reward = log.outcome.astype(np.float64)
        counts = cluster_weights(log.num_users, evaluator.replicates, evaluator.seed)[:, log.users].astype(np.float64)
        for name, estimator in self.estimators.items():
            value = float(estimator.estimate(weight, reward, np.ones((1, len(log))))[0])
            replicates = estimator.estimate(weight, reward, counts)
            low, high = percentile_interval(replicates, evaluator.level)
            yield Score(name, "uniform", value, low, high, len(log), run.name, replicates)
