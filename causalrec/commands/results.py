"""What `causalrec train` ends with: scores beside the baselines, how the fit was chosen, warnings, what to do next."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, TypeVar

from causalrec.commands.terminal import log, print_tables
from causalrec.errors import CausalRecError
from causalrec.plain_text import one_line

if TYPE_CHECKING:
    from causalrec.records.run_folder import RunFolder
    from causalrec.records.run_record import RunRecord

T = TypeVar("T")


def print_run(path: Path) -> None:
    """Print what one job came to: its table, the settings chosen, its record, and the commands that go on from it."""
    from causalrec.records.run_folder import RunFolder
    from causalrec.reporting.reranked_table import reranked_tables
    from causalrec.reporting.table import tables

    run = RunFolder.load(path)
    if run.record.scores:
        print_tables([*tables([run, *_submodels(run)]), *reranked_tables([run])])
    lines = [*_selection(run.record), f"record: {path}"]
    print("\n".join(map(one_line, [*lines, *(_next_commands(run) if run.record.done else ())])))


def print_sweep(folder: Path, paths: Sequence[Path]) -> None:
    """Print the tables of a sweep, and write its page; a record that cannot be read is named and in no table.

    Args:
        folder: of the sweep.
        paths: of the records that this launch has there.
    """
    from causalrec.records.run_folder import no_finished_run
    from causalrec.reporting.html import page
    from causalrec.reporting.reranked_table import reranked_tables

    records = readable_records(paths, lambda _: None)  # the table below names the others
    print(f"{one_line(str(folder))}: {len(records)} job(s) of this launch have a record")
    if failed := sum(not record.done for record in records):
        print(f"{failed} of them failed: causalrec sweep status {quote(str(folder))} says why; launch again to retry")
    if records and not any(record.scores for record in records):
        return
    try:
        data = page.report(folder, folder / "report.html")  # every record is read once
        for record in data.broken:
            log(f"not in the table: {folder / record.path}: {record.reason}")
        if not data.tables:
            raise no_finished_run(folder, data.folders, data.broken)
        print_tables([*(section.table for section in data.tables), *reranked_tables(data.runs)])
        print(f"report: {folder / 'report.html'}")
    except CausalRecError as error:  # another job's record, damaged or unfinished; this launch's jobs stand
        log(f"no table: {error}")


def readable_records(paths: Sequence[Path], report: Callable[[str], None] = log) -> list[RunRecord]:
    """Return the records that can be read; each other one is named in one line of `report`."""
    from causalrec.records.run_record import RunRecord

    return load_readable(paths, RunRecord.load, report)


def load_readable(paths: Sequence[Path], load: Callable[[Path], T], report: Callable[[str], None] = log) -> list[T]:
    """Return what can be loaded of the records that are there; each other one is named in one line of `report`."""
    loaded = []
    for path in paths:
        try:
            if os.path.lexists(path):
                loaded.append(load(path))
        except (CausalRecError, OSError) as error:
            report(f"not in the table: {error}")
    return loaded


def _submodels(run: RunFolder) -> list[RunFolder]:
    """Return the finished runs of a run's special cases."""
    from causalrec.records.run_folder import RunFolder, record_paths

    keys = tuple(filter(None, run.record.submodels.values()))
    if not keys:
        return []
    paths = [path for path in record_paths(run.folder.parents[1]) if path.parent.name.endswith(keys)]
    return load_readable(paths, RunFolder.load)


def _selection(record: RunRecord) -> Sequence[str]:
    """Say what was chosen, of how many, by what, and how the propensity's fit ended."""
    selection, fit = record.selection, record.overlap.fit
    lines = []
    if selection.chosen:
        chosen = ", ".join(f"{path}={value:g}" for path, value in selection.chosen.items())
        way = f"{selection.folds} folds" if selection.folds > 1 else "the validation rows"
        lines.append(f"chosen: {chosen}, of {len(selection.candidates)} candidates by {selection.criterion} on {way}")
    best = next((c for c in selection.candidates if c.settings == selection.chosen), None)
    if best is not None:
        over = f", means over {selection.folds} folds" if selection.folds > 1 else ""
        limit = f"at most {_max_epochs(record)}{over}"
        fitted = f"best epoch {best.best_epoch + 1:g} of {best.epochs:g} ({limit})"
        lines.append(f"fitted: {fitted if best.epochs else 'nothing, it is asked as it is'}")
    if fit is not None and fit.convergence.reason:
        lines.append(f"propensity: {fit.convergence.reason} after {fit.convergence.steps} steps")
    return lines


def _max_epochs(record: RunRecord) -> object:
    return record.setting("trainer.max_epochs")


def _next_commands(run: RunFolder) -> Sequence[str]:
    from causalrec.tracking.wandb_sync import offline_runs

    folder, sweep = quote(str(run.folder)), quote(str(run.folder.parents[1]))
    commands = [f"causalrec report {sweep}"]
    if run.record.audit.users:
        commands.append(f"causalrec recommend {folder} --user ID")
    if run.record.setting("refuter"):
        commands.append(f"causalrec refute {folder}")
    if offline_runs(run.folder):
        commands.append(f"causalrec wandb sync {sweep}")
    return [f"{'next:' if k == 0 else '     '} {command}" for k, command in enumerate(commands)]
