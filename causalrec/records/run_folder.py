"""Folders of jobs: a record of either kind, and what lies beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from causalrec.data.removal import DAMAGED
from causalrec.errors import CausalRecError, DataError, RequestError
from causalrec.plain_text import one_line
from causalrec.records.estimation_record import EstimationRecord
from causalrec.records.json_records import Json, read_json
from causalrec.records.launch_order import sort_by_launch
from causalrec.records.run_record import RECORD, RunRecord
from causalrec.records.sidecars import SIDECARS, read_sidecar
from causalrec.types import Doubles

AnyRecord = RunRecord | EstimationRecord
PLACEBOS = ".placebo"  # a folder of a job, no row's name: runs that show what its sources are good for


@dataclass(frozen=True)
class RunFolder:
    """A record and what lies beside it.

    Attributes:
        folder: where it lies.
        record: what `record.json` holds.
        replicates: bootstrap replicates [R] of its scores, by `model|slice|metric`.
        jackknife: their leave-groups-out values [3,G] by user, item and row.
    """

    folder: Path
    record: RunRecord
    replicates: Mapping[str, Doubles]
    jackknife: Mapping[str, Doubles] = field(default_factory=dict)

    @staticmethod
    def load(path: Path) -> RunFolder:
        """Read the folder of a run by its `record.json`; raise DataError where either is damaged."""
        return _load_sidecars(path.parent, RunRecord.load(path))


def _load_sidecars(folder: Path, record: RunRecord, sidecars: Sequence[str] = SIDECARS) -> RunFolder:
    arrays = {name: read_sidecar(folder / f"{name}.npz", record.name) for name in sidecars}
    return RunFolder(folder, record, arrays.get("replicates", {}), arrays.get("jackknife", {}))


@dataclass(frozen=True)
class EstimationFolder:
    """A record of an estimation job and where it lies."""

    folder: Path
    record: EstimationRecord


AnyFolder = RunFolder | EstimationFolder


@dataclass(frozen=True)
class BrokenRecord:
    """A file that is not a record: where below the folder that was read, and why."""

    path: str
    reason: str


def load_folder(path: Path, sidecars: Sequence[str] = SIDECARS) -> AnyFolder:
    """Read a folder by its `record.json`, of whichever kind it is; raise DataError on a damaged one.

    `sidecars`: what is read beside a run's record; that takes ten times as long as the record.
    """
    values = read_json(path)
    if is_estimation(values):
        return EstimationFolder(path.parent, EstimationRecord.from_json(path, values))
    return _load_sidecars(path.parent, RunRecord.from_json(path, values), sidecars)


def is_estimation(values: Json) -> bool:
    """Whether a record's JSON object is that of an estimation job."""
    return "estimates" in values


def record_paths(folder: Path) -> list[Path]:
    """Return every record below a folder, in the order they were launched; raise RequestError where there is none."""
    paths = sort_by_launch([path for path in folder.rglob(RECORD) if not _is_aside(path.relative_to(folder))])
    if not paths:
        if folder.is_file():
            raise RequestError(f"{folder}: is a file; name the folder that it lies in")
        why = "no record.json below it" if folder.is_dir() else "no such folder"
        raise RequestError(f"{folder}: {why}; run `causalrec train` or name another folder")
    return paths


def _is_aside(path: Path) -> bool:
    """Whether a record is of no job of these: in what was moved aside, in a folder of a record's name, or a placebo."""
    return any(DAMAGED in name or name in (RECORD, PLACEBOS) for name in path.parts[:-1])


def load_folders(folder: Path, sidecars: Sequence[str] = SIDECARS) -> list[AnyFolder]:
    """Read every record below a folder, in order of launch; raise RequestError where there is none.

    Raises DataError at a damaged one.
    """
    return [load_folder(path, sidecars) for path in record_paths(folder)]


def load_whole_folders(folder: Path, sidecars: Sequence[str] = SIDECARS) -> tuple[list[AnyFolder], list[BrokenRecord]]:
    """Read every record below a folder, in order of launch; those that cannot be read are listed, not raised.

    Raises RequestError where there is none.
    """
    folders: list[AnyFolder] = []
    broken: list[BrokenRecord] = []
    for path in record_paths(folder):
        below = str(path.relative_to(folder))
        try:
            folders.append(load_folder(path, sidecars))
        except (CausalRecError, OSError) as error:
            reason = str(error).replace(f"{folder}/", "").removeprefix(f"{below}: ")
            broken.append(BrokenRecord(one_line(below), one_line(reason)))
    return folders, broken


def no_finished_run(folder: Path, folders: Sequence[AnyFolder], broken: Sequence[BrokenRecord]) -> DataError:
    """Return the error of a folder without a finished run: its jobs failed, or their records cannot be read."""
    unread = f"{len(broken)} of its records cannot be read: {broken[0].path}: {broken[0].reason}" if broken else ""
    failed = "no finished run among its records; each failed one says why under `error`" if folders else ""
    return DataError(f"{folder}: {'; '.join(filter(None, (failed, unread)))}")


def runs_of(folders: Iterable[AnyFolder]) -> list[RunFolder]:
    """Return those that hold a run's record."""
    return [folder for folder in folders if isinstance(folder, RunFolder)]


def estimations_of(folders: Iterable[AnyFolder]) -> list[EstimationFolder]:
    """Return those that hold an estimation's record."""
    return [folder for folder in folders if isinstance(folder, EstimationFolder)]


def finished_runs(folders: Sequence[RunFolder]) -> list[RunFolder]:
    """Return the runs that finished."""
    return [run for run in folders if run.record.done]
