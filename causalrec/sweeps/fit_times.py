"""What one kind of fit takes, from a few steps of one of them, or of one stack, in a folder of their own."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from causalrec.training.callback import AbstractCallback
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_result import FitResult
from causalrec.training.stacked.stack_key import replica_bytes, stack_key
from causalrec.training.stacked.stacked_trainer import StackedTrainer

FEW_STEPS, MANY_STEPS = 2, 20  # that are timed of slow fits, and of quick ones
SLOW_SECONDS = 0.1  # of a step, above which few are timed
ENDLESS = 1 << 30  # epochs: no replica leaves a stack that is timed


@dataclass(frozen=True, kw_only=True)
class FitTimes:
    """The seconds of one kind of fit; of a stack, those of all that train side by side.

    Attributes:
        begin: until the first step.
        epoch: of an epoch beside its steps: what is judged and saved.
        step: of one step.
        steps: of an epoch.
        timed: how many steps were timed.
        replicas: fits that a step trains.
        result: what the timed fit came to.
    """

    begin: float
    epoch: float
    step: float
    steps: int
    timed: int
    replicas: int
    result: FitResult

    def seconds(self, fits: float, epochs: float) -> float:
        """Return what so many fits take, each of so many epochs."""
        return fits / self.replicas * (self.begin + epochs * (self.epoch + self.steps * self.step))


class Stopwatch(AbstractCallback):
    """Notes when epochs began and ended, and when each of their steps did, in seconds."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.stepped: list[list[float]] = []

    def __deepcopy__(self, memo: object) -> Stopwatch:
        return self  # what a fit notes in it is read afterwards

    def __repr__(self) -> str:
        return type(self).__name__

    def on_train_epoch_start(self, *_: object) -> None:
        self.begun.append(time.perf_counter())
        self.stepped.append([])

    def on_train_batch_end(self, *_: object) -> None:
        self.stepped[-1].append(time.perf_counter())

    def on_train_epoch_end(self, *_: object) -> None:
        self.ended.append(time.perf_counter())


def epoch_steps(request: FitRequest) -> int:
    """Return how many steps an epoch of a fit has."""
    steps = request.sampler.batches(request.train, request.objective.space)
    return min(steps, request.trainer.limit_batches or steps)


def time_alone(request: FitRequest, folder: Path) -> FitTimes:
    """Time some steps of two epochs of a fit by Lightning, after one step that loads what is loaded once.

    `folder`: where its checkpoints go.
    """
    steps = epoch_steps(request)
    _, first, _ = _fit_short(request, folder / "first", 1, 1)
    count = min(steps, FEW_STEPS if _step_seconds(first) > SLOW_SECONDS else MANY_STEPS)
    result, watch, seconds = _fit_short(request, folder / "timed", 2, count)
    step = _step_seconds(watch)
    epochs = [end - begin for begin, end in zip(watch.begun, watch.ended, strict=True)]
    times = {"begin": seconds - sum(epochs), "epoch": max(0.0, min(epochs) - count * step), "step": step}
    return FitTimes(**times, steps=steps, timed=2 * count, replicas=1, result=result)


def _fit_short(request: FitRequest, folder: Path, epochs: int, batches: int) -> tuple[FitResult, Stopwatch, float]:
    watch = Stopwatch()
    settings = {"max_epochs": epochs, "patience": epochs, "limit_batches": batches, "progress": False}
    trainer = replace(request.trainer, **settings, callbacks=(*request.trainer.callbacks, watch))  # type: ignore[arg-type]
    begun = time.perf_counter()
    result = replace(request, trainer=trainer, folder=folder).fit()
    return result, watch, time.perf_counter() - begun


def _step_seconds(watch: Stopwatch) -> float:
    """Return the median time between the ends of two steps; of one step alone, from the epoch's begin."""
    between = [after - before for epoch in watch.stepped for before, after in itertools.pairwise(epoch)]
    first = [epoch[0] - begin for begin, epoch in zip(watch.begun, watch.stepped, strict=True)]
    return statistics.median(between or first)


def time_stack(first_round: Sequence[FitRequest], seeds: Sequence[int], max_replicas: Callable[[int], int]) -> FitTimes:
    """Time some steps of the largest stack that the jobs of one kind make.

    Args:
        first_round: the fits of one of the jobs.
        seeds: of the jobs.
        max_replicas: bytes of a replica -> the most replicas of a stack.
    """
    groups: dict[Hashable, list[FitRequest]] = {}
    for request in first_round:
        groups.setdefault(stack_key(request), []).append(request)
    alike = max(groups.values(), key=len)
    size = max(1, min(len(alike) * len(seeds), max_replicas(replica_bytes(alike[0]))))
    members = [replace(request, seed=seed) for seed in seeds for request in alike][:size]
    begun = time.perf_counter()
    stack = StackedTrainer(_with_few_batches(members, 1))
    begin = time.perf_counter() - begun
    first, few = _epoch_seconds(stack), _epoch_seconds(stack)
    steps = epoch_steps(members[0])
    count = min(steps, 1 + (FEW_STEPS if first > SLOW_SECONDS else MANY_STEPS))
    stack.batches = stack.batches.subset([_with_few_batches(members, count)[k] for k in stack.running])
    step = max(_epoch_seconds(stack) - few, 0.0) / (count - 1) if count > 1 else few
    times = {"begin": begin, "epoch": max(few - step, 0.0), "step": step}
    result = next(fit for fit in stack.fits() if isinstance(fit, FitResult))
    return FitTimes(**times, steps=steps, timed=count + 2, replicas=size, result=result)


def _with_few_batches(requests: Sequence[FitRequest], batches: int) -> list[FitRequest]:
    """Return fits whose epochs have few batches, none of which stops early."""
    trainer = replace(requests[0].trainer, limit_batches=batches, max_epochs=ENDLESS, patience=ENDLESS, progress=False)
    return [replace(request, trainer=trainer, epochs=None) for request in requests]


def _epoch_seconds(stack: StackedTrainer) -> float:
    begun = time.perf_counter()
    stack.epoch()
    return time.perf_counter() - begun
