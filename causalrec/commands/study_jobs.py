"""The jobs of a study, trained or estimated: how they are checked, run, read back and shown."""

from __future__ import annotations

import argparse
import textwrap
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from causalrec.commands.results import load_readable
from causalrec.commands.terminal import describe_failure, log, print_tables, print_text_table, width
from causalrec.data.removal import first_link
from causalrec.errors import DataError
from causalrec.progress import advance, progress

if TYPE_CHECKING:
    from causalrec.config.schema import ExperimentConfig
    from causalrec.records.run_folder import AnyFolder, EstimationFolder, RunFolder
    from causalrec.reporting.estimation import EstimationConfig
    from causalrec.reporting.paper_table import PaperTable
    from causalrec.reporting.score_table import ScoreTable
    from causalrec.reporting.study import Study
    from causalrec.sweeps.dry_run import DryRun
    from causalrec.sweeps.job import JobResult
    from causalrec.sweeps.launch import Job

T = TypeVar("T")
Config = TypeVar("Config", "ExperimentConfig", "EstimationConfig")


class AbstractStudyJobs(ABC):
    """The jobs of one study; `records` and the tables are read once they have run."""

    @property
    @abstractmethod
    def paths(self) -> list[Path]:
        """Where each job's record goes."""

    @property
    def every_path(self) -> list[Path]:
        """Where every record goes, those of special cases too."""
        return self.paths

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return self.paths[0].parents[2]

    @abstractmethod
    def run(self, options: argparse.Namespace) -> list[str]:
        """Run the jobs that have no whole record; return what failed, a line each."""

    @abstractmethod
    def dry_run(self, options: argparse.Namespace) -> DryRun:
        """Return what the jobs that have no whole record would make and take; nothing starts."""

    @property
    @abstractmethod
    def records(self) -> Sequence[AnyFolder]:
        """What the jobs have left."""

    @property
    def run_tables(self) -> list[ScoreTable]:
        """The tables of runs; estimation jobs have none."""
        return []

    @property
    def cost_tables(self) -> list[ScoreTable]:
        """What the rows cost; estimation jobs say their seconds alone."""
        return []

    @abstractmethod
    def table(self, smoke: bool) -> PaperTable:
        """Return published beside obtained."""

    @abstractmethod
    def print_result(self, table: PaperTable) -> None:
        """Print what the study shows."""


class TrainingJobs(AbstractStudyJobs):
    """Jobs that are trained, as those of a sweep."""

    def __init__(self, study: Study, overrides: list[list[str]], *, writes: bool) -> None:
        from causalrec.sweeps.driver import check_jobs
        from causalrec.sweeps.submodels import with_submodels

        self.study, self.overrides = study, overrides
        self.configs = check_jobs(overrides, writes=writes)
        self.submodels = with_submodels(self.configs, overrides)[0][len(self.configs) :]

    @property
    def paths(self) -> list[Path]:
        return _record_paths(self.configs)

    @property
    def every_path(self) -> list[Path]:
        return _record_paths([*self.configs, *self.submodels])

    def run(self, options: argparse.Namespace) -> list[str]:
        from causalrec.sweeps.driver import run_configs
        from causalrec.sweeps.job import JobRunner

        def launch(left: list[Job]) -> list[JobResult]:
            if options.packed:
                from causalrec.sweeps.packed_launcher import PackedLauncher

                return PackedLauncher().train_jobs([job.config for job in left], [job.overrides for job in left])
            return _run_each([job.config for job in left], JobRunner().run, _failed_result, options.jobs)

        for path in self.every_path:
            _remove_if_damaged(path, self.folder)
        results = run_configs(self.configs, self.overrides, options.command, launch, log)
        return [f"{result.label}: {result.reason}" for result in results if result.status == "failed"]

    def dry_run(self, options: argparse.Namespace) -> DryRun:
        from causalrec.sweeps.dry_run import dry_run, packed_limit

        if options.packed:
            return dry_run(self.configs, self.overrides, limit=packed_limit())
        rows = {config.run.name for config in [*self.configs, *self.submodels]}
        return dry_run(self.configs, self.overrides, processes=min(options.jobs, len(rows)))

    @cached_property
    def records(self) -> list[RunFolder]:
        from causalrec.records.run_folder import RunFolder

        return load_readable(self.paths, RunFolder.load)

    @cached_property
    def submodel_records(self) -> list[RunFolder]:
        """What the special cases of the rows have left."""
        from causalrec.records.run_folder import RunFolder

        return load_readable(_record_paths(self.submodels), RunFolder.load)

    @cached_property
    def run_tables(self) -> list[ScoreTable]:
        from causalrec.reporting.table import tables

        return tables([*self.records, *self.submodel_records], tuple(self.study.columns))

    @property
    def cost_tables(self) -> list[ScoreTable]:
        from causalrec.reporting.cost_table import cost_tables

        return cost_tables(self.records)

    def table(self, smoke: bool) -> PaperTable:
        from causalrec.reporting.paper_table import collect_obtained, paper_table

        obtained, baselines = collect_obtained(self.run_tables)
        return paper_table(self.study, obtained, baselines, self.records, smoke, self.submodel_records)

    def print_result(self, table: PaperTable) -> None:
        if self.study.source is not None:
            _print_paper_table(table)
            return
        from causalrec.records.run_folder import finished_runs
        from causalrec.reporting.predicted_figure import draw_predicted_against_true
        from causalrec.reporting.summary import two_sentences

        print_tables(self.run_tables)
        if self.run_tables:
            print(textwrap.fill(two_sentences(self.records, self.run_tables), width()))
            if any(run.record.calibration for run in finished_runs(self.records)):
                draw_predicted_against_true(self.records, self.folder / "predicted_against_true.png")
                print(f"figure: {self.folder / 'predicted_against_true.png'}")


class EstimationJobs(AbstractStudyJobs):
    """Jobs that compute their cells from a known population."""

    def __init__(self, study: Study, overrides: list[list[str]]) -> None:
        self.study, self.configs = study, [_estimation_config(job) for job in overrides]

    @property
    def paths(self) -> list[Path]:
        return _record_paths(self.configs)

    def run(self, options: argparse.Namespace) -> list[str]:
        pending = [config for config, path in zip(self.configs, self.paths, strict=True) if not _is_estimated(path)]
        with progress(self.study.title, len(pending), "jobs"):
            failures = _run_each(pending, _estimate, describe_failure, options.jobs)
        return [failure for failure in failures if failure]

    def dry_run(self, options: argparse.Namespace) -> DryRun:
        from causalrec.sweeps.dry_run import DryRun

        left = sum(not _is_estimated(path) for path in self.paths)
        return DryRun.untimed_jobs(left, len(self.paths) - left, min(options.jobs, len(self.paths)))

    @cached_property
    def records(self) -> list[EstimationFolder]:
        from causalrec.records.estimation_record import EstimationRecord
        from causalrec.records.run_folder import EstimationFolder

        return load_readable(self.paths, lambda path: EstimationFolder(path.parent, EstimationRecord.load(path)))

    def table(self, smoke: bool) -> PaperTable:
        from causalrec.reporting.estimation import pool_estimates
        from causalrec.reporting.paper_table import paper_table

        return paper_table(self.study, pool_estimates(folder.record for folder in self.records), (), (), smoke)

    def print_result(self, table: PaperTable) -> None:
        _print_paper_table(table)


def _record_paths(configs: Sequence[ExperimentConfig] | Sequence[EstimationConfig]) -> list[Path]:
    from causalrec.records.run_record import RECORD

    return [config.folder / RECORD for config in configs]


def _print_paper_table(table: PaperTable) -> None:
    from causalrec.reporting.paper_text import text_tables

    for block in text_tables(table):
        print_text_table(block)


def _estimation_config(overrides: list[str]) -> EstimationConfig:
    from causalrec.config.component import load_class, validate_component
    from causalrec.config.compose import compose_config
    from causalrec.reporting.estimation import estimation_config

    composed = compose_config(overrides, "estimate")
    contract = load_class("causalrec.evaluation.estimation.base.AbstractEstimation")
    return estimation_config(composed, validate_component("estimation", composed.get("estimation"), contract))


def _run_each(
    configs: list[Config], work: Callable[[Config], T], lost: Callable[[Config, str], T], workers: int
) -> list[T]:
    """Work on jobs row by row: one after another, or rows in processes."""
    from causalrec.sweeps.process_pool import run_in_processes

    rows: dict[str, list[Config]] = {}
    for config in configs:
        rows.setdefault(config.run.name, []).append(config)
    if workers == 1 or len(rows) == 1:
        return [work(config) for config in configs]
    begun, paths = time.time() - 1, _record_paths(configs)

    def count_records() -> None:
        advance("jobs", to=sum(path.exists() and path.stat().st_mtime > begun for path in paths))

    return run_in_processes(list(rows.values()), work, lost, min(workers, len(rows)), count_records)


def _failed_result(config: ExperimentConfig, why: str) -> JobResult:
    from causalrec.sweeps.job import failed_result

    return failed_result(config, DataError(why), config.folder)


def _estimate(config: EstimationConfig) -> str | None:
    from causalrec.data.removal import make_way, make_way_for_folder
    from causalrec.records.run_record import RECORD
    from causalrec.reporting.estimation import save_estimates

    started = time.monotonic()
    try:
        make_way_for_folder(config.folder, config.folder.parents[1])
        if (config.folder / RECORD).is_dir():
            make_way(config.folder / RECORD)
    except (DataError, OSError) as error:
        advance("jobs")
        return describe_failure(config, error)
    try:
        estimates = config.estimation.build().run(config.run.paths.data, config.run.paths.cache, config.run.seed)
        save_estimates(config, estimates, time.monotonic() - started)
    except Exception as error:  # as above
        save_estimates(config, [], time.monotonic() - started, f"{type(error).__name__}: {error}")
        return describe_failure(config, error)
    finally:
        advance("jobs")
    return None


def _is_estimated(path: Path) -> bool:
    from causalrec.records.estimation_record import EstimationRecord

    try:
        return path.exists() and EstimationRecord.load(path).done
    except (DataError, OSError):
        return False


def _remove_if_damaged(path: Path, sweep: Path) -> None:
    """Remove a record that cannot be read with what lies beside it, so that its job runs again.

    A folder in its place is moved aside when the job begins; one behind a link is left to the job, which says so.
    """
    from causalrec.records.run_folder import RunFolder

    try:
        if path.exists():
            RunFolder.load(path)
    except (DataError, OSError) as error:
        log(f"{error}; it runs again")
        if first_link(path.parent, sweep) is None and not path.is_dir():
            path.unlink()
