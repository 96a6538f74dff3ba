"""The jobs of a study, trained or estimated: how they are checked, run, read back and shown."""

from __future__ import annotations

import argparse
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from causalrec.commands.terminal import describe_failure, log, print_tables
from causalrec.errors import DataError

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.records.run_folder import AnyFolder, EstimationFolder, RunFolder
    from causalrec.reporting.estimation import EstimateSpec
    from causalrec.reporting.paper_table import PaperTable
    from causalrec.reporting.study import Study
    from causalrec.reporting.table import ScoreTable
    from causalrec.sweeps.job import JobOutcome
    from causalrec.sweeps.launch import Job

T = TypeVar("T")
Spec = TypeVar("Spec", "ExperimentConfig", "EstimateSpec")
Tick = Callable[[], None]


class AbstractStudyJobs(ABC):
    """The jobs of one study; `records` and the tables are read once they have run."""

    @property
    @abstractmethod
    def paths(self) -> list[Path]:
        """Where each job's record goes."""

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return self.paths[0].parents[2]

    @abstractmethod
    def run(self, options: argparse.Namespace, tick: Tick) -> list[str]:
        """Run the jobs that have no whole record; return what failed, a line each."""

    @property
    @abstractmethod
    def records(self) -> Sequence[AnyFolder]:
        """What the jobs have left."""

    @property
    def run_tables(self) -> list[ScoreTable]:
        """The tables of runs; estimation jobs have none."""
        return []

    @abstractmethod
    def table(self, smoke: bool) -> PaperTable:
        """Return published beside obtained."""

    @abstractmethod
    def print_result(self, table: PaperTable) -> None:
        """Print what the study shows."""


class TrainingJobs(AbstractStudyJobs):
    """Jobs that are trained, as those of a sweep."""

    def __init__(self, study: Study, overrides: list[list[str]]) -> None:
        from causalrec.sweeps.driver import specs_of

        self.study, self.overrides = study, overrides
        self.specs = [_disable_progress(spec) for spec in specs_of(overrides)]

    @property
    def paths(self) -> list[Path]:
        return _record_paths(self.specs)

    def run(self, options: argparse.Namespace, tick: Tick) -> list[str]:
        from causalrec.sweeps.driver import run_specs
        from causalrec.sweeps.job import JobRunner

        def launch(left: list[Job]) -> list[JobOutcome]:
            if options.packed:
                from causalrec.sweeps.packed_launcher import PackedLauncher

                return PackedLauncher().train_jobs([job.config for job in left], [job.overrides for job in left])
            return _run_each([job.config for job in left], JobRunner().run, _failed_outcome, options.jobs, tick)

        for path in self.paths:
            _remove_if_damaged(path)
        outcomes = run_specs(self.specs, self.overrides, options.command, launch, log)
        return [f"{outcome.label}: {outcome.reason}" for outcome in outcomes if outcome.status == "failed"]

    @cached_property
    def records(self) -> list[RunFolder]:
        from causalrec.records.run_folder import RunFolder

        return [RunFolder.load(path) for path in self.paths if path.exists()]

    @cached_property
    def run_tables(self) -> list[ScoreTable]:
        from causalrec.reporting.table import tables

        return tables(self.records, tuple(self.study.columns))

    def table(self, smoke: bool) -> PaperTable:
        from causalrec.reporting.paper_table import collect_obtained, paper_table

        obtained, baselines = collect_obtained(self.run_tables)
        return paper_table(self.study, obtained, baselines, self.records, smoke)

    def print_result(self, table: PaperTable) -> None:
        if self.study.source is not None:
            _print_paper_table(table)
            return
        from causalrec.records.run_folder import finished_runs
        from causalrec.reporting.figure import draw_predicted_against_true
        from causalrec.reporting.summary import two_sentences

        print_tables(self.run_tables, as_json=False)
        if self.run_tables:
            print(two_sentences(self.records, self.run_tables))
            if any(run.record.calibration for run in finished_runs(self.records)):
                draw_predicted_against_true(self.records, self.folder / "predicted_against_true.png")
                print(f"figure: {self.folder / 'predicted_against_true.png'}")


class EstimationJobs(AbstractStudyJobs):
    """Jobs that compute their cells from a known population."""

    def __init__(self, study: Study, overrides: list[list[str]]) -> None:
        self.study, self.specs = study, [_estimate_spec(job) for job in overrides]

    @property
    def paths(self) -> list[Path]:
        return _record_paths(self.specs)

    def run(self, options: argparse.Namespace, tick: Tick) -> list[str]:
        pending = [spec for spec, path in zip(self.specs, self.paths, strict=True) if not _is_estimated(path)]
        return [failure for failure in _run_each(pending, _estimate, describe_failure, options.jobs, tick) if failure]

    @cached_property
    def records(self) -> list[EstimationFolder]:
        from causalrec.records.estimation_record import EstimationRecord
        from causalrec.records.run_folder import EstimationFolder

        return [EstimationFolder(path.parent, EstimationRecord.load(path)) for path in self.paths if path.exists()]

    def table(self, smoke: bool) -> PaperTable:
        from causalrec.reporting.estimation import pool_estimates
        from causalrec.reporting.paper_table import paper_table

        return paper_table(self.study, pool_estimates(folder.record for folder in self.records), (), (), smoke)

    def print_result(self, table: PaperTable) -> None:
        _print_paper_table(table)


def _record_paths(specs: Sequence[ExperimentConfig] | Sequence[EstimateSpec]) -> list[Path]:
    from causalrec.records.run_record import RECORD

    return [spec.folder / RECORD for spec in specs]


def _print_paper_table(table: PaperTable) -> None:
    from rich.console import Console

    from causalrec.reporting.paper_text import print_paper_table

    print_paper_table(table, Console(width=None if sys.stdout.isatty() else 160))


def _disable_progress(spec: ExperimentConfig) -> ExperimentConfig:
    """A study has one progress bar, of its jobs."""
    trainer = spec.trainer
    quiet = trainer.replace(progress=False) if "progress" in trainer.keyword_names else trainer
    return spec.replace(trainer=quiet)


def _estimate_spec(overrides: list[str]) -> EstimateSpec:
    from causalrec.config.component import load_class, validate_component
    from causalrec.config.compose import compose_config
    from causalrec.reporting.estimation import estimate_spec

    composed = compose_config(overrides, "estimate")
    contract = load_class("causalrec.evaluation.estimation.base.AbstractEstimation")
    return estimate_spec(composed, validate_component("estimation", composed.get("estimation"), contract))


def _run_each(
    specs: list[Spec], work: Callable[[Spec], T], lost: Callable[[Spec, str], T], workers: int, tick: Tick
) -> list[T]:
    """Work on jobs row by row: one after another, or rows in processes."""
    from causalrec.sweeps.process_pool import run_in_processes

    rows: dict[str, list[Spec]] = {}
    for spec in specs:
        rows.setdefault(spec.run.name, []).append(spec)
    if workers > 1 and len(rows) > 1:
        return run_in_processes(list(rows.values()), work, lost, min(workers, len(rows)), tick)
    results = []
    for spec in specs:
        results.append(work(spec))
        tick()
    return results


def _failed_outcome(spec: ExperimentConfig, why: str) -> JobOutcome:
    from causalrec.sweeps.job import failed_outcome

    return failed_outcome(spec, DataError(why), spec.folder)


def _estimate(spec: EstimateSpec) -> str | None:
    from causalrec.reporting.estimation import save_estimates

    started = time.monotonic()
    try:
        estimates = spec.estimation.build().run(spec.run.paths.data, spec.run.paths.cache, spec.run.seed)
        save_estimates(spec, estimates, time.monotonic() - started)
    except Exception as error:  # as above
        save_estimates(spec, [], time.monotonic() - started, f"{type(error).__name__}: {error}")
        return describe_failure(spec, error)
    return None


def _is_estimated(path: Path) -> bool:
    from causalrec.records.estimation_record import EstimationRecord

    try:
        return path.exists() and EstimationRecord.load(path).done
    except DataError:
        return False


def _remove_if_damaged(path: Path) -> None:
    """Remove a record that cannot be read with what lies beside it, so that its job runs again."""
    from causalrec.records.run_folder import RunFolder

    try:
        if path.exists():
            RunFolder.load(path)
    except DataError as error:
        log(f"{error}; it runs again")
        path.unlink()
