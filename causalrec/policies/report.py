"""What an evaluation found, as scores: values by estimator and policy, differences, and what the weights come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.interval.base import AbstractValueInterval, ValueInterval
from causalrec.estimators.policy_value.slope import slope, slope_by_differences
from causalrec.evaluation.evaluator import Score, first_sentence
from causalrec.policies.evaluation import LOGGED, ON_POLICY, TRUE_VALUE, PolicyEvaluation, PolicySums
from causalrec.types import Doubles

SlopeWidths = Literal["intervals", "differences"]

FEW_USERS = 10  # of which a bootstrap's intervals cover .93 and less, of three .74
FEW_ROUNDS = 300  # effective ones, under which an interval is marked
HUGE_WEIGHT = 1e6
SLOPE_WIDTH = 1.28  # standard errors: the tenth of Su et al. (ICML 2020), as Open Bandit Pipeline has it
OF_ROUNDS = "Mean reward of the rounds that the policy wrote itself"


@dataclass(frozen=True)
class PolicyReport:
    """What an evaluation has added up, as scores.

    Attributes:
        evaluation: what was estimated of which policies.
        sums: of the rounds.
        level: of intervals.
        model: the row's name.
        rounds: how many were read.
        policy_logs: rounds that other policies wrote themselves, by name: their mean reward is that policy's value.
        slope_widths: what SLOPE chooses a parameter by.
        clusters: users with rounds, whose rounds depend on each other; 0: each round is its own.
    """

    evaluation: PolicyEvaluation
    sums: PolicySums
    level: float
    model: str
    rounds: int
    policy_logs: Mapping[str, InteractionLog] = field(default_factory=dict)
    slope_widths: SlopeWidths = "intervals"
    clusters: int = 0

    @cached_property
    def chosen(self) -> dict[str, str]:
        """The column of each estimate `ESTIMATOR@POLICY`, that of SLOPE's choice where a parameter was to be chosen."""
        columns = {}
        for policy in self.evaluation.policies:
            for name, estimator in self.evaluation.estimators.items():
                count = len(estimator.candidates())
                candidates = [f"{name}[{k}]@{policy}" for k in range(count)]
                columns[f"{name}@{policy}"] = self._slope(candidates) if candidates else f"{name}@{policy}"
        return columns

    @cached_property
    def _parameters(self) -> dict[str, float]:
        """The parameter of each column that SLOPE chooses among."""
        return {
            f"{name}[{k}]@{policy}": value
            for policy in self.evaluation.policies
            for name, estimator in self.evaluation.estimators.items()
            for k, (value, _) in enumerate(estimator.candidates())
        }

    def _slope(self, columns: list[str]) -> str:
        intervals = [self.sums.intervals.interval(column, self.level) for column in columns]
        values = [interval.value for interval in intervals]
        if self.slope_widths == "differences":
            return columns[slope_by_differences(values, SLOPE_WIDTH * self._errors_of_differences(columns))]
        return columns[slope(values, [SLOPE_WIDTH * interval.standard_error for interval in intervals])]

    def _errors_of_differences(self, columns: list[str]) -> Doubles:
        """Return the standard error of the difference of each two columns, float64[V,V]."""
        errors = np.zeros((len(columns), len(columns)))
        for i, j in combinations(range(len(columns)), 2):
            difference = self.sums.intervals.difference(columns[i], columns[j], self.level)
            errors[i, j] = errors[j, i] = difference.standard_error
        return errors

    def scores(self, reference: str) -> Iterable[Score]:
        """Yield the scores; `reference`: the policy that the others' values are compared with."""
        yield self._score(ON_POLICY, LOGGED, f"{ON_POLICY}@{LOGGED}", OF_ROUNDS)
        for policy, log in self.policy_logs.items():
            interval = average_reward(log, self.evaluation.interval, self.evaluation.seed, self.level)
            yield replace(self._of_interval(ON_POLICY, policy, interval, OF_ROUNDS), n=len(log))
        for policy in self.evaluation.policies:
            if self.evaluation.truth is not None:
                yield self._score(TRUE_VALUE, policy, f"{TRUE_VALUE}@{policy}", "True value in these contexts")
            for name, estimator in self.evaluation.estimators.items():
                description = first_sentence(type(estimator))
                yield self._score(name, policy, self.chosen[f"{name}@{policy}"], description)
            yield from self._weights(policy)
        yield from self._differences(reference)

    def _score(self, metric: str, policy: str, column: str, description: str) -> Score:
        score = self._of_interval(metric, policy, self.sums.intervals.interval(column, self.level), description)
        return self._mark(score, column)

    def _of_interval(self, metric: str, policy: str, interval: ValueInterval, description: str) -> Score:
        return Score(
            metric=metric,
            slice=policy,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            n=self.rounds,
            model=self.model,
            replicates=interval.replicates,
            higher_is_better=True,
            description=description,
        )

    def _rounds_of(self, column: str) -> float:
        """Return the effective rounds behind a column; where rewards are only modelled, all of them."""
        rounds = self.sums.weights[column].effective_rounds
        return self.rounds if np.isnan(rounds) else rounds

    def _mark(self, score: Score, column: str) -> Score:
        """Say what makes the interval of a column too narrow: few rounds behind it, or a round that outweighs all.

        Beside it stands the parameter that SLOPE chose, too.
        """
        weights, lines = self.sums.weights[column], []
        notes = [f"parameter {self._parameters[column]:g}"] if column in self._parameters else []
        if weights.effective_rounds < FEW_ROUNDS:
            notes.append(f"{weights.effective_rounds:.0f} effective rounds")
            lines.append(f"{notes[-1]}: its interval may be too narrow")
        if 0 < self.clusters < FEW_USERS:
            notes.append(f"{self.clusters} users")
            lines.append(f"{notes[-1]}: too few to resample; task/interval=normal widens for them")
        if weights.largest > HUGE_WEIGHT:
            lines.append(f"a weight of {weights.largest:.3g}, of round {weights.largest_round}, outweighs all others")
        return replace(score, warnings=tuple(lines), note=", ".join(notes))

    def _weights(self, policy: str) -> Iterator[Score]:
        """Yield what the ratios of probabilities come to: they are the same for every estimator, clipped or not."""
        ratios = self.sums.ratios[policy]
        unsupported = self.sums.unsupported[policy]
        yield self._number("effective_rounds", policy, ratios.effective_rounds, "(sum w)^2 / sum w^2 of the rounds")
        yield self._number("largest_weight", policy, ratios.largest, "Largest ratio of the policies' probabilities")
        yield self._number("mean_weight", policy, ratios.mean, "Mean ratio, 1 but for chance where all is supported")
        if unsupported.rounds:
            text = "Share of the policy's mass on actions that the log could not have taken"
            yield self._number("unsupported_mass", policy, unsupported.share, text)

    def _number(self, metric: str, policy: str, value: float, description: str) -> Score:
        """Return a fact of the rounds, which has no interval."""
        nothing = np.empty(0)
        return Score(metric, policy, value, np.nan, np.nan, self.rounds, self.model, nothing, description=description)

    def _differences(self, reference: str) -> Iterator[Score]:
        """Yield how much higher each policy's value is than the reference's, paired by rounds."""
        for policy in self.evaluation.policies:
            if policy == reference:
                continue
            for name in self.evaluation.estimators:
                other = f"{ON_POLICY}@{LOGGED}" if reference == LOGGED else self.chosen[f"{name}@{reference}"]
                column = self.chosen[f"{name}@{policy}"]
                interval = self.sums.intervals.difference(column, other, self.level)
                description = first_sentence(type(self.evaluation.estimators[name]))
                score = self._of_interval(name, f"{policy}-{reference}", interval, description)
                yield self._mark(score, min(column, other, key=self._rounds_of))


def average_reward(log: InteractionLog, interval: AbstractValueInterval, seed: int, level: float) -> ValueInterval:
    """Return the mean reward of rounds with its interval, clustered by user where they have some.

    Args:
        log: the rounds.
        interval: how it is made.
        seed: of what it draws.
        level: of it.
    """
    cluster = np.zeros(len(log), np.int64) if log.user is None else log.user
    sums = interval.start([ON_POLICY], log.num_users, seed)
    sums.update({ON_POLICY: Contributions(base=log.outcome.astype(np.float64), weight=np.ones(len(log)))}, cluster)
    return sums.interval(ON_POLICY, level)
