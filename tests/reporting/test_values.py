"""A run without baselines: its scores slice by slice, as text and as a picture, with what stands beside an interval."""

from __future__ import annotations

from dataclasses import replace

from handmade import make_run, score

from causalrec.reporting.figure import pictures
from causalrec.reporting.table import tables
from causalrec.reporting.table_text import text_table
from causalrec.reporting.values_figure import values_figure

NOTE = "115 effective rounds"
VALUES = [
    score("on_policy", "logged", 0.4, "row", 0.35, 0.45),
    score("ips", "uniform", 0.5, "row", 0.45, 0.55),
    replace(score("ips", "greedy", 0.6, "row", 0.4, 0.8), note=NOTE),
    score("mean_weight", "greedy", 1.0, "row", None, None),
    score("ips", "greedy-logged", 0.2, "row", 0.1, 0.3),
]


def test_a_single_row_is_shown_slice_by_slice_and_a_note_stands_below_its_interval() -> None:
    run = make_run("row", scores=VALUES)
    run = replace(run, record=replace(run.record, baselines=()))
    (table,) = tables([run])
    shown = text_table(table)
    assert shown.header == ("slice", "on_policy", "ips", "mean_weight")
    assert [row[0] for row in shown.rows] == ["logged", "uniform", "greedy", "greedy-logged"]
    assert shown.rows[2][2] == ("0.600", "[0.400, 0.800]", f"({NOTE})")
    assert shown.rows[1][2] == ("0.500", "[0.450, 0.550]") and shown.rows[0][2] == ""
    assert f"({NOTE})" in str(table), "in markdown too"


def test_values_and_differences_are_drawn_apart_with_the_note_beside_the_interval() -> None:
    record = replace(make_run("row", scores=VALUES).record, baselines=(), calibration=())
    figure = values_figure(record)
    assert figure is not None
    values, differences = figure.axes
    assert [label.get_text() for label in values.get_yticklabels()] == [
        "on_policy, logged",
        "ips, uniform",
        "ips, greedy",
    ]
    assert [label.get_text() for label in differences.get_yticklabels()] == ["ips, greedy-logged"]
    assert [text.get_text() for text in values.texts] == [NOTE]
    assert list(pictures(record)) == ["values"]


def test_where_baselines_stand_beside_the_model_there_is_no_such_picture() -> None:
    record = make_run("row", scores=VALUES).record
    assert record.baselines and values_figure(record) is None
    assert values_figure(replace(record, baselines=(), scores=())) is None
