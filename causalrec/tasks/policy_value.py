"""The value of policies that did not write the log: what another recommender would have earned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.config.run_config import RunConfig
from causalrec.config.schema import DataRequest, ExperimentConfig
from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.popularity import LEVELS
from causalrec.errors import DataError, RequestError
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.interval.base import AbstractValueInterval
from causalrec.estimators.policy_value.rounds import ActionFeatures
from causalrec.evaluation.slice.base import AnySliceData
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.identify import Adjustment, Identification
from causalrec.graph.overlap import Overlap, overlap
from causalrec.policies.base import AbstractPolicy
from causalrec.policies.estimator_ranking import DRAWS, EstimatorRanking
from causalrec.policies.evaluation import PolicyEvaluation, check_inputs
from causalrec.policies.report import PolicyReport, SlopeWidths
from causalrec.policies.support import check_logged_propensities, check_support
from causalrec.prepared import PreparedData
from causalrec.tasks.action_features import action_features
from causalrec.tasks.base import AbstractTask
from causalrec.tasks.judged_rounds import JudgedRounds
from causalrec.types import Count, LabelKind

if TYPE_CHECKING:
    from causalrec.evaluation.evaluator import Evaluator, Score
    from causalrec.learners.predictor import AbstractPredictor

UNIFORM = "uniform"
FIXES: Mapping[str, str] = {
    "model": "reads a model of the reward; set learner=network",
    "logging_distribution": "reads the probability of every action under the policy that wrote the log, which this "
    "data set does not hold; name a model of it, task.logging_policy",
}


@dataclass(frozen=True, kw_only=True)
class PolicyValue(AbstractTask):
    """E[Y] where actions are drawn from another policy than the log's: off-policy evaluation.

    Attributes:
        policies: whose value is estimated, by name; `uniform` is mandatory.
        value_estimators: by name.
        interval: how intervals are made.
        logging_policy: a model of the policy that wrote the log, where the data set does not hold its probabilities of
            every action (or to have estimated propensities in place of those logged); None: the data set's own.
        folds: 1 evaluates the test rows by a model of the training rows; more evaluate all logged rows, each by a model
            that learnt from the other folds; None: 1, or 2 where the split tests on other rows than the log's.
        compare_to: the policy that the others' values are compared with; `logged` is the one that wrote the log.
        assume_support: evaluate policies with mass on actions that the log could not have taken, with a footnote.
        action_clusters: of the vectors of actions, for estimators that read clusters.
        rank_estimators: show beside the values how far each estimator is from the truth where rewards are drawn anew by
            a generator fitted to the rounds (`EstimatorRanking`); nothing is chosen by it.
        ranking_draws: how often they are; None: 50.
        slope_widths: what SLOPE chooses a parameter by: `intervals` of the candidates, as published, or standard errors
            of their `differences`, which see a bias sooner.
    """

    estimand: ClassVar[str] = "policy_value"
    description: ClassVar[str] = "the mean reward had another policy chosen the actions"
    summary: ClassVar[str] = "mean reward of actions drawn uniformly"
    label_kinds: ClassVar[frozenset[LabelKind]] = frozenset()
    learns: ClassVar[bool] = False

    policies: Mapping[str, AbstractPolicy]
    value_estimators: Mapping[str, AbstractValueEstimator]
    interval: AbstractValueInterval
    logging_policy: AbstractPolicy | None = None
    folds: Annotated[int, Field(ge=1)] | None = None
    compare_to: str = "logged"
    assume_support: bool = False
    action_clusters: Count = 50
    rank_estimators: bool = False
    ranking_draws: Annotated[int, Field(ge=2)] | None = None
    slope_widths: SlopeWidths = "intervals"

    def formula(self, graph: CausalGraph) -> str:
        return f"E_x sum_a pi(a | x) E[{graph.outcome} | x, do({graph.exposure} = a)]"

    def check(self, config: ExperimentConfig, card: DatasetCard) -> None:
        if UNIFORM not in self.policies:
            raise RequestError(f"task.policies: {UNIFORM} missing, which is mandatory; add it to task/policy=[..]")
        for name in self.policies:
            if name.endswith(tuple(f"_{level}" for level in LEVELS)):
                raise RequestError(
                    f"task.policies.{name}: tables leave out what ends in _{name.rpartition('_')[2]}, as parts by "
                    f"popularity do; choose another name"
                )
        if self.compare_to not in (*self.policies, "logged"):
            names = ", ".join(("logged", *self.policies))
            raise RequestError(f"task.compare_to={self.compare_to}: is no policy of this run; there are {names}")
        for policy in (*self.policies.values(), *filter(None, [self.logging_policy])):
            policy.check(card)
        if not config.propensity.target.uses_logged:
            raise RequestError(
                f"{config.run.choice('propensity')}: is the chance that a pair is logged, not that of an action in a "
                "round; leave it out, or name a model of the logging policy: +task/logging_policy=estimated_logistic"
            )
        if not self.value_estimators:
            raise RequestError("task.value_estimators: there is none; choose some by task/value_estimator=[ips,dr]")
        check_inputs(self.value_estimators, {"model": config.learner is not None}, FIXES)
        self._check_ranking()
        super().check(config, card)

    def _check_ranking(self) -> None:
        if self.ranking_draws is not None and not self.rank_estimators:
            raise RequestError(
                f"task.ranking_draws={self.ranking_draws}: are those of a ranking, and there is none; set "
                f"task.rank_estimators=true, or leave it out"
            )
        if self.rank_estimators and len(self.value_estimators) < 2:
            names = ", ".join(self.value_estimators)
            raise RequestError(
                f"task.rank_estimators=true: compares estimators, and {names} is alone; choose more, for example "
                f"task/value_estimator=[snips,dr]"
            )

    def check_estimand(self, run: RunConfig, source: str, estimated: str) -> None:
        if estimated != "exposed_mean":
            raise RequestError(
                f"{run.choice(source)}: estimates {estimated}, but {run.choice('task')} reads a model of the mean "
                f"reward of each action; choose another {source}, for example objective=naive"
            )

    def check_data(self, request: DataRequest, card: DatasetCard) -> None:
        if card.arms or not card.logged_propensity or card.feedback == "positive_only":
            raise RequestError(
                f"{request.run.choice('task')}: needs rounds whose actions were drawn with logged probabilities, and "
                f"{card.name} holds none; of csv, name the column: dataset.propensity"
            )

    def identify(self, request: DataRequest | ExperimentConfig, card: DatasetCard) -> Adjustment:
        return replace(super().identify(request, card), evaluation=Identification("logged propensity"))

    def check_rows(self, dataset: CausalDataset, config: ExperimentConfig) -> None:
        """Raise DataError where propensities are those of pairs to be logged, not of actions to be taken in a round."""
        if dataset.logged.user is not None and not dataset.logged.of_rounds:
            raise DataError(
                f"{dataset.card.name}: its propensities say which pairs were logged, not which action a policy took in "
                f"a round; of csv, set dataset.rounds=true where each row is a round"
            )

    def overlap(self, prepared: PreparedData, clip: float) -> Overlap:
        log = prepared.train
        assert log.propensity is not None
        pairs = float(len(log) * log.num_items)  # each round stands for every action
        return overlap(log.propensity, log.outcome, pairs, clip=clip, truth=None, **vars(prepared.exposure))

    def check_prepared(self, config: ExperimentConfig, prepared: PreparedData) -> None:
        """Raise RequestError or DataError where these rounds cannot tell a policy, before anything learns."""
        unseen = config.split.settings.get("unseen") or prepared.dataset.card.unseen
        judged = self._judged_rounds(config, prepared)
        if unseen == "drop" and prepared.splits.unseen and judged.folds == 1:
            raise RequestError(
                f"split.unseen=drop: leaves out {prepared.splits.unseen} test rounds by the action taken, so that "
                "propensities are no more the chance of those that stay; set split.unseen=keep"
            )
        pieces = list(judged.pieces())
        check_inputs(self.value_estimators, {"logging_distribution": pieces[0].logging is not None}, FIXES)
        actions = self._actions(config, prepared)
        for name, estimator in self.value_estimators.items():
            with name_estimator(name):
                estimator.check(actions)
        for piece in pieces:
            if self.logging_policy is None and piece.logging is not None:
                check_logged_propensities(piece.log, piece.logging)
            check_support(piece.log, piece.policies, piece.logging, assume=self.assume_support)

    def scores(
        self,
        config: ExperimentConfig,
        prepared: PreparedData,
        slices: Sequence[AnySliceData],
        predictor: AbstractPredictor | None,
        evaluator: Evaluator,
    ) -> Iterable[Score]:
        """Return the value of every policy by every estimator, their differences, and what the weights come to."""
        judged = self._judged_rounds(config, prepared)
        log = judged.log
        evaluation = PolicyEvaluation(
            policies=tuple(self.policies),
            estimators=self.value_estimators,
            interval=self.interval,
            truth=prepared.dataset.context_oracle,
            actions=self._actions(config, prepared),
            num_clusters=log.num_users,
            seed=config.run.evaluation.seed,
            memory=config.run.evaluation.memory_mb * 1e6,
        )
        pieces = judged.with_models(predictor)
        sums = evaluation.run(pieces)
        report = PolicyReport(
            evaluation=evaluation,
            sums=sums,
            level=config.run.evaluation.level,
            model=config.run.name,
            rounds=len(log),
            policy_logs=prepared.dataset.policy_logs,
            slope_widths=self.slope_widths,
            clusters=0 if log.user is None else len(np.unique(log.user)),
        )
        yield from report.scores(self.compare_to)
        if self.rank_estimators:
            yield from EstimatorRanking(evaluation=evaluation, draws=self.ranking_draws or DRAWS).scores(
                pieces, config.run.name
            )

    def footnotes(self, config: ExperimentConfig, prepared: PreparedData) -> tuple[str, ...]:
        by = "estimated by task.logging_policy" if self.logging_policy else "as logged"
        judged = self._judged_rounds(config, prepared)
        folds = judged.folds
        model = (
            ""
            if config.learner is None
            else ("; rewards modelled on the training rows" if folds == 1 else f"; rewards modelled by {folds} folds")
        )
        lines = [f"Rounds: {len(judged.log):,}, of the logged part; propensities {by}{model}."]
        if self.assume_support:
            lines.append("Support is assumed: mass on actions that the log could not have taken is not estimated.")
        if self.rank_estimators:
            lines.append(
                f"_rmse: error of an estimator in {self.ranking_draws or DRAWS} draws of rewards on these rounds, "
                f"by a generator fitted to them (EstimatorRanking); nothing is chosen by it."
            )
        return tuple(lines)

    def _judged_rounds(self, config: ExperimentConfig, prepared: PreparedData) -> JudgedRounds:
        folds = self.folds or (2 if prepared.splits.test_is_randomised else 1)
        return JudgedRounds(
            config=config, prepared=prepared, policies=self.policies, logging_policy=self.logging_policy, folds=folds
        )

    def _actions(self, config: ExperimentConfig, prepared: PreparedData) -> ActionFeatures:
        wanted = frozenset().union(*(estimator.requires for estimator in self.value_estimators.values()))
        return action_features(config, prepared, wanted, self.action_clusters)


@contextmanager
def name_estimator(name: str) -> Iterator[None]:
    """Put an estimator's name before what it refuses: a component does not know what YAML calls it."""
    try:
        yield
    except RequestError as error:
        raise RequestError(f"value_estimator={name}: {str(error).partition(': ')[2]}") from error
