"""What two models need: differences by size, and rows read off a curve, by hand."""

from __future__ import annotations

import dataclasses

import pytest
from handmade import make_run, score

from causalrec.errors import RequestError
from causalrec.records.run_folder import RunFolder
from causalrec.reporting.data_needs import data_needs, data_needs_table, rows_to_reach

COLUMN = "mse@all_pairs"
SIZES = {"5": 1000, "1": 200, "0.5": 100}
MF = {"5": 0.010, "1": 0.020, "0.5": 0.040}
TEXT = {"5": 0.012, "1": 0.015, "0.5": 0.020}


def runs() -> list[RunFolder]:
    """Three draws of each, whose means are those above."""
    folders = []
    for model, values in (("mf", MF), ("text", TEXT)):
        for size, value in values.items():
            for seed in range(3):
                name = f"{model}-naive-{size}"
                shift = (seed - 1) * (0.001 if model == "mf" else 0.0015)
                run = make_run(
                    name,
                    seed=seed,
                    scores=[score("mse", "all_pairs", value + shift, name)],
                    config={"dataset": {"_target_": "d", "draw": seed, "exposed": float(size)}},
                )
                audit = dataclasses.replace(
                    run.record.audit, rows={"train": SIZES[size] + seed - 1}, resampled_by=("dataset.draw",)
                )
                folders.append(dataclasses.replace(run, record=dataclasses.replace(run.record, audit=audit)))
    return folders


LEVELS = {size: (f"text-naive-{size}", f"mf-naive-{size}") for size in SIZES}


def test_needs_are_those_read_off_the_curve_by_hand() -> None:
    needs = {need.level: need for need in data_needs(runs(), LEVELS, COLUMN)}
    assert [need.rows for need in needs.values()] == pytest.approx([1000, 200, 100])
    assert [need.difference for need in needs.values()] == pytest.approx([0.002, -0.005, -0.020])
    assert needs["0.5"].share == pytest.approx(2.0), "mf is as good with the 200 rows of the size above"
    assert needs["1"].share == pytest.approx(5**0.5), "half way from .020 to .010, over the logarithm of the rows"
    assert needs["5"].share == pytest.approx(5**0.8 / 5), "it needs fewer rows than text has"
    # differences by draw: -.0005, 0, .0005 round their mean; t with 2 degrees of freedom has 4.303 at 97.5 %
    assert needs["1"].high - needs["1"].difference == pytest.approx(4.3027 * 0.0005 / 3**0.5, rel=1e-3)
    assert needs["0.5"].adjusted < needs["1"].adjusted < needs["5"].adjusted


def test_a_curve_that_is_nowhere_as_good_says_never_and_one_that_begins_so_at_most() -> None:
    assert rows_to_reach([(10, 0.5), (20, 0.6)], 0.7, higher_is_better=True) == (None, "")
    assert rows_to_reach([(10, 0.5), (20, 0.6)], 0.4, higher_is_better=True) == (10.0, "at most")
    levels = {"5": ("text-naive-0.5", "mf-naive-0.5")}
    (only,) = data_needs(runs(), levels, COLUMN)
    assert only.share is None
    text = data_needs_table([only], "text", "mf", COLUMN).render(120)
    assert "never" in text and "-0.0200" in text


def test_a_row_or_score_that_is_not_there_is_refused_in_one_line() -> None:
    with pytest.raises(RequestError, match=r"text-naiv-5: there is no such row; did you mean 'text-naive-5'"):
        data_needs(runs(), {"5": ("text-naiv-5", "mf-naive-5")}, COLUMN)
    with pytest.raises(RequestError, match="auc@all_pairs: mf-naive-5 has no such score"):
        data_needs(runs(), {"5": ("text-naive-5", "mf-naive-5")}, "auc@all_pairs")
