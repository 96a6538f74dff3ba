"""Warnings of rankings whose first rows rest on few rows of an arm."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from causalrec.evaluation.ranked_first import effective_first, few_ranked_first
from causalrec.metrics.base import Scored


def make_rows(treatment: list[int], propensity: list[float], prediction: list[float] | None = None) -> Scored:
    n = len(treatment)
    ranks = torch.arange(n, 0, -1.0) if prediction is None else torch.tensor(prediction)
    return Scored(ranks, torch.zeros(n), torch.arange(n), 0.0, None, torch.tensor(treatment), torch.tensor(propensity))


def test_rows_of_the_first_tenth_are_counted_by_weight() -> None:
    rows = make_rows([1, 0, 0] + [1] * 27, [0.5, 0.5, 0.75] + [0.5] * 27)
    treated, untreated = effective_first(rows, np.arange(30))
    assert (treated, untreated) == pytest.approx((1.0, (2 + 4) ** 2 / (4 + 16)))
    assert effective_first(rows, np.array([0, 1, 1, *range(2, 29)]))[1] == pytest.approx(1.0), "they are of one unit"


def test_a_ranking_is_warned_of_and_a_constant_ranks_nobody_first() -> None:
    half = [1, 0] * 60
    (line,) = few_ranked_first(make_rows(half, [0.5] * 120), np.arange(120))
    assert "in the first tenth weigh as much as 6 alike" in line
    assert few_ranked_first(make_rows(half, [0.5] * 120, [1.0] * 120), np.arange(120)) == ()
    assert few_ranked_first(make_rows(half * 2, [0.5] * 240), np.arange(240)) == ()
    (line,) = few_ranked_first(make_rows([1] * 300, [0.5] * 300), np.arange(300))
    assert line.startswith("no row without treatment is in the tenth ranked first")
    assert few_ranked_first(make_rows([], []), np.arange(0)) == ()
