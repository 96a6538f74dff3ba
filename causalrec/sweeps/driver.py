"""A launch: which jobs are left, handed to the launcher that was asked for, until none is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from causalrec.config.component import validate_component
from causalrec.config.compose import (
    PlainConfig,
    compose_plain,
    data_request,
    expand_sweep,
    original_overrides,
    validate_config,
)
from causalrec.config.hydra_keys import PluginKind, check_plugin, refuse_launchers
from causalrec.config.schema import DataRequest, ExperimentConfig
from causalrec.config.settings import refuse_unused
from causalrec.config.sweep_counts import refuse_too_many
from causalrec.errors import DataError, RequestError
from causalrec.limits import MAX_JOBS, MAX_PROCESSES
from causalrec.running.data_plan import check_request
from causalrec.sweeps.fit_counts import fits_of_each, job_summary
from causalrec.sweeps.job import JobResult, JobRunner, failed_result, is_helper
from causalrec.sweeps.launch import Job, Log, enter_jobs, recorded_result, report_disk_errors, run_until_done
from causalrec.sweeps.ledger import Ledger
from causalrec.sweeps.multirun import Multirun, plugin_node
from causalrec.sweeps.submodels import with_submodels

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


@runtime_checkable
class ConfigLauncher(Protocol):
    """A launcher that takes jobs as they were checked, and need not compose them again."""

    def train_jobs(self, configs: Sequence[ExperimentConfig], jobs: Sequence[Sequence[str]]) -> list[JobResult]:
        """Run checked jobs, `jobs` being what was asked for each; return their results in order."""


def check_jobs(jobs: Sequence[list[str]], *, writes: bool = True) -> list[ExperimentConfig]:
    """Compose, validate and identify every job before any starts, first what needs no torch.

    Args:
        jobs: what is asked for each, normalised.
        writes: make the folders of records and of the cache, and try them.
    """
    plain_configs = compose_plain(jobs)
    _check_requests(plain_configs)
    configs = [validate_config(plain, original_overrides(job)) for plain, job in zip(plain_configs, jobs, strict=True)]
    refuse_unused(configs, [original_overrides(job) for job in jobs])
    from causalrec.running.prepare import plan_run  # imports torch, which no misspelt name must wait for

    for config in configs:
        plan_run(config, writes=writes)
    return configs


def _check_requests(plain_configs: Sequence[PlainConfig]) -> None:
    """Check what jobs ask of which data, each question once."""
    names = [field.name for field in fields(DataRequest)]
    seen: set[str] = set()
    for plain in plain_configs:
        identity = json.dumps([plain.get(name) for name in (*names, "learner", "objective", "paths")], default=str)
        if identity not in seen:
            seen.add(identity)
            check_request(data_request(plain), plain)


def run_one(
    overrides: list[str], command: str, rerun: bool, log: Log, runner: JobRunner | None = None
) -> list[JobResult]:
    """Run one job in this process, unless it is finished; a further rank of it only helps.

    Args:
        overrides: of the job, normalised.
        command: what the user typed, for the ledger.
        rerun: train it even where it is finished.
        log: prints one line.
        runner: what runs it; a new one by default.
    """
    refuse_launchers(overrides)
    (config,), runner = check_jobs([overrides]), runner or JobRunner()
    if is_helper(config):
        return [runner.run(config)]
    configs, jobs = with_submodels([config], [overrides])
    entered = enter_jobs(configs, jobs, command, rerun)
    log(job_summary(config) if entered.unfinished else f"{config.run.name}: done already (--rerun runs it)")
    results = run_until_done(entered, lambda left: [runner.run(job.config) for job in left], log)
    _mark_losses(configs, results, log)
    return _results_of(results, [config])


def _mark_losses(configs: Sequence[ExperimentConfig], results: Mapping[str, JobResult], log: Log) -> None:
    """Have loggers mark the jobs that lose to a special case, where this launch finished one of either."""
    if not any(result.status == "done" for result in results.values()):
        return
    from causalrec.running.loss_marks import mark_losses

    for line in mark_losses(configs):
        log(line)


def run_all(
    overrides: list[str],
    command: str,
    rerun: bool,
    log: Log,
    runner: JobRunner | None = None,
    max_jobs: int = MAX_JOBS,
) -> list[JobResult]:
    """Run every job of a multirun that is left, through the launcher asked for; return one result a job, in order.

    Where another sweeper than Hydra's own is asked for, it chooses the jobs.

    Args:
        overrides: of the multirun, normalised.
        command: what the user typed, for the ledger.
        rerun: train finished jobs too.
        log: prints one line.
        runner: what runs a job; a new one by default.
        max_jobs: how many may be asked for.
    """
    multirun = Multirun.compose(overrides)
    runner = runner or JobRunner()
    if multirun.has_sweeper:
        results = _run_sweeper(multirun, command, runner, max_jobs)
    else:
        wanted = expand_sweep(multirun.task_overrides, max_jobs)
        requested = check_jobs(multirun.with_search_path(wanted))
        configs, wanted = with_submodels(requested, wanted)
        launch = _launch_of(multirun, runner)
        entered = enter_jobs(configs, wanted, command, rerun)
        left, total = len(entered.unfinished), len(entered.jobs)
        done = f", {total - left} of {total} done already" if left < total else ""
        log(f"{left} job(s) to run{done}{fits_of_each(requested) if left else ''}")
        results_by_job = run_until_done(entered, launch, log)
        _mark_losses(configs, results_by_job, log)
        results = _results_of(results_by_job, requested)
    return results


def run_configs(
    configs: Sequence[ExperimentConfig],
    overrides: Sequence[Sequence[str]],
    command: str,
    launch: Callable[[list[Job]], list[JobResult]],
    log: Log,
) -> list[JobResult]:
    """Run what is left of checked jobs by `launch`; return one result a job, in order.

    Args:
        configs: the checked jobs.
        overrides: what was asked for each job.
        command: what the user typed, for the ledger.
        launch: runs jobs and returns their results in order.
        log: prints one line.
    """
    every, of_each = with_submodels(configs, overrides)
    results = run_until_done(enter_jobs(every, of_each, command, rerun=False), launch, log)
    _mark_losses(every, results, log)
    return _results_of(results, configs)


def _results_of(results: Mapping[str, JobResult], requested: Sequence[ExperimentConfig]) -> list[JobResult]:
    """Return the results of the jobs that were asked for, in order, and those of special cases that failed."""
    keys = [str(config.folder) for config in requested]
    failed = [result for key, result in results.items() if key not in keys and result.status == "failed"]
    return [*(results[key] for key in keys), *failed]


def launcher_of(*, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Any:
    """Build the launcher asked for: ours by its YAML keys, another through Hydra's plugin manager."""
    return _plugin("launcher", hydra_context, task_function, config)


def _plugin(kind: PluginKind, context: HydraContext, function: TaskFunction, config: DictConfig) -> Any:
    from hydra.core.plugins import Plugins

    node, handed = plugin_node(kind, config), {"hydra_context": context, "task_function": function, "config": config}
    workers = node.get("n_jobs")
    if isinstance(workers, int) and workers > MAX_PROCESSES:
        raise RequestError(f"hydra.{kind}.n_jobs={workers}: at most {MAX_PROCESSES} processes; set n_jobs lower")
    if check_plugin(kind, str(config.hydra.runtime.choices[f"hydra/{kind}"]), node):
        return getattr(Plugins.instance(), f"instantiate_{kind}")(**handed)
    built: Any = validate_component(f"hydra.{kind}", node, _contract(kind)).build()  # Hydra builds `hydra_plugins` only
    built.setup(**handed)
    return built


def _contract(kind: PluginKind) -> type[object]:
    from hydra.plugins.launcher import Launcher
    from hydra.plugins.sweeper import Sweeper

    return Launcher if kind == "launcher" else Sweeper


def _launch_of(multirun: Multirun, runner: JobRunner) -> Callable[[list[Job]], list[JobResult]]:
    """Return what launches jobs through the launcher asked for; where it breaks, the ledger knows what was finished."""
    launcher = launcher_of(hydra_context=multirun.context, task_function=runner, config=multirun.config)
    begun = 0

    def launch(left: list[Job]) -> list[JobResult]:
        nonlocal begun
        if isinstance(launcher, ConfigLauncher):
            return launcher.train_jobs([job.config for job in left], [job.overrides for job in left])
        first, begun = begun, begun + len(left)
        try:
            returned = launcher.launch([list(job.overrides) for job in left], initial_job_idx=first)
        except RequestError:
            raise
        except Exception as error:  # a launcher's worker died; the jobs it had finished are marked
            return [_result_without_launcher(job, error) for job in left]
        return [_returned_result(job, job_return) for job, job_return in zip(left, returned, strict=True)]

    return launch


def _returned_result(job: Job, returned: Any) -> JobResult:
    try:
        result = returned.return_value
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        return _result_without_launcher(job, error)
    return (
        result
        if isinstance(result, JobResult)
        else _result_without_launcher(job, DataError(f"launcher returned {result!r}"))
    )


def _result_without_launcher(job: Job, error: Exception) -> JobResult:
    state = job.ledger.state(job.name)
    return (
        recorded_result(job, state)
        if state.status in ("done", "failed")
        else failed_result(job.config, error, job.config.folder)
    )


def _run_sweeper(multirun: Multirun, command: str, runner: JobRunner, max_jobs: int) -> list[JobResult]:
    """Hand over to a sweeper, which learns the jobs as it goes."""
    config = multirun.config
    sweeper = _plugin("sweeper", multirun.context, runner, config)
    trials = int(getattr(sweeper, "n_trials", 0))
    refuse_too_many(trials, max_jobs, f"hydra.sweeper.n_trials={trials}")
    ledger = Ledger(Path(str(config.paths.runs)) / str(config.sweep))
    with report_disk_errors(ledger):
        ledger.requeue(list(ledger.status_files.by_job("failed")))
        ledger.note_launch(command, [])
    returned = sweeper.sweep(multirun.task_overrides) or []
    results = [result for result in returned if isinstance(result, JobResult)]
    lost = [result for result in returned if isinstance(result, Exception)]
    return [*results, *(JobResult("", "failed", " ".join(str(result).split()), 1, "launcher") for result in lost)]
