"""Rounds whose rewards are smooth in the vectors of ML-100K's titles and genres, and what kernels say of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from coverage_counts import ROOT
from policy_designs import draw_actions, softmax

from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.text import texts_of
from causalrec.estimators.policy_value.action_kernel import action_space
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.estimator.text_kernel import TextKernelValue
from causalrec.estimators.policy_value.interval.normal import NormalInterval
from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds
from causalrec.estimators.policy_value.slope import slope, slope_by_differences
from causalrec.learners.table_columns import frozen_text_encoder
from causalrec.policies.report import SLOPE_WIDTH
from causalrec.reporting.paste_between_markers import paste
from causalrec.types import Doubles, Ints

ROUNDS = 10_000
TABLE = "text kernels"
COUNTS = ROOT / "build" / "text_kernels"
USERS = 200
PHRASES = {"title": "{}", "genre": "Genres: {}."}
COMPONENTS = 8
CANDIDATES = {f"bandwidth {value:g}": estimator for value, estimator in TextKernelValue().candidates()}
RULES = ("SLOPE", "SLOPE by differences")


def movie_vectors() -> Doubles:
    """Return the vectors of ML-100K's titles and genres by the pretrained MiniLM, float64[1682,384]."""
    table = ML100K(threshold=None).load(Path(os.environ["CAUSALREC_DATA"])).item_table
    read_text = frozen_text_encoder(validate_config(compose_config(normalise_overrides(["encoder=bert"]))))
    assert read_text is not None
    return read_text(texts_of(table, PHRASES, [*PHRASES])).astype(np.float64)


def of_vectors(vectors: Doubles) -> ActionFeatures:
    return ActionFeatures(categories=np.zeros((len(vectors), 0), np.int64), vectors=vectors)


@dataclass(frozen=True)
class Policies:
    """Tastes of U users for A actions, and what two policies make of them.

    The target is `softmax(1.2 t + 1.6 noise)`, t the taste: it knows it, and whims that say nothing of rewards spread
    its weights. The logging policy is `softmax(0.5 noise)`, of another noise.

    Attributes:
        taste: float64[U,A], linear in eight principal components of vectors, of standard deviation 1.
        logging: float64[U,A].
        target: float64[U,A].
    """

    taste: Doubles
    logging: Doubles
    target: Doubles

    @staticmethod
    def draw(vectors: Doubles, users: int) -> Policies:
        rng, points = np.random.default_rng(0), action_space(of_vectors(vectors), COMPONENTS).points
        taste = rng.normal(size=(users, points.shape[1])) @ (points / points.std(0)).T / np.sqrt(points.shape[1])
        taste -= taste.mean(1, keepdims=True)
        logging = softmax(0.5 * rng.normal(size=taste.shape))
        return Policies(taste, logging, softmax(1.2 * taste + 1.6 * rng.normal(size=taste.shape)))

    def weights(self, estimator: AbstractValueEstimator, actions: ActionFeatures) -> Doubles:
        """Return the weight that an estimator gives each action by each user, float64[U,A]: rounds repeat them."""
        users, count = self.taste.shape
        blocks = (self._rounds(np.arange(k, min(k + 5, users)), count, actions) for k in range(0, users, 5))
        return np.concatenate([estimator.contributions(rounds).weight for rounds in blocks]).reshape(users, count)

    def _rounds(self, users: Ints, count: int, actions: ActionFeatures) -> LoggedRounds:
        """Return a round of each of these users and each action, whose reward is not looked at."""
        user, action = np.repeat(users, count), np.tile(np.arange(count), len(users))
        return LoggedRounds(
            reward=np.zeros(len(user)),
            action=action,
            propensity=self.logging[user, action],
            target=self.target[user, action],
            target_distribution=self.target[user],
            logging_distribution=self.logging[user],
            actions=actions,
        )


def all_weights(policies: Policies, seen: Doubles) -> dict[str, Doubles]:
    """Return the weights of snips and of each bandwidth, the kernel reading the vectors that it has `seen`."""
    actions = of_vectors(seen)
    estimators: Mapping[str, AbstractValueEstimator] = {"snips": SNIPSValue(), **CANDIDATES}
    return {name: policies.weights(estimator, actions) for name, estimator in estimators.items()}


def estimates(weights: Mapping[str, Doubles], reward: Doubles) -> dict[str, float]:
    """Return the estimates by snips, by each bandwidth and by what either rule takes; weights float64[N] by name."""
    nothing = np.zeros(len(reward))
    contributions = {
        name: Contributions(base=nothing, weight=weight, numerator=weight * reward, denominator=weight)
        for name, weight in weights.items()
    }
    sums = NormalInterval().start(list(contributions), 0, 0)
    sums.update(contributions, np.zeros(len(reward), np.int64))
    intervals = {name: sums.interval(name, 0.95) for name in contributions}
    values = {name: interval.value for name, interval in intervals.items()}
    names = list(CANDIDATES)
    candidates = [values[name] for name in names]
    errors = [[sums.difference(a, b, 0.95).standard_error for b in names] for a in names]
    separate = slope(candidates, [SLOPE_WIDTH * intervals[name].standard_error for name in names])
    paired = slope_by_differences(candidates, SLOPE_WIDTH * np.array(errors))
    return values | {RULES[0]: candidates[separate], RULES[1]: candidates[paired]}


def squared_errors(
    policies: Policies, weights: Mapping[str, Doubles], strength: float, draws: int
) -> tuple[dict[str, float], float]:
    """Return the mean squared error of each estimate as a multiple of that of snips, and the mean effective rounds.

    Rewards are clicks, with log-odds of `strength` times the taste, less 1; the entry `snips` is its root mean squared
    error.

    Args:
        policies: that log, and are judged.
        weights: of `all_weights`.
        strength: of the taste.
        draws: of 10,000 rounds, of users at random.
    """
    mean = 1 / (1 + np.exp(1 - strength * policies.taste))
    truth = float((mean * policies.target).sum(1).mean())
    errors: dict[str, list[float]] = {}
    effective = np.zeros(draws)
    for seed in range(draws):
        rng = np.random.default_rng([seed, 25])
        user: Ints = rng.integers(0, len(mean), ROUNDS)
        action = draw_actions(policies.logging, user, rng)
        reward = (rng.random(ROUNDS) < mean[user, action]).astype(float)
        of_rounds = {name: weight[user, action] for name, weight in weights.items()}
        effective[seed] = of_rounds["snips"].sum() ** 2 / (of_rounds["snips"] ** 2).sum()
        for name, value in estimates(of_rounds, reward).items():
            errors.setdefault(name, []).append((value - truth) ** 2)
    base = float(np.mean(errors["snips"]))
    ratios = {name: float(np.mean(of_name)) / base for name, of_name in errors.items()}
    return ratios | {"snips": base**0.5}, float(effective.mean())


def write_ratios(row: str, ratios: Mapping[str, float], effective: float, draws: int) -> None:
    COUNTS.mkdir(parents=True, exist_ok=True)
    content = {"row": row, "ratios": dict(ratios), "effective": effective, "draws": draws}
    (COUNTS / f"{row.replace(' ', '_')}.json").write_text(json.dumps(content), encoding="utf-8")


def table_of() -> str:
    """Return the rows counted last as markdown."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in COUNTS.glob("*.json")]
    rows.sort(key=lambda row: str(row["row"]))
    columns = [*CANDIDATES, *RULES]
    lines = [f"| rewards and vectors | draws | effective rounds | error of snips | {' | '.join(columns)} |"]
    lines.append(f"|---|---|---|---|{'---|' * len(columns)}")
    for row in rows:
        cells = [f"{row['ratios'][column]:.2f}" for column in columns]
        base = f"{row['ratios']['snips']:.4f}"
        lines.append(f"| {row['row']} | {row['draws']} | {row['effective']:.0f} | {base} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Paste the table between its markers in experiments/VALIDATION.md."""
    if COUNTS.is_dir():
        print(text := table_of())
        paste(ROOT / "experiments" / "VALIDATION.md", TABLE, text)


if __name__ == "__main__":
    main()
