"""Files and columns that are not there: told before any row is read."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from causalrec.data.table_problems import Problem
from causalrec.data.tabular.rawfile import JSON, RawFile, header_problems
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
    plain = raw.path.suffix != ".gz" and raw.suffix not in JSON and codecs.lookup(raw.encoding).name == "utf-8"
    if not raw.path.is_file() or not plain:
        return []
    try:
        return header_problems(raw, list(dict.fromkeys(columns)))
    except (UnicodeError, csv.Error):  # told with its line once the file is read
        return []


def _nearest(path: Path) -> str:
    if path.parent.is_dir():
        return f"file; {did_you_mean(path.name, (other.name for other in path.parent.iterdir() if other.is_file()))}"
    return f"folder as {path.parent}; name it in the YAML (./NAME: below the working directory, NAME: paths.data)"
