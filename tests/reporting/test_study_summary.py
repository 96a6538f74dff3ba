"""A study in a few lines: its counts, its largest misses, its figure, and where the whole table is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from handmade import make_run, score

from causalrec.records.run_folder import RunFolder
from causalrec.reporting.gains_figure import draw_gains
from causalrec.reporting.paper_table import PaperTable, collect_obtained, paper_table
from causalrec.reporting.score_table import ScoreTable
from causalrec.reporting.study import Study
from causalrec.reporting.study_files import publish
from causalrec.reporting.study_summary import largest_misses, summary
from causalrec.reporting.table import tables

AUC = "auc@randomised"
OURS = {"mf-naive": 0.70, "mf-ips": 0.65, "mf-dr": 0.71, "mf-snips": 0.70}
PRINTED = {"mf-naive": ".700", "mf-ips": ".800", "mf-dr": ".750", "mf-snips": ".701"}


def records() -> list[RunFolder]:
    rng, runs = np.random.default_rng(0), []
    for name, centre in OURS.items():
        for seed in range(2):
            value = centre + 0.002 * (seed - 0.5)
            run = make_run(name, seed=seed, scores=[score("auc", "randomised", value, name, 0.6, 0.8)])
            jackknife = {f"{name}|randomised|auc": value + rng.normal(0, 1e-4, size=(3, 20))}
            runs.append(dataclasses.replace(run, jackknife=jackknife))
    return runs


def make_table(**changes: Any) -> PaperTable:
    saved = records()
    study = Study.model_validate(
        {
            "title": "t",
            "sweep": "s",
            "seeds": [0, 1],
            "base": [],
            "rows": {name: [] for name in OURS},
            "columns": [AUC],
            "source": {"paper": "P", "table": "Table 2"},
            "published": [{"row": row, "column": AUC, "value": v, "sd": ".002", "n": 10} for row, v in PRINTED.items()],
            "compare": {"to": "mf-naive", "columns": [AUC]},
            **changes,
        }
    )
    obtained, baselines = collect_obtained(tables(saved, (AUC,)))
    return paper_table(study, obtained, baselines, saved, smoke=False)


def test_the_largest_misses_are_of_gains_in_tolerances() -> None:
    misses = largest_misses(make_table())
    assert [(miss.cell.row, miss.what) for miss in misses] == [("mf-ips", "gain"), ("mf-dr", "gain")]
    assert misses[0].published == 0.1 and abs(misses[0].obtained + 0.05) < 1e-9 and misses[0].size > 10
    assert [miss.cell.row for miss in largest_misses(make_table(), most=1)] == ["mf-ips"]


def test_without_gains_they_are_of_values() -> None:
    misses = largest_misses(make_table(compare=None))
    assert [(miss.cell.row, miss.what) for miss in misses] == [("mf-ips", "value"), ("mf-dr", "value")]
    assert "| mf-ips | auc@randomised | .800 | 0.65 |" in summary(make_table(compare=None), "c")


def test_a_summary_counts_names_misses_and_links() -> None:
    text = summary(make_table(), "causalrec reproduce s", "../docs/s.md", "../docs/s.svg")
    lines = text.splitlines()
    assert lines[0] == "`causalrec reproduce s`"
    assert "Gains over mf-naive: 2 not reproduced, 1 undecided. Values: 2 within, 2 below." in lines
    assert [line for line in lines if line.startswith("| mf-ips | auc@randomised | +0.1 | -0.05 | ")]
    assert "![published gains and ours](../docs/s.svg)" in lines and lines[-1] == "[Every cell](../docs/s.md)"
    assert "[Every cell]" not in summary(make_table(), "c")
    marked = {key: dataclasses.replace(cell, loses_to=("biases",)) for key, cell in make_table().cells.items()}
    assert "Rows that lose to a special case of themselves: constant, mf-dr, mf-ips" in summary(
        dataclasses.replace(make_table(), cells=marked), "c"
    )


def test_the_figure_shows_every_gain_and_is_the_same_each_time(tmp_path: Path) -> None:
    assert draw_gains(make_table(), tmp_path / "a.svg") and draw_gains(make_table(), tmp_path / "b.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "<svg" in text and len(text) > 5_000
    assert not draw_gains(make_table(compare=None), tmp_path / "c.svg") and not (tmp_path / "c.svg").exists()


def test_the_whole_table_is_written_beside_its_figure(tmp_path: Path) -> None:
    costs = ScoreTable("cost: coat", ("seconds@training",), {"mf-ips": {}}, (), ("what seconds are",))
    full, figure = publish(make_table(), [costs], tmp_path / "docs", "coat_p1", "causalrec reproduce coat/p1")
    assert figure == tmp_path / "docs" / "coat_p1.svg" and figure.is_file()
    text = full.read_text()
    assert text.startswith("`causalrec reproduce coat/p1`\n\n![published gains and ours](coat_p1.svg)\n\n# t\n")
    assert "| mf-ips | .800 ± .002 |" in text
    assert (
        text.index("\n\n## cost\n\n**cost: coat**") < text.index("| mf-ips | - | 0 |") < text.index("what seconds are")
    )
