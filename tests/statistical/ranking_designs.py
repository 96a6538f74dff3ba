"""Synthetic bandits, each with a reward model, two target policies and estimators of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge

from causalrec.data.bandit_rounds import softmax_policy
from causalrec.data.contexts import ActionRewards, Contexts
from causalrec.data.datasets.synthetic_bandit import SyntheticBandit
from causalrec.data.log import InteractionLog
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.estimator.dm import DirectMethod
from causalrec.estimators.policy_value.estimator.dr import DRValue
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.estimator.sndr import SNDRValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.estimator.switch_dr import SwitchDRValue
from causalrec.estimators.policy_value.interval.normal import NormalInterval
from causalrec.policies.estimator_ranking import EstimatorRanking
from causalrec.policies.evaluation import TRUE_VALUE, EvaluatedRounds, PolicyEvaluation
from causalrec.policies.report import PolicyReport
from causalrec.types import Doubles

POLICY_DRAW = 10_000  # a log of its own, of a uniform policy, that target policies learn from
POLICY_ROUNDS = 2_000
ESTIMATORS: Mapping[str, AbstractValueEstimator] = {
    "dm": DirectMethod(),
    "ips": IPSValue(),
    "snips": SNIPSValue(),
    "dr": DRValue(),
    "sndr": SNDRValue(),
    "switch_dr": SwitchDRValue(),
}


@dataclass(frozen=True)
class Bandit:
    """A bandit, and the reward model that its estimators read.

    Attributes:
        data: where rounds come from; half of them are evaluated, the others teach the model.
        interactions: whether the model has a slope of each context number for each action, as the truth has; else one.
    """

    data: SyntheticBandit
    interactions: bool

    def evaluation(self, draw: int) -> tuple[PolicyEvaluation, list[EvaluatedRounds]]:
        """Return what is estimated in a draw, and the rounds."""
        source = replace(self.data, draw=draw).load(Path())
        half = len(source.logged) // 2
        train, test = source.logged.take(np.arange(half)), source.logged.take(np.arange(half, 2 * half))
        teacher = replace(self.data, draw=POLICY_DRAW, rounds=POLICY_ROUNDS, beta=0.0).load(Path())
        scores = fit_rewards(teacher.logged, interactions=False)
        policies = {"greedy": lambda c: greedy(scores(c)), "softmax": lambda c: softmax_policy(scores(c), 0.25)}
        evaluation = PolicyEvaluation(
            policies=tuple(policies),
            estimators=ESTIMATORS,
            interval=NormalInterval(),
            truth=source.context_oracle,
            actions=None,
            num_clusters=0,
            seed=draw,
            memory=2e8,
        )
        assert test.propensity is not None
        rounds = EvaluatedRounds(
            log=test,
            policies=policies,
            propensity=test.propensity.astype(np.float64),
            logging=source.logging_policy,
            model=fit_rewards(train, interactions=self.interactions),
            cluster=np.zeros(half, np.int64),
            numbers=np.arange(half),
        )
        return evaluation, [rounds]


def bandits() -> list[Bandit]:
    """Return 20 bandits: evaluated rounds, actions, logging policy, kind of reward and model differ."""
    rng = np.random.default_rng(0)
    return [
        Bandit(
            SyntheticBandit(
                rounds=2 * int(rng.choice([2_000, 4_000, 10_000])),
                actions=int(rng.choice([5, 10, 30, 60])),
                outcome="click" if law % 2 else "reward",
                beta=float(rng.choice([-3, -1, 1, 3])),
                epsilon=0.1 if law % 4 > 1 else 0.0,
                law=100 + law,
            ),
            interactions=law % 5 < 2,
        )
        for law in range(20)
    ]


def greedy(scores: Doubles) -> Doubles:
    """Return the best action of each row with .9, any with .1."""
    policy = np.full_like(scores, 0.1 / scores.shape[1])
    policy[np.arange(len(scores)), scores.argmax(1)] += 0.9
    return policy


def fit_rewards(log: InteractionLog, *, interactions: bool) -> ActionRewards:
    """Return a logistic (clicks) or ridge regression of rewards on context and one-hot action."""
    clicks = bool(np.isin(log.outcome, (0, 1)).all())

    def design(x: Doubles, action: Sequence[int]) -> Doubles:
        one_hot = np.eye(log.num_items)[action]
        crossed = [(one_hot[:, :, None] * x[:, None, :]).reshape(len(x), -1)] if interactions else []
        return np.hstack([x, one_hot, *crossed])

    fitted = (LogisticRegression(max_iter=300) if clicks else Ridge()).fit(design(_x(log), log.item), log.outcome)

    def predict(contexts: Contexts) -> Doubles:
        x = _x(contexts)
        columns = [design(x, np.full(len(x), action)) @ np.ravel(fitted.coef_) for action in range(log.num_items)]
        linear = np.stack(columns, 1) + np.ravel(fitted.intercept_)
        return np.asarray(expit(linear) if clicks else linear)

    return predict


def _x(rounds: InteractionLog | Contexts) -> Doubles:
    return np.stack([np.asarray(rounds.columns[name], np.float64) for name in sorted(rounds.columns)], 1)


def true_errors(evaluation: PolicyEvaluation, rounds: list[EvaluatedRounds]) -> dict[str, float]:
    """Return estimate minus true value in these contexts, by `ESTIMATOR@POLICY`."""
    sums = evaluation.run(rounds)
    report = PolicyReport(evaluation=evaluation, sums=sums, level=0.95, model="", rounds=len(rounds[0].log))

    def value(column: str) -> float:
        return sums.intervals.interval(column, 0.95).value

    return {
        name: value(column) - value(f"{TRUE_VALUE}@{name.partition('@')[2]}") for name, column in report.chosen.items()
    }


def squared_errors(bandit: Bandit, draw: int, redraws: int) -> dict[str, dict[str, float]]:
    """Return the squared error of each estimator, and of that which ranks first, by policy."""
    evaluation, rounds = bandit.evaluation(draw)
    errors = true_errors(evaluation, rounds)
    ranked = EstimatorRanking(evaluation=evaluation, draws=redraws).errors(rounds)
    table = {}
    for policy in evaluation.policies:
        first = min(ESTIMATORS, key=lambda name: float((ranked[f"{name}@{policy}"] ** 2).mean()))
        of_policy = {name: errors[f"{name}@{policy}"] ** 2 for name in ESTIMATORS}
        table[policy] = {**of_policy, "ranked first": of_policy[first]}
    return table
