"""What is wrong with a raw table as a whole: columns that it lacks, another separator, rows that cannot be parsed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from causalrec.data.table_problems import Problem, list_problems
from causalrec.data.tabular.rawfile import JSON, PARQUET, RawFile
from causalrec.errors import did_you_mean

SEPARATORS = ("::", ";", "\t", "|", ",", " ")  # that are looked for; the first of several is named


def header_problems(raw: RawFile, columns: Sequence[str]) -> list[Problem]:
    """Say which columns the file lacks, or that it is cut by another separator than the declared one."""
    path = str(raw.path)
    try:
        header = raw.header(columns)
    except (pl.exceptions.PolarsError, OSError) as error:
        return [Problem("error", path, None, None, f"cannot be read ({_first_line(error)})")]
    if isinstance(header, list) and len(header) == 1 and len(columns) > 1 and raw.suffix not in JSON | PARQUET:
        for other in SEPARATORS:
            if other in header[0]:
                message = f"one column {header[0]!r}: the separator looks like {other!r}; set separator={other!r}"
                return [Problem("error", path, 1, None, message)]
    if raw.names is not None and (wrong := _width_problem(raw, raw.names)):
        return [wrong]
    missing = [name for name in columns if name not in header]
    if missing and all(name in header for name in columns if name not in missing) and len(missing) > 1:
        return [Problem("error", path, 1, None, f"no columns {', '.join(missing)}; {_list_columns(header)}")]
    wrong_names = [Problem("error", path, 1, name, f"no such column; {did_you_mean(name, header)}") for name in missing]
    twice = [name for name in dict.fromkeys(columns) if header.count(name) > 1]
    return wrong_names + [Problem("error", path, 1, name, "two columns have this name") for name in twice]


def _list_columns(header: Sequence[str]) -> str:
    if not any(header):
        return "it is empty"
    return f"it has {', '.join(header[:30])}" + (f" and {len(header) - 30} more" if len(header) > 30 else "")


def _width_problem(raw: RawFile, names: Sequence[str]) -> Problem | None:
    """Say where `names` are not as many as the fields of the first line, once for all lines."""
    first = next(iter(raw.rows()), None) if raw.suffix not in JSON | PARQUET else None
    if first is None or not isinstance(first[1], list) or len(first[1]) in (0, len(names)):
        return None
    hint = next((mark for mark in SEPARATORS if len(first[1]) == 1 and mark in first[1][0]), None)
    mend = f"set separator={hint!r}" if hint else "name each column in `names`, in order"
    return Problem(
        "error", str(raw.path), first[0], None, f"has {len(first[1])} fields, names has {len(names)}; {mend}"
    )


def row_problems(raw: RawFile, why: Exception) -> list[Problem]:
    """Explain why a file could not be parsed: rows with another number of fields, open quotes, broken JSON."""
    if raw.suffix in PARQUET:
        return [Problem("error", str(raw.path), None, None, f"not a readable Parquet file ({_first_line(why)})")]
    wrong = list(_unreadable_rows(raw))
    problems = list_problems("rows that cannot be read", "error", raw.path, None, wrong, len(wrong))
    return problems or [Problem("error", str(raw.path), None, None, f"cannot be read ({_first_line(why)})")]


def _unreadable_rows(raw: RawFile) -> Iterator[tuple[int, str]]:
    width = len(raw.header())
    for line, row in raw.rows():
        if isinstance(row, Exception):
            wrong = f"cannot be parsed ({_first_line(row)}); an open quote, or quote=null is meant"
            yield line, wrong if raw.suffix not in JSON else f"not a JSON object ({_first_line(row)})"
        elif isinstance(row, list) and raw.suffix not in JSON:
            if row and len(row) != width:
                yield (
                    line,
                    f"has {len(row)} fields, expected {width}; quote a field that holds {raw.declared_separator!r}",
                )
        elif not isinstance(row, dict):
            yield line, "not a JSON object"


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
