"""How often each refuter flags a clean simulation, one with a hidden confounder, and one with a leaked outcome."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from causalrec.evaluation.refuter.run_refuters import run_refuters
from tests.evaluation.test_refute import REFUTERS, problem_of

BLIND = ("placebo exposure", "dummy outcome", "random common cause", "data subset")
WORLDS: dict[str, dict[str, Any]] = {"clean": {}, "hidden": {"confounder_strength": 2.0}, "leak": {"leaked": True}}


def rates(draws: int, units: int = 2000) -> dict[str, dict[str, float]]:
    by_world = {}
    for world, settings in WORLDS.items():
        failed: Counter[str] = Counter()
        for seed in range(draws):
            failed.update(
                v.refuter
                for v in run_refuters(REFUTERS, problem_of(seed=seed, units=units, **settings))
                if v.verdict == "fails"
            )
        by_world[world] = {refuter.name: failed[refuter.name] / draws for refuter in REFUTERS}
    return by_world


def judge(by_world: dict[str, dict[str, float]], slack: float) -> None:
    assert all(rate <= slack for rate in by_world["clean"].values())
    assert all(by_world["hidden"][name] <= slack for name in BLIND), "they cannot see it"
    assert max(by_world["hidden"][name] for name in ("negative control outcome", "randomised rows")) >= 1 - slack
    assert by_world["leak"]["leak"] == 1


@pytest.mark.long
def test_a_few_draws() -> None:
    judge(rates(3, 800), 0.34)


@pytest.mark.long
def test_rates_over_fifty_draws() -> None:
    by_world = rates(50)
    print("\n| refuter | clean | hidden confounder | leaked outcome |\n|---|---|---|---|")
    for refuter in REFUTERS:
        print(f"| {refuter.name} | " + " | ".join(f"{by_world[world][refuter.name]:.2f}" for world in WORLDS) + " |")
    judge(by_world, 0.15)
