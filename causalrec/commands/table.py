"""`causalrec table`: records as tables."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.terminal import log, print_tables
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.reporting.score_table import ScoreTable


def table(options: argparse.Namespace) -> int:
    """`causalrec table DIR`: the records below DIR as tables."""
    from causalrec.reporting.table_cache import cached_tables

    if not options.intervals and (options.json or options.form == "csv"):
        raise RequestError("--no-intervals: of text, markdown and LaTeX alone; CSV and JSON hold each end in a field")
    marker = options.folder.resolve().name if options.paste else ""
    if options.paste:
        from causalrec.reporting.paste_between_markers import read_page

        read_page(options.paste, marker)  # refused before anything is printed
    columns, rows = (tuple(filter(None, text.split(","))) for text in (options.columns, options.rows))
    score_tables, broken = cached_tables(options.folder, columns, rows, options.submodels, options.cost)
    for record in broken:
        log(f"not in the table: {options.folder / record.path}: {record.reason}")
    print_tables(score_tables, options.json, form=options.form, intervals=options.intervals)
    if options.paste:
        _paste(options.paste, marker, score_tables)
    return 0


def _paste(page: Path, marker: str, score_tables: Iterable[ScoreTable]) -> None:
    from causalrec.reporting.paste_between_markers import paste
    from causalrec.reporting.score_table import markdown

    paste(page, marker, "\n\n".join(map(markdown, score_tables)))
