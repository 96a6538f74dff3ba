"""Rounds whose rewards are smooth in the vectors of ML-100K's titles and genres, and what kernels say of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
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
class SmoothRewards:
    """Clicks by users with a taste that is linear in eight principal components of vectors.

    The logit of user u and action a is `strength t(u, a) - 1`, t of mean 0 and standard deviation 1; the logging policy is
    `softmax(0.5 noise)`, the target `softmax(1.2 t + 1.6 noise)` of another noise: it knows the taste, and each action's
    own whims, that say nothing of rewards, spread its weights.

    Attributes:
        vectors: float64[A,D], that the taste is made of.
        seen: float64[A,D], that the kernel reads.
        strength: of the taste.
        users: U.
    """

    vectors: Doubles
    seen: Doubles
    strength: float
    users: int

    def permuted(self) -> SmoothRewards:
        """Return the same rewards, the kernel reading the vectors of other actions."""
        return replace(self, seen=self.vectors[np.random.default_rng(1).permutation(len(self.vectors))])

    @cached_property
    def _laws(self) -> tuple[Doubles, Doubles, Doubles]:
        """Mean rewards, logging and target policy, float64[U,A] each."""
        rng, points = np.random.default_rng(0), action_space(of_vectors(self.vectors), COMPONENTS).points
        taste = rng.normal(size=(self.users, points.shape[1])) @ (points / points.std(0)).T / np.sqrt(points.shape[1])
        taste -= taste.mean(1, keepdims=True)
        logging = softmax(0.5 * rng.normal(size=taste.shape))
        target = softmax(1.2 * taste + 1.6 * rng.normal(size=taste.shape))
        return 1 / (1 + np.exp(1 - self.strength * taste)), logging, target

    @property
    def truth(self) -> float:
        mean, _, target = self._laws
        return float((mean * target).sum(1).mean())

    def rounds(self, seed: int) -> LoggedRounds:
        """Return 10,000 rounds of users at random."""
        mean, logging, target = self._laws
        rng = np.random.default_rng([seed, 25])
        user: Ints = rng.integers(0, self.users, ROUNDS)
        action = draw_actions(logging, user, rng)
        return LoggedRounds(
            reward=(rng.random(ROUNDS) < mean[user, action]).astype(float),
            action=action,
            propensity=logging[user, action],
            target=target[user, action],
            target_distribution=target[user],
            logging_distribution=logging[user],
            actions=self._features,
        )

    @cached_property
    def _features(self) -> ActionFeatures:
        return of_vectors(self.seen)


def estimates(rounds: LoggedRounds) -> dict[str, float]:
    """Return the estimates by snips, by each bandwidth and by what either rule takes."""
    estimators: Mapping[str, AbstractValueEstimator] = {"snips": SNIPSValue(), **CANDIDATES}
    contributions: dict[str, Contributions] = {name: each.contributions(rounds) for name, each in estimators.items()}
    sums = NormalInterval().start(list(contributions), 0, 0)
    sums.update(contributions, np.zeros(len(rounds), np.int64))
    intervals = {name: sums.interval(name, 0.95) for name in contributions}
    values = {name: interval.value for name, interval in intervals.items()}
    names = list(CANDIDATES)
    candidates = [values[name] for name in names]
    errors = [[sums.difference(a, b, 0.95).standard_error for b in names] for a in names]
    separate = slope(candidates, [SLOPE_WIDTH * intervals[name].standard_error for name in names])
    paired = slope_by_differences(candidates, SLOPE_WIDTH * np.array(errors))
    return values | {RULES[0]: candidates[separate], RULES[1]: candidates[paired]}


def squared_errors(design: SmoothRewards, draws: int) -> tuple[dict[str, float], float]:
    """Return the mean squared error of each estimate as a multiple of that of snips, and the mean effective rounds."""
    errors: dict[str, list[float]] = {}
    effective = []
    for seed in range(draws):
        rounds = design.rounds(seed)
        effective.append(float(rounds.weight.sum() ** 2 / (rounds.weight @ rounds.weight)))
        for name, value in estimates(rounds).items():
            errors.setdefault(name, []).append((value - design.truth) ** 2)
    base = float(np.mean(errors["snips"]))
    ratios = {name: float(np.mean(of_name)) / base for name, of_name in errors.items()}
    return ratios | {"snips": base**0.5}, float(np.mean(effective))


def write_ratios(row: str, ratios: Mapping[str, float], effective: float, draws: int) -> None:
    COUNTS.mkdir(parents=True, exist_ok=True)
    content = {"row": row, "ratios": dict(ratios), "effective": effective, "draws": draws}
    (COUNTS / f"{row.replace(' ', '_')}.json").write_text(json.dumps(content), encoding="utf-8")


def table_of() -> str:
    """Return the rows counted last as markdown."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(COUNTS.glob("*.json"))]
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
