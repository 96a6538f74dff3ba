"""`causalrec reproduce`: run the missing jobs of a study, then show published beside obtained."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from causalrec.commands.shared import checked, document, failure_of, say, show_tables
from causalrec.errors import DataError, RequestError

if TYPE_CHECKING:
    from causalrec.config import TrainSpec
    from causalrec.reporting.estimation import EstimateSpec
    from causalrec.reporting.paper import PaperTable
    from causalrec.reporting.record import Saved
    from causalrec.reporting.study import Study
    from causalrec.reporting.table import Table
    from causalrec.sweeps.job import Outcome

T = TypeVar("T")


def reproduce(options: argparse.Namespace) -> int:
    """`causalrec reproduce STUDY`: run the jobs that have no record yet, then show published against obtained."""
    from causalrec.reporting.paste import paste
    from causalrec.reporting.result import compute_seconds, save_result
    from causalrec.reporting.study import load_study
    from causalrec.reporting.written import markdown

    if options.jobs < 1:
        raise RequestError(f"--jobs {options.jobs}: at least 1")
    study, started = load_study(options.study), time.monotonic()
    specs, jobs = _study_jobs(study, checked(options.overrides), options.smoke)
    failures = _run_missing(study, specs, jobs, options)
    saved = _saved_of(specs)
    table, shown = _study_tables(study, saved, options.smoke)
    about: dict[str, Any] = {"study": options.study, "task": study.task, "smoke": options.smoke}
    about |= {"command": options.command, "seconds": round(time.monotonic() - started, 2), "failures": failures}
    about |= {"compute_seconds": compute_seconds([one.record for one in saved])}
    folder = specs[0].folder.parents[1]
    result = save_result(folder, table, **about)
    if options.paste:
        paste(options.paste, folder.name, f"`{options.command}`\n\n{markdown(table)}")
    if options.json:
        document({**result, "tables": [one.as_json() for one in shown]})
    else:
        _show_study(study, table, shown, saved, folder)
    for failure in failures:
        say(f"failed: {failure}")
    return 1 if failures else 0


def _study_jobs(study: Study, extra: list[str], smoke: bool) -> tuple[list[Any], list[list[str]]]:
    """Return the checked jobs, row by row, before any starts, and what is asked for each."""
    from causalrec import config
    from causalrec.sweeps.driver import specs_of

    jobs = [config.prepared([*job, *extra]) for job in study.jobs(smoke)]
    if study.task == "estimate":
        return [_estimate_spec(job) for job in jobs], jobs
    return [_quiet(spec) for spec in specs_of(jobs)], jobs


def _quiet(spec: TrainSpec) -> TrainSpec:
    """A study has one progress bar, of its jobs."""
    trainer = spec.leaves["trainer"]
    quiet = trainer.having(progress=False) if "progress" in trainer.resolved() else trainer
    return replace(spec, leaves={**spec.leaves, "trainer": quiet})


def _estimate_spec(overrides: list[str]) -> EstimateSpec:
    from causalrec import config
    from causalrec.leaf import leaf, load_class
    from causalrec.reporting.estimation import estimate_spec

    composed = config.compose(overrides, "estimate")
    contract = load_class("causalrec.evaluation.estimation.base.AbstractEstimation")
    return estimate_spec(composed, leaf("estimation", composed.get("estimation"), contract))


def _run_missing(study: Study, specs: list[Any], jobs: list[list[str]], options: argparse.Namespace) -> list[str]:
    """Run what has no whole record: packed, in processes or one job after another; return what failed."""
    from rich.console import Console
    from rich.progress import Progress

    paths = [spec.folder / "record.json" for spec in specs]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        begun, line = time.time() - 1, progress.add_task(study.title, total=len(paths))

        def tick() -> None:
            progress.update(line, completed=sum(p.exists() and p.stat().st_mtime > begun for p in paths))

        if study.task == "estimate":
            pending = [spec for spec in specs if not _done(spec.folder / "record.json")]
            return [failure for failure in _each(pending, _attempt_estimate, failure_of, options.jobs, tick) if failure]
        return _trained(specs, jobs, options, tick)


def _trained(
    specs: list[TrainSpec], jobs: list[list[str]], options: argparse.Namespace, tick: Callable[[], None]
) -> list[str]:
    from causalrec.sweeps.driver import Job, run_specs
    from causalrec.sweeps.job import failed

    def launch(left: list[Job]) -> list[Outcome]:
        if options.packed:
            from causalrec.sweeps.packed_launcher import PackedLauncher

            return PackedLauncher().trained([job.spec for job in left], [job.overrides for job in left])
        return _each([job.spec for job in left], _attempt, _lost, options.jobs, tick)

    def _lost(spec: TrainSpec, why: str) -> Outcome:
        return failed(spec, DataError(why), spec.folder)

    for spec in specs:
        _drop_damaged(spec.folder / "record.json")
    outcomes = run_specs(specs, jobs, options.command, launch, say)
    return [f"{one.label}: {one.reason}" for one in outcomes if one.status == "failed"]


def _each(
    specs: list[Any], work: Callable[[Any], T], lost: Callable[[Any, str], T], workers: int, tick: Callable[[], None]
) -> list[T]:
    """Work on jobs row by row: one after another, or rows in processes."""
    from causalrec.sweeps.pool import in_processes

    rows: dict[str, list[Any]] = {}
    for spec in specs:
        rows.setdefault(spec.spine.name, []).append(spec)
    if workers > 1 and len(rows) > 1:
        return in_processes(list(rows.values()), work, lost, min(workers, len(rows)), tick)
    found = []
    for spec in specs:
        found.append(work(spec))
        tick()
    return found


def _attempt(spec: TrainSpec) -> Outcome:
    """Train one job, in this process or another; one failing job must not stop the others."""
    from causalrec.sweeps.job import attempt

    return attempt(spec)


def _attempt_estimate(spec: EstimateSpec) -> str | None:
    from causalrec.reporting.estimation import save_estimates

    started = time.monotonic()
    try:
        found = spec.estimation.build().run(spec.spine.paths.data, spec.spine.paths.cache, spec.spine.seed)
        save_estimates(spec, found, time.monotonic() - started)
    except Exception as error:  # as above
        save_estimates(spec, [], time.monotonic() - started, f"{type(error).__name__}: {error}")
        return failure_of(spec, error)
    return None


def _done(path: Path) -> bool:
    from causalrec.reporting.record import read

    try:
        return path.exists() and bool(read(path).record["status"] == "done")
    except (DataError, KeyError):
        return False


def _drop_damaged(path: Path) -> None:
    """Remove a record that cannot be read with what lies beside it, so that its job runs again."""
    from causalrec.reporting.record import read

    try:
        if path.exists():
            read(path)
    except DataError as error:
        say(f"{error}; it runs again")
        path.unlink()


def _saved_of(specs: list[Any]) -> list[Saved]:
    from causalrec.reporting.record import read

    return [read(path) for spec in specs if (path := spec.folder / "record.json").exists()]


def _study_tables(study: Study, saved: list[Saved], smoke: bool) -> tuple[PaperTable, list[Table]]:
    from causalrec.reporting.estimation import estimated
    from causalrec.reporting.paper import obtained_of, paper_table
    from causalrec.reporting.table import tables

    if study.task == "estimate":
        return paper_table(study, estimated([one.record for one in saved]), (), saved, smoke), []
    shown = tables(saved, tuple(study.columns))
    found, baselines = obtained_of(shown)
    return paper_table(study, found, baselines, saved, smoke), shown


def _show_study(study: Study, table: PaperTable, shown: list[Table], saved: list[Saved], folder: Path) -> None:
    from rich.console import Console

    from causalrec.reporting.figure import predicted_against_true
    from causalrec.reporting.summary import two_sentences
    from causalrec.reporting.written import show

    if study.source is None and study.task == "train":
        show_tables(shown, as_json=False)
        if shown:
            print(two_sentences(saved, shown))
            if any(one.record["status"] == "done" and one.record["calibration"] for one in saved):
                predicted_against_true(saved, folder / "predicted_against_true.png")
                print(f"figure: {folder / 'predicted_against_true.png'}")
    else:
        show(table, Console(width=None if sys.stdout.isatty() else 160))
    print(f"tables: {folder / 'table.md'}, {folder / 'table.tex'}, {folder / 'result.json'}")
