"""`causalrec table`: records as tables."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.shared import show_tables
from causalrec.errors import DataError

if TYPE_CHECKING:
    from causalrec.reporting.table import Table


def table(options: argparse.Namespace) -> int:
    """`causalrec table DIR`: the records below DIR as tables."""
    from causalrec.records.run_folder import load_folders, runs_of
    from causalrec.reporting.table import tables

    columns = tuple(filter(None, options.columns.split(",")))
    shown = tables(runs_of(load_folders(options.folder, ["replicates"])), columns)
    if not shown:
        raise DataError(f"{options.folder}: no finished run among its records; each failed one says why under `error`")
    show_tables(shown, options.json)
    if options.paste:
        _paste(options.paste, options.folder.name, shown)
    return 0


def _paste(page: Path, marker: str, shown: Iterable[Table]) -> None:
    from causalrec.reporting.paste_between_markers import paste
    from causalrec.reporting.table import markdown

    paste(page, marker, "\n\n".join(map(markdown, shown)))
