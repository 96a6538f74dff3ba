"""What a page is made from: the records below a folder, whole or broken, behind the rows of their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from causalrec.errors import CausalRecError, DataError
from causalrec.reporting.estimation import estimated
from causalrec.reporting.record import Saved, read
from causalrec.reporting.table import Cell, Table, row_names, split_of, tables

Record = dict[str, Any]
NEEDED = ("config", "status")
NEEDED_WHEN_DONE = ("data", "audit", "adjustment", "overlap", "selection", "scores", "baselines")


@dataclass(frozen=True)
class Part:
    """A table, and the records behind each of its rows that is not a baseline."""

    table: Table
    rows: dict[str, list[Saved]]

    @property
    def saved(self) -> list[Saved]:
        """Every record of the table."""
        return [one for group in self.rows.values() for one in group]


@dataclass(frozen=True)
class Broken:
    """A file that is not a whole record: where, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Gathered:
    """All that lies below `folder`."""

    folder: Path
    parts: list[Part]
    estimates: Table | None
    saved: list[Saved]
    failed: list[Saved]
    broken: list[Broken]


def gather(folder: Path, columns: tuple[str, ...] = ()) -> Gathered:
    """Read every record below a folder; a truncated one is listed, not raised.

    Raises DataError where there is no record at all, RequestError on a column that no record has.
    """
    paths = sorted(folder.rglob("record.json"))
    if not paths:
        raise DataError(f"{folder}: no record.json below it; run `causalrec train` or name another folder")
    saved, broken = [], []
    for path in paths:
        place = str(path.relative_to(folder))
        try:
            one = read(path)
        except (CausalRecError, OSError) as error:
            broken.append(Broken(place, str(error).replace(f"{folder}/", "").removeprefix(f"{place}: ")))
            continue
        lack = _lack(one)
        if lack:
            broken.append(Broken(place, lack))
        else:
            saved.append(one)
    done = [one for one in saved if one.record["status"] == "done"]
    failed = [one for one in saved if one.record["status"] != "done"]
    return Gathered(folder.resolve(), _parts(done, columns), _estimates(done), saved, failed, broken)


def _lack(one: Saved) -> str | None:
    """Say what a record would need for a table."""
    record = one.record
    needed = NEEDED + (NEEDED_WHEN_DONE if record.get("status") == "done" and "estimates" not in record else ())
    lack = [key for key in needed if key not in record]
    if lack:
        return f"no `{lack[0]}` in it: written by another version; run the job again"
    try:
        tables([one])
        estimated([one.record] if "estimates" in record else [])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return f"not as a record should be ({type(error).__name__}: {error}); run the job again"
    return None


def _parts(done: Sequence[Saved], columns: tuple[str, ...]) -> list[Part]:
    groups: dict[tuple[Any, ...], list[Saved]] = {}
    for one in done:
        if "scores" in one.record:
            audit = one.record["audit"]
            data = (one.record["data"]["name"], audit["threshold"], split_of(one.record))
            groups.setdefault((*data, one.record["adjustment"]["estimand"]), []).append(one)
    made = tables(done, columns)
    return [Part(table, _rows(group)) for table, group in zip(made, groups.values(), strict=True)]


def _rows(group: list[Saved]) -> dict[str, list[Saved]]:
    rows: dict[str, list[Saved]] = {}
    for one, name in zip(group, row_names(group), strict=True):
        rows.setdefault(name, []).append(one)
    return rows


def _estimates(done: Sequence[Saved]) -> Table | None:
    cells: dict[str, dict[str, Cell]] = {}
    for (row, column), one in estimated([s.record for s in done if "estimates" in s.record]).items():
        cells.setdefault(row, {})[column] = Cell(one.mean, one.low, one.high, one.spread, one.n, one.n)
    columns = tuple(dict.fromkeys(column for of in cells.values() for column in of))
    notes = ("± standard deviation over draws; [low, high] of the mean over draws.",)
    return Table("Estimates against a known truth", columns, cells, (), notes) if cells else None
