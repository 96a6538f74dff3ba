"""Uplift curves of the whole chain are covered, whoever is assigned the treatment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from coverage_counts import is_covered, write_counts
from effect_designs import BY_USER, INDEPENDENT
from scipy.integrate import quad
from scipy.stats import norm

from causalrec.config.compose import compose_all, normalise_overrides
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.slice.base import SliceData
from causalrec.running.prepare import plan_run, prepare_data, select_slices
from causalrec.types import Floats

DRAWS = 200
FEW = 12
SPREAD = 1 / np.sqrt(1.25)  # of effects along a ranking by x1 + x0 / 2, whose standard deviation is sqrt(1.25)
MEAN = 1 + np.sqrt(2 / np.pi)  # effect
ALL = ["task=effect", "split=random", "split.test=0.5", "logger=none", "slice=[uplift]"]
METRICS = "metric=[qini,auuc,uplift_at_k,rank_weighted_effect,uplift_policy_value]"
OF_DESIGN: Mapping[str, list[str]] = {
    INDEPENDENT.name: ["dataset.units=2000"],
    BY_USER.name: ["dataset.units=600", "dataset.rows_per_unit=4", "dataset.unit_spread=1"],
}
CONFOUNDING = 0.5  # of treatment by x0 and x1
STRONG = 1.0  # the ranking is nearly that by the propensity: few untreated rows are ranked first
WARNED = "warned"


def truths() -> dict[str, float]:
    """Return the curves' values in the population.

    Of the share q ranked first, z of rank above z_q, the mean effect is `MEAN + SPREAD phi(z_q) / q`; half are treated,
    which is the scale of Qini; the mean outcome without treatment is 0.
    """
    area = SPREAD / (2 * np.sqrt(np.pi))  # the integral of phi(z_q) over q
    gained = quad(lambda z: norm.pdf(z) ** 2 / norm.sf(z), -8, 8)[0]
    return {
        "qini": area / 2,
        "auuc": area,
        "uplift_at_k": MEAN + SPREAD * norm.pdf(norm.isf(0.3)) / 0.3,
        "autoc": SPREAD * gained,
        "uplift_policy_value": MEAN / 2 + SPREAD * norm.pdf(0),
    }


def count_covered(design: str, confounding: float, draws: int, folder: Path) -> dict[str, int]:
    """Return how many of the draws cover the truth, by metric, and how many warn of what is ranked first.

    Ranked by columns, so that nothing is learnt.
    """
    truth = truths()
    covered = dict.fromkeys([*truth, WARNED], 0)
    overrides = [*ALL, METRICS, *OF_DESIGN[design], f"dataset.confounding={confounding}", f"paths.runs={folder}"]
    for config in compose_all([normalise_overrides([*overrides, f"dataset.seed={seed}"]) for seed in range(draws)]):
        prepared = prepare_data(config, plan_run(config))
        (rows,) = select_slices(config, prepared)["uplift"]
        columns = prepared.dataset.user_table.select("x1", "x0").to_numpy() @ np.array([1, 0.5])

        def rank(slice_: SliceData, columns: Floats = columns) -> Floats:
            return columns[slice_.user].astype(np.float32)[:, None]

        scores = {score.metric: score for score in Evaluator(config.metric, [rows], 0.0)(rank, "columns")}
        for metric, value in truth.items():
            covered[metric] += int(scores[metric].low <= value <= scores[metric].high)
        assert not scores["uplift_policy_value"].warnings, "it asks nobody who is first"
        covered[WARNED] += int(bool(scores["autoc"].warnings))
    return covered


@pytest.mark.long
@pytest.mark.parametrize("design", OF_DESIGN)
def test_curves_are_covered(design: str, tmp_path: Path) -> None:
    covered = count_covered(design, CONFOUNDING, DRAWS, tmp_path)
    write_counts("uplift curves", design, DRAWS, covered)
    assert {m: count for m, count in covered.items() if m != WARNED and not is_covered(count, DRAWS)} == {}


@pytest.mark.long
@pytest.mark.parametrize("design", OF_DESIGN)
def test_curves_that_rest_on_few_rows_are_warned_of(design: str, tmp_path: Path) -> None:
    covered = count_covered(design, STRONG, DRAWS, tmp_path)
    write_counts("uplift curves", f"{design}, few untreated ranked first", DRAWS, covered)
    assert covered[WARNED] >= 0.9 * DRAWS


def test_a_few_curves_are_covered_and_those_on_few_rows_warned_of(tmp_path: Path) -> None:
    """Of 12 draws at 95 %, 7 or fewer are covered with a chance of 2 in 10,000."""
    covered = count_covered(BY_USER.name, CONFOUNDING, FEW, tmp_path)
    assert min(count for metric, count in covered.items() if metric != WARNED) > 7
    assert count_covered(BY_USER.name, STRONG, 3, tmp_path)[WARNED] == 3
