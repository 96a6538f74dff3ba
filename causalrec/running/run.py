"""The data flow of a run, one page: plan -> prepare -> fit -> score -> record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from causalrec.config.schema import ExperimentConfig
from causalrec.errors import CausalRecError
from causalrec.evaluation.catalogue_scores import require_block_memory
from causalrec.evaluation.list_updates import require_list_rows
from causalrec.evaluation.replicate_memory import require_memory
from causalrec.learners.base import Fitter
from causalrec.prepared import PreparedData, RunPlan
from causalrec.progress import progress
from causalrec.records.cost_section import CostSection
from causalrec.running.cache import PreparedCache, prepared_key
from causalrec.running.job_log import JobLog
from causalrec.running.pair_limit import require_pair_limit
from causalrec.running.placebo import check_placebo_slice
from causalrec.running.prepare import plan_run, select_slices
from causalrec.running.recording import SINGLE, peak_bytes, planned_record
from causalrec.running.scoring import score_run
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import FitResult
from causalrec.training.fit_store import FitFolder
from causalrec.training.selection import fit_sequentially

CheckOwnership = Callable[[], None]  # raises where somebody else has taken the job over


def skip_check() -> None:
    """Take the job for nobody else's."""


@dataclass
class StartedJob:
    """A job whose data are prepared.

    Attributes:
        config: what was asked for.
        prepared: what stands before its fits.
        log: of the job.
        results: of the rounds of fits so far.
        failure: what ended its fits.
        trained_rows: logged rows that they met, again in each epoch.
    """

    config: ExperimentConfig
    prepared: PreparedData
    log: JobLog
    results: list[FitResult] = field(default_factory=list)
    failure: Exception | None = None
    trained_rows: int = 0

    def next_round(self) -> list[FitRequest]:
        """Return the fits that it waits for; none where it is done, has failed, or makes none."""
        learner = self.config.components.learner
        if learner is None or self.failure is not None:
            return []
        try:
            wanted = (
                learner.then(self.config, self.prepared, self.results)
                if self.results
                else learner.first(self.config, self.prepared)
            )
        except Exception as error:
            self.failure = error
            return []
        return [replace(request, logger=self.log.opened) for request in wanted]

    def add_results(self, wanted: Sequence[FitRequest], results: Sequence[FitResult | Exception]) -> None:
        """Add the results of a round of fits, or the first failure among them."""
        for request, result in zip(wanted, results, strict=True):
            self.trained_rows += 0 if isinstance(result, Exception) else result.epochs * request.rows_an_epoch
        self.failure = next((result for result in results if isinstance(result, Exception)), None)
        self.results += [result for result in results if isinstance(result, FitResult)]


def train(
    config: ExperimentConfig, check_ownership: CheckOwnership = skip_check, cache: PreparedCache | None = None
) -> Path:
    """Run one job and return the path of its record; a failure is recorded too, then raised.

    `check_ownership` raises where somebody else has taken the job over: it is asked before anything is written.
    """
    (result,) = train_together([config], fit_sequentially, [check_ownership], cache=cache)
    if isinstance(result, Exception):
        raise result
    assert result is not None
    return result


def train_together(
    configs: Sequence[ExperimentConfig],
    fitter: Fitter,
    ownership: Sequence[CheckOwnership | None],
    execution: str = SINGLE,
    cache: PreparedCache | None = None,
) -> list[Path | Exception | None]:
    """Run jobs in step, `fitter` making all the fits they wait for at once; return each one's record, or why it failed.

    Args:
        configs: what was asked for, a job each.
        fitter: makes fits; a failure stands in the place of its result.
        ownership: as in `train`; a job of None is trained but not recorded (and None here).
        execution: what the record says of how it was made. Seconds of what is done together are shared evenly.
        cache: holds what was prepared last, of each of the jobs where they differ in it.
    """
    clock, cache = time.monotonic(), PreparedCache() if cache is None else cache
    plans = [plan_run(config) for config in configs]
    cache.slots = len({prepared_key(config, plan) for config, plan in zip(configs, plans, strict=True)})
    results: list[Path | Exception | None] = [None] * len(configs)
    started: dict[int, StartedJob] = {}
    try:
        for k, (config, plan) in enumerate(zip(configs, plans, strict=True)):
            try:
                started[k] = start_job(config, plan, execution, cache)
            except Exception as error:
                check = ownership[k]
                results[k] = _fail(config, plan, check, execution, error) if check else None
        fit_in_rounds(list(started.values()), fitter)
        shared = (time.monotonic() - clock) / max(len(started), 1)
        for k, job in started.items():
            check = ownership[k]
            if check is not None:
                results[k] = _finish(job, check, execution, shared)
    finally:
        for job in started.values():
            job.log.interrupt()  # whatever ended otherwise has closed it
    return results


def start_job(config: ExperimentConfig, plan: RunPlan, execution: str, cache: PreparedCache) -> StartedJob:
    """Prepare a job's data and open its log; raise RequestError where what is trained could not be scored.

    Args:
        config: what was asked for.
        plan: of the job.
        execution: what the record says of how it was made.
        cache: holds what was prepared last.
    """
    learner = config.components.learner
    if learner is not None:
        learner.certify(config, stacked=execution != SINGLE)
    with progress("preparing", None, shown=execution == SINGLE):
        prepared = cache.prepare(config, plan)
    _check_scoring(config, prepared)
    log = _log_of(config, execution)
    log.open()
    return StartedJob(config, prepared, log)


def _check_scoring(config: ExperimentConfig, prepared: PreparedData) -> None:
    """Raise RequestError, before anything is trained, where what is trained could not be scored."""
    config.components.task.check_prepared(config, prepared)
    slices = [data for yielded in select_slices(config, prepared).values() for data in yielded]
    scores = len(config.metric) * (1 + len(config.baseline))
    require_list_rows(config.metric, slices, prepared.dataset.card.name)
    require_memory(config.run.evaluation.replicates, slices, scores)
    require_pair_limit(config, prepared, slices)
    require_block_memory(slices, config.metric, config.run.evaluation.memory_mb)
    check_placebo_slice(config, [data.name for data in slices])


def _log_of(config: ExperimentConfig, execution: str) -> JobLog:
    return JobLog.of(config, live=execution == SINGLE)  # hundreds open at once would cost more than they show


def fit_in_rounds(jobs: Sequence[StartedJob], fitter: Fitter) -> None:
    """Make the fits of jobs round by round, those of all jobs at once."""
    while waiting := [(job, wanted) for job in jobs if (wanted := job.next_round())]:
        results = iter(fitter([request for _, wanted in waiting for request in wanted]))
        for job, wanted in waiting:
            job.add_results(wanted, [next(results) for _ in wanted])


def _finish(job: StartedJob, check: CheckOwnership, execution: str, shared: float) -> Path | Exception:
    """Score a fitted job and write its record; where it fails, write why: it must not stop the others."""
    config, prepared, clock = job.config, job.prepared, time.monotonic()
    try:
        if job.failure is not None:
            raise job.failure
        learner = config.components.learner
        chosen = learner.selection(config, prepared, job.results) if learner else None
        predictor = learner.predictor(config, prepared, job.results) if learner else None
        fitted = time.monotonic()
        planned = planned_record(config, prepared.plan, execution)
        with progress("scoring", None, shown=execution == SINGLE):
            result = score_run(planned, config, prepared, predictor, chosen)
        seconds = shared + time.monotonic() - clock
        training = sum(fit.seconds for fit in job.results) if job.results else fitted - clock
        cost = CostSection.of(training, time.monotonic() - fitted, job.trained_rows)
        record = replace(result.record, seconds=seconds, cost=cost, peak_bytes=peak_bytes())
        check()
        if execution != SINGLE and chosen is not None:  # a fit made by itself has left its weights there
            FitFolder(chosen.folder, "made beside others").finish(chosen.fit)
        path = record.save(config.folder, result.replicates, result.jackknife, result.by_user)
    except Exception as error:
        return _fail(config, prepared.plan, check, execution, error, job.log)
    shown = job.log.show(record)
    if shown is not record:
        with suppress(OSError):  # the record is whole, but for a warning of its logger
            shown.save(config.folder)
    return path


def _fail(
    config: ExperimentConfig,
    plan: RunPlan,
    check: CheckOwnership,
    execution: str,
    error: Exception,
    log: JobLog | None = None,
) -> Exception:
    """Record why a job failed, and return it."""
    record = replace(planned_record(config, plan, execution), error=f"{type(error).__name__}: {error}")
    record = (log or _log_of(config, execution)).show(record)
    with suppress(OSError, CausalRecError):  # a full disk, a lost claim: as above
        check()
        record.save(config.folder)
    return error
