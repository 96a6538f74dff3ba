"""The record of an estimation job: the cells it computed against a known truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from causalrec.data.files import write_text
from causalrec.errors import DataError
from causalrec.records.field_types import NonNegative, Number, Positive, Whole
from causalrec.records.json_records import Json, from_plain, json_text, read_json, require_schema
from causalrec.records.recorded_settings import check_settings
from causalrec.records.run_record import RECORD, SCHEMA


@dataclass(frozen=True, kw_only=True)
class EstimateRecord:
    """One cell, in the unit of its loss.

    Attributes:
        row: the prediction matrix.
        column: `LOSS/ESTIMATOR`.
        truth: what a perfect estimator would report.
        value: mean over draws.
        sd: standard deviation over draws (n - 1).
        low: lower end of the interval of the mean.
        high: upper end.
        draws: how many there were.
    """

    row: str
    column: str
    truth: Number
    value: Number
    sd: NonNegative | None
    low: Number
    high: Number
    draws: Positive


@dataclass(frozen=True, kw_only=True)
class EstimationRecord:
    """One estimation job's result, as `record.json` holds it.

    Attributes:
        schema: the form of the file.
        name: the job's name.
        status: whether it finished.
        error: why it failed.
        estimates: its cells.
        seconds: what it took.
        versions: of the packages the result depends on.
        git_sha: the commit, with `+` where files were changed.
        config: what was asked for, every default included.
    """

    schema: Whole = SCHEMA
    name: str
    status: Literal["done", "failed"]
    error: str | None = None
    estimates: tuple[EstimateRecord, ...] = ()
    seconds: NonNegative = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    git_sha: str | None = None
    config: Json = field(default_factory=dict)

    @staticmethod
    def load(path: Path) -> EstimationRecord:
        """Read a record; raise DataError, in one line, on a damaged one and on one of another schema."""
        return EstimationRecord.from_json(path, read_json(path))

    @staticmethod
    def from_json(path: Path, values: Json) -> EstimationRecord:
        """Build a record from what its file holds; raise DataError as `load` does."""
        require_schema(path, values, SCHEMA)
        record = from_plain(path, EstimationRecord, values)
        check_settings(path, record.config, of_done_run=False)
        _check_estimates(path, record.estimates)
        return record

    def save(self, folder: Path) -> Path:
        """Write `record.json`, whole or not at all."""
        path = folder / RECORD
        write_text(path, json_text(self))
        return path

    @property
    def done(self) -> bool:
        """Whether the job finished."""
        return self.status == "done"


def _check_estimates(path: Path, estimates: Iterable[EstimateRecord]) -> None:
    """Raise DataError at an interval of wrong ends."""
    for cell in estimates:
        if cell.low is not None and cell.high is not None and cell.low > cell.high:
            ends = f"low={cell.low:g} is above high={cell.high:g}"
            raise DataError(f"{path}: {cell.row!r}, {cell.column!r}: {ends}; remove it and run the job again")
