"""A warning of a record stands under every table of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord
from causalrec.reporting.latex import escape
from causalrec.reporting.score_table import markdown
from causalrec.reporting.table import tables
from causalrec.reporting.warnings import warning_notes

CLIPPED = "31.0% of the rows are clipped at 0.1, above 5 %: the estimate is biased"


def folder_of(name: str, seed: int, *warnings: str) -> RunFolder:
    score = ScoreRecord(name, "test", "auc", 0.5, 0.4, 0.6, 10)
    config = {"seed": seed, "evaluation": {"level": 0.95}, "objective": name}
    record = RunRecord(name=name, status="done", warnings=warnings, scores=(score,), config=config)
    return RunFolder(Path(name), record, {score.key: np.array([0.5])}, {})


def test_rows_that_share_a_warning_are_named_together() -> None:
    groups = {
        "naive": [folder_of("naive", 0)],
        "ips": [folder_of("ips", 0, CLIPPED)],
        "dr": [folder_of("dr", 0, CLIPPED, "p is not calibrated")],
    }
    assert warning_notes(groups) == [
        f"Warning: ips, dr: {CLIPPED} (2 runs warn of it; the first's figures).",
        "Warning: dr: p is not calibrated.",
    ]


def test_a_warning_of_every_row_names_none_and_figures_of_seeds_are_one_line() -> None:
    groups = {"ips": [folder_of("ips", 0, CLIPPED), folder_of("ips", 1, CLIPPED.replace("31.0", "29.4"))]}
    assert warning_notes(groups) == [f"Warning: {CLIPPED} (2 runs warn of it; the first's figures)."]


def test_it_stands_under_the_table_in_every_form() -> None:
    (table,) = tables([folder_of("naive", 0), folder_of("ips", 0, CLIPPED)])
    note = f"Warning: ips: {CLIPPED}."
    assert note in table.footnotes and f"- {note}" in markdown(table)
    assert "\\%" in escape(note)
