"""A rule that is true of a sparse log lowers the true error; the same rule about permuted genres does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from causalrec.estimators.penalty.rules import Rules
from tests.statistical.rule_world import RULES, draw_world, fit_errors, permute_genres

DRAWS = 10


def interval(differences: list[float]) -> tuple[float, float]:
    """The 95 % interval of a mean over draws (t with 9 degrees of freedom)."""
    half = 2.262 * float(np.std(differences, ddof=1)) / len(differences) ** 0.5
    return float(np.mean(differences)) - half, float(np.mean(differences)) + half


@pytest.mark.long
def test_a_planted_rule_helps_at_one_percent_and_permuted_genres_do_not(tmp_path: Path) -> None:
    """943 users, 1,682 items, 1 % of the pairs; over the pairs that the rule speaks of, and over all pairs."""
    penalty = Rules(rules=RULES, predicates={"has": "genre"}, weight=10, pairs=2048)
    differences: dict[tuple[str, int], list[float]] = {(name, k): [] for name in ("true", "permuted") for k in (0, 1)}
    for draw in range(DRAWS):
        world = draw_world(draw)
        bound = {"true": penalty.bind(world.dataset), "permuted": penalty.bind(permute_genres(world.dataset, draw))}
        none = fit_errors(world, None, tmp_path / f"{draw}", draw)
        for name, each in bound.items():
            errors = fit_errors(world, each, tmp_path / f"{draw}{name}", draw)
            for k in (0, 1):
                differences[name, k].append(errors[k] - none[k])
    for k in (0, 1):
        assert interval(differences["true", k])[1] < 0
        assert interval(differences["permuted", k])[1] >= 0
