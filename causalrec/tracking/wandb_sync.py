"""Offline W&B runs below a folder, and the commands that send them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_COMMAND_LENGTH = 20_000  # characters of one command: every system takes that
SYNCED_SUFFIX = ".wandb.synced"  # W&B's own, beside the file it has sent
FINISHED = "finished"  # our mark in the folder of a file to which nothing more is written


@dataclass(frozen=True)
class OfflineRun:
    """One offline file of a job's run; a job that was cut has several of one `id`, sent in the order of `started`.

    Attributes:
        id: of the run; a job that was cut has several files of one id.
        started: when the file was begun, as W&B writes it.
        folder: of the file.
        sweep: folder of the sweep.
        finished: whether nothing more will be written to it.
    """

    id: str
    started: str
    folder: Path
    sweep: Path
    finished: bool


def offline_runs(folder: Path) -> list[OfflineRun]:
    """Return the offline runs below a folder that have not been sent, by sweep, then oldest first."""
    files = folder.rglob("offline-run-*/run-*.wandb")
    runs = [_run(file) for file in files if not file.with_suffix(SYNCED_SUFFIX).exists()]
    return sorted(runs, key=lambda run: (str(run.sweep), run.started, run.id))


def mark_finished(folder: Path) -> None:
    """Mark the folder of a run's file as finished, where it has one on this disk."""
    if folder.is_dir():
        (folder / FINISHED).touch()


def _run(file: Path) -> OfflineRun:
    job = file.parent.parent.parent  # SWEEP/ROW/JOB/wandb/offline-run-STARTED-ID/run-ID.wandb
    started = file.parent.name.removeprefix("offline-run-").rsplit("-", 1)[0]
    name = file.stem.removeprefix("run-")
    return OfflineRun(name, started, file.parent, job.parent.parent, (file.parent / FINISHED).exists())


def sync_commands(runs: Sequence[OfflineRun]) -> list[str]:
    """Return the commands that send runs: one or more per sweep, all files of a run in one, quoted for a shell.

    >>> run = OfflineRun("a1", "20261124_140000", Path("my runs/x"), Path("my runs"), True)
    >>> sync_commands([run])
    ["wandb sync 'my runs/x'"]
    """
    sweeps: dict[Path, dict[str, list[str]]] = {}
    for run in runs:
        sweeps.setdefault(run.sweep, {}).setdefault(run.id, []).append(shlex.quote(str(run.folder)))
    commands: list[str] = []
    for members in sweeps.values():
        line = ""
        for paths in members.values():
            words = " ".join(paths)
            if line and len(line) + len(words) > MAX_COMMAND_LENGTH:
                commands.append(line)
                line = ""
            line = f"{line or 'wandb sync'} {words}"
        commands.append(line)
    return commands
