"""What a study leaves in its folder: table.md, table.tex and result.json, each written whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from causalrec.data.files import write_text
from causalrec.records.json_records import Json, json_text, plain_object
from causalrec.records.run_folder import AnyFolder
from causalrec.records.versions import git_sha, versions
from causalrec.reporting.latex import latex
from causalrec.reporting.paper_table import PaperTable
from causalrec.reporting.paper_text import markdown


def save_study(folder: Path, table: PaperTable, **about: object) -> Json:
    """Write the three files and return what result.json holds; `about`: the command, seconds, failures."""
    document = plain_object({**table.as_json(), "versions": versions(), "git_sha": git_sha(), **about})
    write_text(folder / "table.md", markdown(table))
    write_text(folder / "table.tex", latex(table))
    write_text(folder / "result.json", json_text(document))
    return document


def compute_seconds(folders: Sequence[AnyFolder]) -> float:
    """Return the seconds all runs took, one after another."""
    return round(sum(folder.record.seconds for folder in folders), 2)
