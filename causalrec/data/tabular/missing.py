"""Files and columns that are not there: told before any row is read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from polars.exceptions import ComputeError

from causalrec.data.table_problems import Problem
from causalrec.data.tabular.file_problems import header_problems
from causalrec.data.tabular.plain_copy import is_plain
from causalrec.data.tabular.rawfile import JSON, RawFile
from causalrec.errors import did_you_mean


def missing_files(files: Sequence[RawFile]) -> list[Problem]:
    """Return a problem for each file that is not there, the nearest name of its folder said."""
    return [
        Problem("error", str(raw.path), None, None, f"there is no such {_nearest(raw.path)}")
        for raw in files
        if not raw.path.is_file()
    ]


def missing_columns(raw: RawFile, columns: Iterable[str]) -> list[Problem]:
    """Return a problem for each column that a file lacks; none where only reading all of it would tell."""
    if not raw.path.is_file() or raw.suffix in JSON:
        return []
    try:
        return header_problems(raw, list(dict.fromkeys(columns))) if is_plain(raw) else []
    except (OSError, LookupError, UnicodeError, csv.Error, ComputeError):  # told with its line once the file is read
        return []


def _nearest(path: Path) -> str:
    if path.parent.is_dir():
        return f"file; {did_you_mean(path.name, (other.name for other in path.parent.iterdir() if other.is_file()))}"
    return f"folder as {path.parent}; name it in the YAML (./NAME: below the working directory, NAME: paths.data)"
