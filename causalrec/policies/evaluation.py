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
from causalrec.policies.base import take_probability
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
        policies: target policies, by name, which have not learnt from these rounds.
        propensity: float64[N], the logging policy's probability of the action taken.
        logging: of every action under the policy that wrote the rounds; None: not known.
        model: predicts rewards, and has not learnt from these rounds; None: there is none.
        cluster: int64[N], whose rounds depend on each other; zeros where each is its own.
        numbers: int64[N], what the rounds are called by.
    """

    log: InteractionLog
    policies: Mapping[str, ActionDistribution]
    propensity: Doubles
    logging: ActionDistribution | None
    model: RewardModel | None
    cluster: Ints
    numbers: Ints


@dataclass(frozen=True, kw_only=True)
class RoundsBlock:
    """B rounds with what policies and a model say of every action in them.

    Attributes:
        rows: int64[B], what they are called by.
        contexts: what was seen before the action.
        action: int64[B].
        reward: float64[B].
        propensity: float64[B], the logging policy's probability of the action taken.
        cluster: int64[B].
        targets: float64[B,A] of each target policy.
        logging: float64[B,A]; None: not known.
        model: float64[B,A], predicted rewards; None: there is no model.
    """

    rows: Ints
    contexts: Contexts
    action: Ints
    reward: Doubles
    propensity: Doubles
    cluster: Ints
    targets: Mapping[str, Doubles]
    logging: Doubles | None
    model: Doubles | None

    def rounds_of(self, target: Doubles, actions: ActionFeatures | None) -> LoggedRounds:
        """Return the rounds as an estimator reads them.

        Args:
            target: float64[B,A], the policy whose value is estimated.
            actions: what is known of actions.
        """
        return LoggedRounds(
            reward=self.reward,
            action=self.action,
            propensity=self.propensity,
            target=take_probability(target, self.action),
            target_distribution=target,
            logging_distribution=self.logging,
            model=self.model,
            actions=actions,
        )


@dataclass(frozen=True, kw_only=True)
class PolicyEvaluation:
    """What is estimated of which policies.

    Attributes:
        policies: names of the target policies.
        estimators: by name.
        interval: how intervals are made.
        truth: contexts -> true mean rewards float64[B,A]; None: not known.
        actions: what is known of actions.
        num_clusters: of rounds; 0 where each is its own.
        seed: of the interval's draws.
        memory: bytes that a block may take.
    """

    policies: Sequence[str]
    estimators: Mapping[str, AbstractValueEstimator]
    interval: AbstractValueInterval
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

    def run(self, pieces: Sequence[EvaluatedRounds]) -> PolicySums:
        """Read all rounds once and return what was added up."""
        sums = PolicySums(
            self.interval.start(self.columns, self.num_clusters, self.seed),
            {column: WeightSums() for column in self.columns},
            {policy: WeightSums() for policy in self.policies},
            {policy: UnsupportedMass() for policy in self.policies},
        )
        for block in self.blocks(pieces):
            self.add(block, sums)
        return sums

    def blocks(self, pieces: Sequence[EvaluatedRounds]) -> Iterator[RoundsBlock]:
        """Yield the rounds, as many at a time as the memory allows for arrays of policies, log, model and one more."""
        arrays = len(self.policies) + 3
        for piece in pieces:
            step = max(1, int(self.memory / (arrays * 8 * max(piece.log.num_items, 1))))
            for start in range(0, len(piece.log), step):
                yield self._block(piece, np.arange(start, min(start + step, len(piece.log))))

    def _block(self, piece: EvaluatedRounds, rows: Ints) -> RoundsBlock:
        contexts = Contexts.of_log(piece.log).take(rows)
        return RoundsBlock(
            rows=piece.numbers[rows],
            contexts=contexts,
            action=piece.log.item[rows],
            reward=piece.log.outcome[rows].astype(np.float64),
            propensity=piece.propensity[rows],
            cluster=piece.cluster[rows],
            targets={name: check_distribution(piece.policies[name](contexts), name) for name in self.policies},
            logging=None if piece.logging is None else check_distribution(piece.logging(contexts), LOGGED),
            model=None if piece.model is None else piece.model(contexts),
        )

    def add(self, block: RoundsBlock, sums: PolicySums) -> None:
        """Add what every estimator says of every policy in a block of rounds."""
        columns = self.contributions(block)
        sums.intervals.update(columns, block.cluster)
        for column, contributions in columns.items():
            sums.weights[column].update(contributions.weight, block.rows)
        for policy, target in block.targets.items():
            sums.ratios[policy].update(block.rounds_of(target, self.actions).weight, block.rows)
            if block.logging is not None:
                sums.unsupported[policy].update(target, block.logging)

    def contributions(self, block: RoundsBlock) -> dict[str, Contributions]:
        """Return what each round of a block contributes to each column."""
        truth = None if self.truth is None else self.truth(block.contexts)
        columns = {f"{ON_POLICY}@{LOGGED}": Contributions(base=block.reward, weight=np.ones(len(block.rows)))}
        for policy, target in block.targets.items():
            rounds = block.rounds_of(target, self.actions)
            for name, estimator in self.variants.items():
                columns[f"{name}@{policy}"] = estimator.contributions(rounds)
            if truth is not None:
                value = np.einsum("ba,ba->b", target, truth)
                columns[f"{TRUE_VALUE}@{policy}"] = Contributions(base=value, weight=np.zeros(len(value)))
        return columns


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
