"""The JSON notes of a ledger, of launches, groups and failures: read as what they are, or named and left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from causalrec.data.regular_files import read_json
from causalrec.ids import is_job_id
from causalrec.sweeps.claim_files import file_names
from causalrec.sweeps.ledger_folders import DAMAGED_FOLDER, FOLDERS
from causalrec.sweeps.status_files import RECORDED_STATUSES, StatusFile, regular_names

LAUNCH_NAME = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)-.*\.json")
GROUP_NAME = re.compile(r"[0-9a-f]{16}\.json")
JobOverrides = dict[str, list[str]]


class LaunchNote(TypedDict):
    """A launch.

    Attributes:
        command: what was typed.
        time: when, in seconds since 1970.
        folder: in which.
        jobs: that it asked for, by name.
    """

    command: str
    time: float
    folder: str
    jobs: list[str]


class FailureNote(TypedDict):
    """Why a job failed, and the exit code."""

    reason: str
    exit_code: int


@dataclass(frozen=True)
class Foreign:
    """Something in a ledger that is none of its files, and why."""

    path: Path
    reason: str


def read_launches(folder: Path) -> list[LaunchNote]:
    """Return the notes of launches that are whole, oldest first."""
    return [note for _, note in sorted(_launches(folder, []), key=lambda timed: timed[0])]


def read_groups(folder: Path) -> dict[str, JobOverrides]:
    """Return what was asked for each job of each group, by the group's name, the last noted first."""
    groups = dict(_groups(folder, []))
    return {path.stem: groups[path] for path in sorted(groups, key=lambda path: -path.stat().st_mtime_ns)}


def read_failure(path: Path) -> FailureNote:
    """Return why a job failed; `unknown` where the note was damaged."""
    try:
        note = read_json(path)
    except (OSError, ValueError):
        note = None
    values = note if isinstance(note, dict) else {}
    code = values.get("exit_code", 1)
    is_code = isinstance(code, int) and not isinstance(code, bool) and 0 < code < 256
    return {"reason": str(values.get("reason", "unknown")), "exit_code": code if is_code else 1}


def foreign_files(root: Path) -> list[Foreign]:
    """Return what lies in a ledger and is none of its files: of another name or kind, cut, or of another shape."""
    foreign = list(_replaced_folders(root))
    list(_launches(root / "launches", foreign))
    list(_groups(root / "groups", foreign))
    for status in RECORDED_STATUSES:
        regular = set(regular_names(root / status))
        for name in sorted(file_names(root / status)):
            if name not in regular:
                foreign.append(Foreign(root / status / name, "not a file"))
            elif not _is_status(name):
                foreign.append(Foreign(root / status / name, "of another name"))
    for name in sorted(file_names(root / "claims")):
        job, _, number = name.rpartition("~")
        if not is_job_id(job) or not number.isdecimal():
            foreign.append(Foreign(root / "claims" / name, "of another name"))
    return foreign


def _replaced_folders(root: Path) -> Iterator[Foreign]:
    """Yield what stands in place of the ledger or of a folder of it."""
    for folder in (root, *(root / name for name in (*FOLDERS, DAMAGED_FOLDER))):
        if folder.is_symlink():
            yield Foreign(folder, "a symbolic link, read as empty; put the folder itself there, or remove the link")
        elif folder.exists() and not folder.is_dir():
            yield Foreign(folder, "not a folder; the next launch moves it aside")


def _launches(folder: Path, foreign: list[Foreign]) -> Iterator[tuple[float, LaunchNote]]:
    for path, value in _notes(folder, foreign):
        name = LAUNCH_NAME.fullmatch(path.name)
        if name is None:
            foreign.append(Foreign(path, "of another name"))
        elif not _is_launch(value):
            foreign.append(Foreign(path, "not a launch note"))
        else:
            yield float(name[1]), cast(LaunchNote, value)


def _groups(folder: Path, foreign: list[Foreign]) -> Iterator[tuple[Path, JobOverrides]]:
    for path, value in _notes(folder, foreign):
        if GROUP_NAME.fullmatch(path.name) is None:
            foreign.append(Foreign(path, "of another name"))
        elif not _is_group(value):
            foreign.append(Foreign(path, "not a group of jobs"))
        else:
            yield path, cast(JobOverrides, value)


def _notes(folder: Path, foreign: list[Foreign]) -> Iterator[tuple[Path, object]]:
    """Yield each JSON file of a folder and what it holds; folders in it are those of stacks."""
    for name in sorted(file_names(folder)):
        path = folder / name
        if path.is_dir() and not path.is_symlink() and path.suffix != ".json":
            continue
        if path.is_symlink():
            foreign.append(Foreign(path, "a symbolic link"))
            continue
        try:
            yield path, read_json(path)
        except OSError as error:
            foreign.append(Foreign(path, error.strerror or "not readable"))
        except ValueError as error:
            foreign.append(Foreign(path, f"not JSON: {error}"))


def _is_launch(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("jobs"), list):
        return False
    texts = [value.get("command"), value.get("folder"), *value["jobs"]]
    return all(isinstance(text, str) for text in texts) and all(map(is_job_id, value["jobs"]))


def _is_group(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(texts, list) and all(isinstance(t, str) for t in texts) for texts in value.values())
        and all(map(is_job_id, value))
    )


def _is_status(name: str) -> bool:
    try:
        StatusFile.parse(name)
    except ValueError:
        return False
    return True
