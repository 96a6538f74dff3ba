"""Intervals of the ten items shown, the largest of 1,000 candidates, hold at once, by fitted learners.

Users have one row each, of one of 1,000 items with five columns; the effect is linear in these, and varies between
items by 0, 1 or 2 mean standard errors (those of `linear_dml`). Minutes of one core.
"""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from coverage_counts import exact_interval, is_covered, write_counts

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.estimators.effect.base import LearnerData
from causalrec.estimators.effect.simultaneous import SimultaneousInterval, sidak_level
from causalrec.learners.table import AbstractTableLearner
from causalrec.types import Bools, Doubles

TABLE = "ten shown of 1,000 candidates"
ITEMS, COLUMNS, SHOWN, LEVEL = 1000, 5, 10, 0.95
STANDARD_ERROR = 0.13  # the mean one of 1,000 candidates, by linear_dml on 2,000 rows
JOINT = [("linear_dml", spread, 2000, 200) for spread in (0, 1, 2)] + [("linear_dr_learner", 1, 2000, 200)]
BY_NUMBER = [("causal_forest_dml", 0, 1000, 60)]  # a forest's bias is no matter of how many are shown


def learner(name: str) -> AbstractTableLearner:
    """Return a learner as its YAML has it, in this process alone."""
    node = yaml.safe_load((package_folder("conf") / "learner" / f"{name}.yaml").read_text(encoding="utf-8"))
    if "forest" in name:
        node["arguments"] = {**node.get("arguments", {}), "n_jobs": 1}
    built: AbstractTableLearner = validate_component("learner", node, AbstractTableLearner).build()
    return built


def draw(rows: int, spread: float, seed: int) -> tuple[LearnerData, Doubles, Doubles]:
    """Return rows, the columns of a user's 1,000 candidates, and their true effects."""
    rng = np.random.default_rng(seed)
    items, user, control = rng.normal(size=(ITEMS, COLUMNS)), rng.normal(size=(rows, 2)), rng.normal(size=(rows, 1))
    slope = spread * STANDARD_ERROR * np.ones(COLUMNS) / np.sqrt(COLUMNS)
    item = rng.integers(ITEMS, size=rows)
    modifiers = np.hstack([user, items[item]])
    chance = 1 / (1 + np.exp(-0.8 * control[:, 0] - 0.4 * items[item, 0]))
    treatment = (rng.random(rows) < chance).astype(np.int64)
    outcome = treatment * (items[item] @ slope) + control[:, 0] + 0.5 * items[item, 0] + rng.normal(size=rows)
    candidates = np.hstack([np.tile(user[:1], (ITEMS, 1)), items])
    return LearnerData(modifiers, control, treatment, outcome, arms=1, binary=False), candidates, items @ slope


def all_held(low: Doubles, high: Doubles, truth: Doubles, which: Bools | slice) -> int:
    return int(((low <= truth) & (truth <= high))[which].all())


def count_covered(name: str, spread: float, rows: int, draws: int) -> dict[str, int]:
    """Return in how many draws all ten shown are covered, and all candidates; and the ten by other intervals."""
    covered = dict.fromkeys(("shown", "candidates", "shown, pointwise", "shown, corrected for ten"), 0)
    for seed in range(draws):
        seen, candidates, truth = draw(rows, spread, seed)
        fitted, controls = learner(name).fit_rows(seen, seed), np.zeros((ITEMS, 1))
        interval = fitted.simultaneous_interval(candidates, controls, 1, LEVEL)
        assert isinstance(interval, SimultaneousInterval)
        effects = fitted.effects(candidates, controls)[:, 0]
        shown = np.zeros(ITEMS, bool)
        shown[np.argsort(-effects, kind="stable")[:SHOWN]] = True
        covered["shown"] += all_held(interval.low, interval.high, truth, shown)
        covered["candidates"] += all_held(interval.low, interval.high, truth, slice(None))
        for column, level in (("pointwise", LEVEL), ("corrected for ten", sidak_level(LEVEL, SHOWN))):
            ends = fitted.interval(candidates, controls, level)
            assert ends is not None
            covered[f"shown, {column}"] += all_held(ends[0][:, 0], ends[1][:, 0], truth, shown)
    return covered


@pytest.mark.long
@pytest.mark.parametrize(("name", "spread", "rows", "draws"), [*JOINT, *BY_NUMBER])
def test_the_ten_shown_are_covered_at_once(name: str, spread: float, rows: int, draws: int) -> None:
    """By the largest |t| as often as 95 % intervals may; by Sidak's level at least so."""
    covered = count_covered(name, spread, rows, draws)
    write_counts(TABLE, f"{name}, sd of effects / error = {spread}", draws, covered)
    assert exact_interval(covered["shown"], draws)[1] >= 0.92
    if (name, spread, rows, draws) in JOINT:
        assert is_covered(covered["shown"], draws) and is_covered(covered["candidates"], draws)
    assert covered["shown, pointwise"] < covered["shown"]
