"""The estimator that ranks first has a lower error than DR always, or SNIPS always, over many bandits."""

from __future__ import annotations

import numpy as np
import pytest
from ranking_designs import Bandit, bandits, squared_errors
from ranking_table import compare, read_errors, write_errors

DRAWS = 6  # logs of a bandit
REDRAWS = 20  # of rewards in each


def mean_errors(bandit: Bandit, draws: int) -> dict[str, dict[str, float]]:
    """Return the mean squared error of each estimator, and of the choice by rank, by policy."""
    errors = [squared_errors(bandit, draw, REDRAWS) for draw in range(draws)]
    return {
        policy: {name: float(np.mean([of_draw[policy][name] for of_draw in errors])) for name in errors[0][policy]}
        for policy in errors[0]
    }


@pytest.mark.long
def test_the_first_has_a_lower_error_than_one_rule_for_all() -> None:
    for number, bandit in enumerate(bandits()):
        write_errors(number, mean_errors(bandit, DRAWS))
    cells = read_errors()
    assert len(cells["dr"]) == len(bandits())
    for rule in ("dr", "snips"):
        _, _, high = compare(cells, "ranked first", rule)
        assert high < 1, rule


def test_in_a_draw_the_choice_is_not_the_model_where_the_model_is_wrong() -> None:
    for errors in squared_errors(bandits()[2], 0, 10).values():
        assert errors["ranked first"] < 0.25 * errors["dm"]
