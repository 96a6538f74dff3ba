"""What a study leaves in its folder: table.md, table.tex, gains.svg and result.json, each written whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from causalrec.data.files import write_text
from causalrec.records.json_records import Json, json_text, plain_object
from causalrec.records.run_folder import AnyFolder
from causalrec.records.versions import git_sha, versions
from causalrec.reporting import score_table
from causalrec.reporting.gains_figure import draw_gains
from causalrec.reporting.latex import latex
from causalrec.reporting.paper_table import PaperTable
from causalrec.reporting.paper_text import markdown
from causalrec.reporting.score_table import ScoreTable

GAINS = "gains.svg"  # the figure of a study


def save_study(folder: Path, table: PaperTable, **about: object) -> Json:
    """Write the files and return what result.json holds; `about`: the command, seconds, failures."""
    document = plain_object({**table.as_json(), "versions": versions(), "git_sha": git_sha(), **about})
    write_text(folder / "table.md", markdown(table))
    write_text(folder / "table.tex", latex(table))
    draw_gains(table, folder / GAINS)
    write_text(folder / "result.json", json_text(document))
    return document


def publish(
    table: PaperTable, costs: Sequence[ScoreTable], folder: Path, name: str, command: str
) -> tuple[Path, Path | None]:
    """Write `NAME.md` and, where there are gains, `NAME.svg` into a folder of documents; return where they are.

    Args:
        table: of the study.
        costs: what its rows cost.
        folder: of the documents.
        name: of both files.
        command: that makes the table.
    """
    full, figure = folder / f"{name}.md", folder / f"{name}.svg"
    has_figure = draw_gains(table, figure)
    picture = f"![published gains and ours]({figure.name})\n\n" if has_figure else ""
    write_text(full, f"`{command}`\n\n{picture}{markdown(table)}{''.join(map(_cost, costs))}")
    return full, figure if has_figure else None


def _cost(table: ScoreTable) -> str:
    return f"\n\n## cost\n\n{score_table.markdown(table, intervals=False)}\n"


def compute_seconds(folders: Sequence[AnyFolder]) -> float:
    """Return the seconds all runs took, one after another."""
    return round(sum(folder.record.seconds for folder in folders), 2)
