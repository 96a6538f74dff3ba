"""One row, one colour: in every figure of a study and on its page."""

from __future__ import annotations

import re
from pathlib import Path

from handmade import make_run
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from causalrec.reporting.colours import BASE, row_colours
from causalrec.reporting.figure import calibration_figure
from causalrec.reporting.html.page import page
from causalrec.reporting.html.page_data import load_page_data
from causalrec.reporting.predicted_figure import predicted_figure
from causalrec.reporting.refute_figure import refute_figure

RUNS = [make_run(name, seed=seed) for name in ("mf-naive", "mf-ips", "bert-ips") for seed in (0, 1)]
COLOURS = row_colours(run.record.name for run in RUNS)


def lines_by_label(figure: Figure) -> dict[str, str]:
    lines = [line for panel in figure.axes for line in panel.lines if not str(line.get_label()).startswith("_")]
    return {str(line.get_label()).partition(",")[0]: to_hex(line.get_color()) for line in lines}


def test_the_order_of_rows_does_not_matter_and_many_rows_are_told_apart() -> None:
    names = [f"mf-row{k}" for k in range(4 * len(BASE))]
    colours = row_colours(names)
    assert colours == row_colours(reversed(names)) and len(set(colours.values())) == len(names)
    assert list(row_colours(["x10", "x2"])) == ["x2", "x10"]
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours.values())


def test_a_row_has_one_colour_in_the_figures_and_on_the_page(tmp_path: Path) -> None:
    assert lines_by_label(predicted_figure([run.record for run in RUNS])) == COLOURS
    single = calibration_figure(RUNS[0].record, COLOURS["mf-naive"])
    assert single is not None and COLOURS["mf-naive"] in {to_hex(line.get_color()) for line in single.axes[0].lines}
    for run in RUNS:
        run.record.save(tmp_path / run.record.name / str(run.record.seed))
    text = page(load_page_data(tmp_path))
    for name, colour in COLOURS.items():
        assert f'<tr style="--row:{colour}"><th scope="row" data-v="{name}">' in text
        assert f'<figure data-row="{name}" style="--row:{colour}">' in text
        assert f'"{colour}"' in text, "of the differences, which the page's script draws"


def test_axes_reach_as_far_as_the_data_and_seeds_are_a_band() -> None:
    figure = predicted_figure([run.record for run in RUNS])
    points = [p for run in RUNS for b in run.record.calibration for p in (b.predicted, b.true) if p is not None]
    room = 0.05 * (max(points) - min(points))
    for panel in figure.axes:
        low, high = panel.get_xlim()
        assert min(points) - room <= low < min(points) and max(points) < high <= max(points) + room
        assert panel.get_ylim() == (low, high) and len(panel.collections) == len(panel.get_legend().get_texts())


def test_a_refutation_has_a_title_and_the_run_s_own_interval() -> None:
    about = {"run": "linear_dml", "caveat": None, "level": 0.95, "value": [0.5], "low": [0.4], "high": [0.6]}
    verdict = {"refuter": "data subset", "arm": 1, "value_is_effect": True, "value": 0.45, "low": 0.3, "high": 0.6}
    figure = refute_figure({**about, "verdicts": [{**verdict, "verdict": "fails"}]})
    assert figure.get_suptitle() == "linear_dml: the average effect, and what refuters make of it"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["data subset: fails"]
