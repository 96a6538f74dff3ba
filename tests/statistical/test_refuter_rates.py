"""How often each refuter says that an effect fails: where nothing is wrong, with a hidden cause, with a leaked outcome.

Of the refuters that say how strong a hidden cause must be: how often there is nothing to explain, and the median.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from coverage_counts import exact_interval
from refuter_counts import WorldCount, misses, write_counts

from causalrec.evaluation.refuter.base import RefuterVerdict
from causalrec.evaluation.refuter.run_refuters import run_refuters
from tests.evaluation.test_refute import REFUTERS, STRENGTHS, problem_of

DRAWS, UNITS, REPEATS = 50, 2000, 5  # of each world: seeds 0 to 49
NONE: dict[str, Any] = {"effect": 0.0, "heterogeneity": 0.0}
SMALL: dict[str, Any] = {"effect": 0.1, "heterogeneity": 0.0}
HIDDEN: dict[str, Any] = {"confounder_strength": 2.0}
WORLDS: Mapping[str, dict[str, Any]] = {
    "clean, 0": NONE,
    "clean, 0.1": SMALL,
    "clean, 1.8": {},
    "hidden, 0": NONE | HIDDEN,
    "hidden, 0.1": SMALL | HIDDEN,
    "hidden, 1.8": HIDDEN,
    "leak, 1.8": {"leaked": True},
    "by user, 0": NONE | {"units": 500, "rows_per_unit": 4, "unit_spread": 1.0},
}


def count_verdicts(world: str, draws: int, units: int = UNITS) -> WorldCount:
    by_draw = [
        run_refuters(REFUTERS, problem_of(**{"units": units, "seed": seed, "repeats": REPEATS} | WORLDS[world]))
        for seed in range(draws)
    ]
    verdicts = [verdict for of_draw in by_draw for verdict in of_draw]
    others = [refuter.name for refuter in REFUTERS if refuter.name not in STRENGTHS]
    return WorldCount(
        world,
        draws,
        {name: count(verdicts, name, "fails") for name in others},
        {name: count(verdicts, name, "nothing to explain") for name in STRENGTHS},
        {name: median(verdicts, name) for name in STRENGTHS},
    )


def count(verdicts: list[RefuterVerdict], refuter: str, label: str) -> int:
    return sum(verdict.refuter == refuter and verdict.verdict == label for verdict in verdicts)


def median(verdicts: list[RefuterVerdict], refuter: str) -> float:
    measured = [verdict.value for verdict in verdicts if verdict.refuter == refuter and verdict.verdict == "measured"]
    return float(np.median(measured)) if measured else float("nan")


@pytest.mark.long
@pytest.mark.parametrize("world", WORLDS)
def test_rates_over_fifty_draws(world: str) -> None:
    counted = count_verdicts(world, DRAWS)
    write_counts(counted)
    assert misses(counted) == []
    if world in ("clean, 0", "by user, 0"):
        assert all(exact_interval(nothing, DRAWS)[1] > 0.95 for nothing in counted.nothing.values())


def test_a_few_draws() -> None:
    assert misses(count_verdicts("hidden, 0", 2, 400)) == []


def test_a_rate_fails_only_where_it_cannot_be_8_percent() -> None:
    assert misses(WorldCount("clean, 0", 50, {"data subset": 11}, {}, {})) == []
    assert misses(WorldCount("clean, 0", 50, {"data subset": 12}, {}, {})) == ["clean, 0: data subset fails 12 of 50"]
    assert misses(WorldCount("hidden, 0", 50, {"randomised rows": 39}, {}, {})) == []
    assert misses(WorldCount("hidden, 0", 50, {"randomised rows": 38}, {}, {})) != []
