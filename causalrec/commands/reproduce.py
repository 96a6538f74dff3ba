"""`causalrec reproduce`: run the missing jobs of a study, then show published beside obtained."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalrec.commands.shared import checked, document, failure_of, say, show_tables, spec_of
from causalrec.errors import DataError, RequestError

if TYPE_CHECKING:
    from causalrec.config import TrainSpec
    from causalrec.reporting.estimation import EstimateSpec
    from causalrec.reporting.paper import PaperTable
    from causalrec.reporting.record import Saved
    from causalrec.reporting.study import Study
    from causalrec.reporting.table import Table


def reproduce(options: argparse.Namespace) -> int:
    """`causalrec reproduce STUDY`: run the jobs that have no record yet, then show published against obtained."""
    from causalrec.reporting.paste import paste
    from causalrec.reporting.result import compute_seconds, save_result
    from causalrec.reporting.study import load_study
    from causalrec.reporting.written import markdown

    if options.jobs < 1:
        raise RequestError(f"--jobs {options.jobs}: at least 1")
    study, started = load_study(options.study), time.monotonic()
    groups = _study_specs(study, checked(options.overrides), options.smoke)
    failures = _run_missing(study, groups, options.jobs)
    specs = [spec for group in groups for spec in group]
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


def _study_specs(study: Study, extra: list[str], smoke: bool) -> list[list[Any]]:
    """Return the checked jobs of each row, before any starts.

    Composing is slow: where the second job of a row differs from the first in its seed alone, so do the others.
    """
    from causalrec import config

    make: Callable[[list[str]], Any] = _quiet_spec if study.task == "train" else _estimate_spec
    jobs = [config.prepared([*job, *extra]) for job in study.jobs(smoke)]
    seeds = study.seeds[:1] if smoke else study.seeds
    groups = []
    for start in range(0, len(jobs), len(seeds)):
        row = jobs[start : start + len(seeds)]
        specs = [make(job) for job in row[:2]]
        if len(seeds) > 2 and _reseeded(specs[0], seeds[1]) == specs[1]:
            specs += [_reseeded(specs[0], seed) for seed in seeds[2:]]
        else:
            specs += [make(job) for job in row[2:]]
        groups.append(specs)
    return groups


def _reseeded(spec: Any, seed: int) -> Any:
    return replace(spec, spine=spec.spine.model_copy(update={"seed": seed}))


def _quiet_spec(overrides: list[str]) -> TrainSpec:
    """A study has one progress bar, of its jobs."""
    spec = spec_of(overrides)
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


def _run_missing(study: Study, groups: list[list[Any]], workers: int) -> list[str]:
    """Run the jobs without a whole record, rows one after another or in processes; return what failed."""
    from rich.console import Console
    from rich.progress import Progress

    from causalrec.sweeps.pool import in_processes

    pending = [[spec for spec in group if not _done(spec.folder / "record.json")] for group in groups]
    pending = [group for group in pending if group]
    work = _attempt if study.task == "train" else _attempt_estimate
    paths = [spec.folder / "record.json" for group in pending for spec in group]
    started = time.time() - 1
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(study.title, total=len(paths))

        def tick() -> None:
            progress.update(task, completed=sum(p.exists() and p.stat().st_mtime > started for p in paths))

        if workers > 1 and len(pending) > 1:
            failures = in_processes(pending, work, failure_of, min(workers, len(pending)), tick)
        else:
            failures = []
            for spec in (spec for group in pending for spec in group):
                failures.append(work(spec))
                tick()
    return [failure for failure in failures if failure is not None]


def _attempt(spec: TrainSpec) -> str | None:
    """Train one job, in this process or another; return why it failed: one failing job must not stop the others."""
    from causalrec import run

    try:
        run.train(spec)
    except Exception as error:  # its record holds the reason
        return failure_of(spec, error)
    return None


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
            predicted_against_true(saved, folder / "predicted_against_true.png")
            print(f"{two_sentences(saved, shown)}\nfigure: {folder / 'predicted_against_true.png'}")
    else:
        show(table, Console(width=None if sys.stdout.isatty() else 160))
    print(f"tables: {folder / 'table.md'}, {folder / 'table.tex'}, {folder / 'result.json'}")
