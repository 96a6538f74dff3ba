"""Jobs that differ in numbers alone: their fits are counted together, and one of them tells what they all take."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from causalrec.config.component import ComponentConfig
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import CausalRecError
from causalrec.running.cache import PreparedCache, prepared_key
from causalrec.running.prepare import plan_run
from causalrec.running.recording import planned_record
from causalrec.running.run import StartedJob, start_job
from causalrec.running.scoring import score_run
from causalrec.sweeps.fit_times import FitTimes, time_alone, time_stack
from causalrec.sweeps.pair_costs import pair_costs
from causalrec.tracking.loggers import NoLogger
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import FitResult
from causalrec.training.selection import MAX_EXTENSIONS
from causalrec.training.stacked.stack_key import reason_to_fit_alone

EPOCHS_BY_PATIENCE = 8  # a fit is expected to train for that many times the epochs it waits without improvement
EXTENDED_JOBS = 0.5  # share of the jobs that are expected to try one number further, of those that may
EXECUTION = "dry run"  # prepared without a bar of its own
UNTRAINED = FitResult(criterion=0.0, best_epoch=0, epochs=1, state={})  # stands for a fit where fits are counted
Limit = Callable[[int], int]  # bytes of a replica -> the most replicas of a stack


@dataclass
class KindOfJob:
    """Jobs that differ in the numbers that stack alone: their fits take alike.

    Attributes:
        configs: of the jobs.
        fits: of all of them.
        further: the most that may follow.
        seconds: expected.
        most_seconds: at most.
        epochs: that a fit is expected to train.
        times: of its fits; None where they are not timed.
        pairs: that a language model reads anew, of all jobs.
        tokens: of these.
    """

    configs: list[ExperimentConfig]
    fits: int = 0
    further: int = 0
    seconds: float = 0.0
    most_seconds: float = 0.0
    epochs: int = 0
    times: FitTimes | None = None
    pairs: int = 0
    tokens: int = 0

    def estimate(self, cache: PreparedCache, scratch: Path, limit: Limit | None) -> None:
        """Count the fits of the jobs, and time those of the first.

        Args:
            cache: holds what was prepared last.
            scratch: where checkpoints go.
            limit: of the stacks, where fits are packed.
        """

        first, begun = _below(self.configs[0], scratch), time.perf_counter()
        if not first.trains:
            return
        try:
            self._time(first, begun, cache, scratch, limit)
        except CausalRecError:
            raise
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise CausalRecError(f"{first.run.name}: fails as it begins ({type(error).__name__}: {reason})") from error

    def _time(
        self, first: ExperimentConfig, begun: float, cache: PreparedCache, scratch: Path, limit: Limit | None
    ) -> None:
        job = start_job(first, plan_run(first, writes=False), EXECUTION, cache)
        preparing, requests = time.perf_counter() - begun, job.next_round()
        if job.failure is not None:
            raise job.failure
        self._count(job, scratch)
        if first.encoder.target.reads_pair_text:
            self._add_pairs(job, preparing, requests[0], scratch)
        elif first.trainer.setting("devices") == 1:
            self.times = _time_fits(requests, [config.run.seed for config in self.configs], scratch, limit)
            self._add_seconds(job, preparing * self._preparations, requests[0])

    def _add_pairs(self, job: StartedJob, preparing: float, request: FitRequest, scratch: Path) -> None:
        """Count and time what a language model reads anew, each time it is tuned; frozen, once for all the jobs."""
        costs, tuned = pair_costs(job, request), job.config.finetuning.target.trains
        readings = len(self.configs) if tuned else 1
        self.pairs, self.tokens = readings * costs.pairs, readings * costs.tokens
        fits = most = 0.0
        if tuned:
            trainer = request.trainer
            self.epochs = min(trainer.max_epochs, EPOCHS_BY_PATIENCE * trainer.patience)
            self.times = _time_fits([request], [job.config.run.seed], scratch, None)
            fits = self.times.seconds(self.fits, self.epochs)
            most = self.times.seconds(self.fits + self.further, trainer.max_epochs)
        around = preparing * self._preparations + readings * costs.seconds
        self.seconds, self.most_seconds = around + fits, around + most

    @property
    def _preparations(self) -> int:
        """How many of its jobs have data of their own to prepare."""

        return len({prepared_key(config, plan_run(config, writes=False)) for config in self.configs})

    def _count(self, job: StartedJob, scratch: Path) -> None:
        """Add up the fits of the jobs; those that try the same numbers are asked once."""
        counted: dict[str, tuple[int, int]] = {}
        for config in self.configs:
            tried = repr(config.candidates)
            if tried not in counted:
                counted[tried] = count_fits(_below(config, scratch), job)
            fits, further = counted[tried]
            self.fits, self.further = self.fits + fits, self.further + further

    def _add_seconds(self, job: StartedJob, preparing: float, request: FitRequest) -> None:
        assert self.times is not None
        trainer = request.trainer
        self.epochs = min(trainer.max_epochs, EPOCHS_BY_PATIENCE * trainer.patience)
        around = preparing + len(self.configs) * _scoring_seconds(job, self.times.result)
        expected = self.fits + EXTENDED_JOBS * self.further / MAX_EXTENSIONS
        self.seconds = around + self.times.seconds(expected, self.epochs)
        self.most_seconds = around + self.times.seconds(self.fits + self.further, trainer.max_epochs)


def count_fits(config: ExperimentConfig, job: StartedJob) -> tuple[int, int]:
    """Return how many fits a job makes whatever comes of them, and the most that may follow.

    Args:
        config: of the job.
        job: a started one of the same data and folds.
    """

    results = _rounds(config, job, UNTRAINED)
    several = any(len(values) > 1 for values in config.candidates.values())
    extends = config.run.selection.extend and several
    return len(results), MAX_EXTENSIONS * job.prepared.folds.count if extends else 0


def _rounds(config: ExperimentConfig, job: StartedJob, result: FitResult) -> list[FitResult]:
    """Return one result for each fit that a job makes: of equal criteria no candidate stands at an end."""
    learner, results = config.components.learner, list[FitResult]()
    assert learner is not None
    wanted = learner.first(config, job.prepared)
    while wanted:
        results += [result] * len(wanted)
        wanted = learner.then(config, job.prepared, results)
    return results


def _scoring_seconds(job: StartedJob, result: FitResult) -> float:
    """Return what scoring one job takes, the second time: then the baselines are there."""

    config, prepared, learner = job.config, job.prepared, job.config.components.learner
    assert learner is not None
    results, seconds = _rounds(config, job, result), 0.0
    for _ in range(2):
        begun = time.perf_counter()
        chosen = learner.selection(config, prepared, results)
        predictor = learner.predictor(config, prepared, results)
        score_run(planned_record(config, prepared.plan, EXECUTION), config, prepared, predictor, chosen)
        seconds = time.perf_counter() - begun
    return seconds


def _time_fits(requests: Sequence[FitRequest], seeds: Sequence[int], scratch: Path, limit: Limit | None) -> FitTimes:

    if limit is None or reason_to_fit_alone(requests[0]):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            return time_alone(requests[0], Path(folder))
    return time_stack(requests, seeds, limit)


def _below(config: ExperimentConfig, scratch: Path) -> ExperimentConfig:
    """Return a job that would write to a folder of its own, and logs nothing."""

    paths = config.run.paths.model_copy(update={"runs": scratch})
    return config.replace(run=config.run.model_copy(update={"paths": paths}), logger=ComponentConfig(NoLogger, {}))
