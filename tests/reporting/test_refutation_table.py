"""What refuters said, as tables and a figure: findings, hidden causes, and what a null leaves open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from causalrec.commands.refute import _original_estimate, _verdict_rows
from causalrec.estimators.effect.average_effect import normal_average
from causalrec.evaluation.refuter.base import RefuterVerdict, Scenario
from causalrec.reporting.refutation_table import scenario_table, verdict_table
from causalrec.reporting.refute_figure import refute_figure
from tests.evaluation.test_refute import problem_of

NAN = float("nan")
MEASURED = RefuterVerdict(
    refuter="unobserved common cause",
    arm=1,
    verdict="measured",
    value=1.4,
    low=0.9,
    high=NAN,
    rule="how many times",
    limitation="a stronger one",
    value_is_effect=False,
    finding="0 at 1.4 × x2, its interval at 0.9",
    scenarios=(
        Scenario(
            hidden_cause="1 × x2",
            value=0.12,
            low=-0.02,
            high=0.26,
            linear_value=0.1,
            linear_low=-0.05,
            linear_high=0.25,
        ),
        Scenario(hidden_cause="2 × x2", value=-0.1, linear_value=-0.2),
        Scenario(hidden_cause="3 × x2", note="beyond the bound: no cause is so strong"),
        *(Scenario(hidden_cause=f"{k} × x3", value=0.3, low=0.2, high=0.4) for k in range(1, 9)),
    ),
)
PASSED = replace(
    MEASURED, refuter="data subset", verdict="passes", value=0.4, value_is_effect=True, finding="", scenarios=()
)
NULL = replace(
    MEASURED, verdict="nothing to explain", finding="nothing to explain away", value=0.1, low=0.0, scenarios=()
)


def refutation(*verdicts: RefuterVerdict, detectable: float | None = None) -> dict[str, Any]:
    about = {"run": "linear_dml", "caveat": None, "estimator": "linear_dml", "level": 0.9}
    ends = {"value": [0.4], "low": [0.2], "high": [0.6], "error": [0.1], "detectable": [detectable]}
    return {**about, **ends, "verdicts": _verdict_rows(list(verdicts))}


def test_a_finding_stands_in_the_place_of_the_label_and_of_the_number() -> None:
    table = verdict_table(refutation(PASSED, MEASURED))
    assert table.rows == (
        ("data subset", "1", "passes", "0.400"),
        ("unobserved common cause", "1", "0 at 1.4 × x2, its interval at 0.9", ""),
    )
    assert table.title == "linear_dml: 0.400 [0.200, 0.600] (90 % interval)"
    assert not any("its interval holds 0" in note for note in table.notes)


def test_each_arm_s_rule_stands_below_where_arms_differ() -> None:
    notes = verdict_table(refutation(MEASURED, replace(MEASURED, arm=2, rule="how many"), PASSED)).notes
    assert notes[-3:-1] == (
        "unobserved common cause: arm 1: how many times; arm 2: how many; a stronger one",
        "data subset: how many times; a stronger one",
    )


def test_a_null_stands_beside_the_effect_that_would_have_shown() -> None:
    table = verdict_table(refutation(NULL, detectable=0.28))
    assert table.rows[0][2] == "nothing to explain away"
    assert table.notes[0] == (
        "arm 1: its interval holds 0; an effect of 0.28 would have shown in 80 % of such samples, a smaller "
        "one in fewer"
    )


def test_hidden_causes_stand_with_what_they_leave() -> None:
    table = scenario_table(refutation(PASSED, MEASURED))
    assert table is not None and table.title.startswith("what a hidden cause would leave of the effect (90 % interval;")
    assert table.rows[:3] == (
        ("1 × x2", "1", "0.120 [-0.020, 0.260]", "0.100 [-0.050, 0.250]"),
        ("2 × x2", "1", "-0.100", "-0.200"),
        ("3 × x2", "1", "beyond the bound: no cause is so strong", ""),
    )
    assert len(table.rows) == 9 and table.notes == (
        "without an interval: such a cause would explain all that is left of the outcome",
        "2 more, of weaker columns, are in refute.json",
    )
    assert scenario_table(refutation(PASSED)) is None


def test_the_figure_draws_hidden_causes_and_says_what_a_null_leaves_open() -> None:
    figure = refute_figure(refutation(PASSED, MEASURED, NULL, detectable=0.28))
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == [
        "data subset: passes",
        "unobserved common cause:\n0 at 1.4 × x2, its interval at 0.9",
        "unobserved common cause:\nnothing to explain away",
    ]
    assert panel.get_legend_handles_labels()[1][0] == "its 90 % interval"
    assert {text.get_text() for text in panel.texts} >= {"1 × x2"}
    assert panel.get_xlabel().endswith("; 0.28 would have shown in 80 % of such samples")


def test_an_estimate_without_an_interval_is_drawn_without_one() -> None:
    bare = {**refutation(PASSED), "low": [None], "high": [None]}
    assert len(refute_figure(bare).axes[0].patches) == 0 < len(refute_figure(refutation(PASSED)).axes[0].patches)
    assert verdict_table(bare).title == "linear_dml: 0.400"


def test_the_record_of_a_null_holds_the_least_effect_that_would_have_shown() -> None:
    problem = problem_of(units=200)
    error = np.array([0.1])
    for value, expected in ((0.05, pytest.approx(0.280159, abs=1e-5)), (0.5, None)):
        original = normal_average(np.array([value]), error, 0.95)
        assert _original_estimate(replace(problem, original=original))["detectable"] == [expected]
    few = replace(normal_average(np.array([0.05]), error, 0.95), low=np.array([-0.2]), high=np.array([0.3]))  # of t
    of_few = _original_estimate(replace(problem, original=few, level=0.9))["detectable"]
    assert of_few == [pytest.approx(0.25 * (1 + 0.841621 / 1.644854), abs=1e-5)]
    bare = replace(normal_average(np.array([0.5]), error, 0.95), low=np.array([NAN]), high=np.array([NAN]))
    estimate = _original_estimate(replace(problem, original=bare))
    assert estimate["detectable"] == [None] and estimate["low"] == [None]
