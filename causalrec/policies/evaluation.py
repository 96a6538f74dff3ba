"""The walk over logged rounds, block by block: what every estimator says of every target policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.data.contexts import ActionDistribution, ActionRewards, Contexts
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError, RequestError
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.interval.base import AbstractIntervalSums, AbstractValueInterval
from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds
from causalrec.policies.weights import WeightSums
from causalrec.types import Doubles, Ints

LOGGED = "logged"  # the policy that wrote the rounds
ON_POLICY = "on_policy"  # the mean reward of rounds that a policy wrote itself
TRUE_VALUE = "true_value"
ROW_SUM_TOLERANCE = 1e-6

RewardModel = ActionRewards  # predicted, where it is learnt


@dataclass(frozen=True, kw_only=True)
class EvaluatedRounds:
    """Rounds that policies are judged by.

    Attributes:
        log: the rounds; items are actions, outcomes rewards.
        propensity: float64[N], the logging policy's probability of the action taken.
        model: predicts rewards, and has not learnt from these rounds; None: there is none.
        cluster: int64[N], whose rounds depend on each other; zeros where each is its own.
    """

    log: InteractionLog
    propensity: Doubles
    model: RewardModel | None
    cluster: Ints


@dataclass(frozen=True, kw_only=True)
class PolicyEvaluation:
    """What is estimated of which policies.

    Attributes:
        policies: bound target policies, by name.
        estimators: by name.
        interval: how intervals are made.
        logging: of every action under the policy that wrote the rounds; None: not known.
        truth: contexts -> true mean rewards float64[B,A]; None: not known.
        actions: what is known of actions.
        num_clusters: of rounds; 0 where each is its own.
        seed: of the interval's draws.
        memory: bytes that a block may take.
    """

    policies: Mapping[str, ActionDistribution]
    estimators: Mapping[str, AbstractValueEstimator]
    interval: AbstractValueInterval
    logging: ActionDistribution | None
    truth: RewardModel | None
    actions: ActionFeatures | None
    num_clusters: int
    seed: int
    memory: float

    @property
    def variants(self) -> dict[str, AbstractValueEstimator]:
        """Every estimator by name, those with a parameter to choose once for each value, as `NAME[0]`, `NAME[1]`, .."""
        variants: dict[str, AbstractValueEstimator] = {}
        for name, estimator in self.estimators.items():
            candidates = estimator.candidates()
            if not candidates:
                variants[name] = estimator
            variants |= {f"{name}[{k}]": candidate for k, (_, candidate) in enumerate(candidates)}
        return variants

    @property
    def columns(self) -> list[str]:
        """Names of everything that is added up: `ESTIMATOR@POLICY`, and the mean reward of the log."""
        truth = [TRUE_VALUE] if self.truth else []
        names = [*self.variants, *truth]
        return [f"{ON_POLICY}@{LOGGED}", *(f"{name}@{policy}" for policy in self.policies for name in names)]

    def run(self, parts: Sequence[EvaluatedRounds]) -> PolicySums:
        """Read all rounds once and return what was added up."""
        sums = PolicySums(
            self.interval.start(self.columns, self.num_clusters, self.seed),
            {column: WeightSums() for column in self.columns},
            {policy: WeightSums() for policy in self.policies},
            {policy: UnsupportedMass() for policy in self.policies},
        )
        for part in parts:
            for rows in self._blocks(part.log):
                self._add(part, rows, sums)
        return sums

    def _blocks(self, log: InteractionLog) -> Iterator[Ints]:
        """Yield row numbers, as many at a time as the memory allows for the arrays of a policy, the log and a model."""
        step = max(1, int(self.memory / (4 * 8 * max(log.num_items, 1))))
        for start in range(0, len(log), step):
            yield np.arange(start, min(start + step, len(log)))

    def _add(self, part: EvaluatedRounds, rows: Ints, sums: PolicySums) -> None:
        contexts = Contexts.of_log(part.log).take(rows)
        action, reward = part.log.item[rows], part.log.outcome[rows].astype(np.float64)
        logging = None if self.logging is None else check_distribution(self.logging(contexts), LOGGED)
        model = None if part.model is None else part.model(contexts)
        truth = None if self.truth is None else self.truth(contexts)
        block: dict[str, Contributions] = {
            f"{ON_POLICY}@{LOGGED}": Contributions(base=reward, weight=np.ones(len(rows)))
        }
        for policy, distribution in self.policies.items():
            target = check_distribution(distribution(contexts), policy)
            rounds = LoggedRounds(
                reward=reward,
                action=action,
                propensity=part.propensity[rows],
                target=np.take_along_axis(target, action[:, None], 1)[:, 0],
                target_distribution=target,
                logging_distribution=logging,
                model=model,
                actions=self.actions,
            )
            sums.ratios[policy].update(rounds.weight, rows)
            if logging is not None:
                sums.unsupported[policy].update(target, logging)
            for name, estimator in self.variants.items():
                block[f"{name}@{policy}"] = estimator.contributions(rounds)
            if truth is not None:
                value = np.einsum("ba,ba->b", target, truth)
                block[f"{TRUE_VALUE}@{policy}"] = Contributions(base=value, weight=np.zeros(len(rows)))
        sums.intervals.update(block, part.cluster[rows])
        for column, contributions in block.items():
            sums.weights[column].update(contributions.weight, rows)


@dataclass
class UnsupportedMass:
    """The share of a target policy's mass on actions that the log could not have taken.

    Attributes:
        mass: sum over rounds.
        rounds: how many there were.
    """

    mass: float = 0.0
    rounds: int = 0

    def update(self, target: Doubles, logging: Doubles) -> None:
        """Add a block: both float64[B,A]."""
        self.mass += float(target[logging <= 0].sum())
        self.rounds += len(target)

    @property
    def share(self) -> float:
        """Mean over rounds."""
        return self.mass / max(self.rounds, 1)


@dataclass(frozen=True)
class PolicySums:
    """What a walk over the rounds has added up.

    Attributes:
        intervals: of every column.
        weights: of every column.
        ratios: of the policies' probabilities of the action taken, by policy.
        unsupported: by policy; empty sums where the logging policy is not known.
    """

    intervals: AbstractIntervalSums
    weights: Mapping[str, WeightSums]
    ratios: Mapping[str, WeightSums]
    unsupported: Mapping[str, UnsupportedMass]


def check_distribution(distribution: Doubles, policy: str) -> Doubles:
    """Return probabilities float64[B,A], or raise DataError where a row of them is no distribution."""
    sums = distribution.sum(1)
    bad = ~(np.abs(sums - 1) <= ROW_SUM_TOLERANCE) | (distribution < 0).any(1)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"policy {policy}: the probabilities of a round sum to {sums[row]:g}, or one is below 0; a policy must "
            f"give each action a probability, and all of them 1"
        )
    return distribution


def check_inputs(
    estimators: Mapping[str, AbstractValueEstimator], available: Mapping[str, bool], fixes: Mapping[str, str]
) -> None:
    """Raise RequestError where an estimator reads what there is not.

    Args:
        estimators: by name.
        available: of each input that an estimator may read, whether there is one.
        fixes: what to set where there is none.
    """
    for name, estimator in estimators.items():
        for wanted in sorted(estimator.requires):
            if not available.get(wanted, True):
                raise RequestError(f"value_estimator={name}: {fixes[wanted]}, or leave {name} out")
