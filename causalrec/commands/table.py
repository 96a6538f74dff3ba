"""`causalrec table`: records as tables."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.terminal import print_tables
from causalrec.errors import DataError

if TYPE_CHECKING:
    from causalrec.reporting.table import ScoreTable


def table(options: argparse.Namespace) -> int:
    """`causalrec table DIR`: the records below DIR as tables."""
    from causalrec.records.run_folder import load_folders, runs_of
    from causalrec.reporting.table import tables

    columns = tuple(filter(None, options.columns.split(",")))
    score_tables = tables(runs_of(load_folders(options.folder, ["replicates"])), columns)
    if not score_tables:
        raise DataError(f"{options.folder}: no finished run among its records; each failed one says why under `error`")
    print_tables(score_tables, options.json)
    if options.paste:
        _paste(options.paste, options.folder.name, score_tables)
    return 0


def _paste(page: Path, marker: str, score_tables: Iterable[ScoreTable]) -> None:
    from causalrec.reporting.paste_between_markers import paste
    from causalrec.reporting.table import markdown

    paste(page, marker, "\n\n".join(map(markdown, score_tables)))
