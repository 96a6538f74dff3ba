"""What a launch would make and take, before any of it: jobs and fits counted, seconds told from steps of each kind."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.config.compose import compose_plain, expand_sweep
from causalrec.config.hydra_keys import refuse_launchers
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import RequestError
from causalrec.limits import plural
from causalrec.progress import progress
from causalrec.running.cache import PreparedCache
from causalrec.sweeps.driver import check_jobs
from causalrec.sweeps.launch import list_jobs, look
from causalrec.sweeps.multirun import Multirun, plugin_node
from causalrec.sweeps.packed_launcher import PackedLauncher, group_key
from causalrec.sweeps.submodels import with_submodels

if TYPE_CHECKING:
    from causalrec.sweeps.job_kinds import Limit


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a launch would make, and what that is expected to take.

    Attributes:
        jobs: that would run.
        special_cases: those among them that are fitted beside the rows that contain them.
        done: jobs that are finished already.
        fits: of networks, that are made whatever comes of them.
        further_fits: the most that follow where a best candidate stands at an end of what was tried.
        untimed: jobs whose fits take no steps (a learner from a table), or several devices: their seconds are not in.
        seconds: expected, of the processes that were asked for.
        most_seconds: where every fit trains all its epochs and none stops early.
        memory_bytes: of one process, at its peak.
        kinds: of fits, that were timed.
        steps: that were timed of each kind, the least and the most; (0, 0) where none was.
        epochs: that a fit is expected to train, the least and the most of a kind.
        processes: that share the jobs.
        pairs: that a language model reads anew, prompts among them.
        tokens: of these.
    """

    jobs: int
    special_cases: int
    done: int
    fits: int
    further_fits: int
    untimed: int
    seconds: float
    most_seconds: float
    memory_bytes: int
    kinds: int
    steps: tuple[int, int]
    epochs: tuple[int, int]
    processes: int
    pairs: int = 0
    tokens: int = 0

    @classmethod
    def untimed_jobs(cls, jobs: int, done: int, processes: int) -> DryRun:
        """Return what is known of jobs without fits that take steps."""
        return cls(
            jobs=jobs,
            special_cases=0,
            done=done,
            fits=0,
            further_fits=0,
            untimed=jobs,
            seconds=0.0,
            most_seconds=0.0,
            memory_bytes=0,
            kinds=0,
            steps=(0, 0),
            epochs=(0, 0),
            processes=processes,
        )

    @property
    def basis(self) -> str:
        """From what its seconds and memory are told, a clause."""
        if not self.kinds:
            return "from a few pairs on this machine as it is now" if self.pairs else "nothing was timed"
        kinds = f"each of {plural(self.kinds, 'kind')} of fit" if self.kinds > 1 else "a fit"
        steps, epochs = map(_range, (self.steps, self.epochs))
        return f"from {steps} steps of {kinds} on this machine as it is now, at {epochs} epochs a fit"


def _range(ends: tuple[int, int]) -> str:
    least, most = ends
    return f"{least}" if least == most else f"{least} to {most}"


def dry_run(
    configs: Sequence[ExperimentConfig],
    overrides: Sequence[Sequence[str]],
    *,
    rerun: bool = False,
    limit: Limit | None = None,
    processes: int = 1,
    composing: float = 0.0,
    begun: float | None = None,
) -> DryRun:
    """Count what a launch of checked jobs would make and tell what that takes; nothing is written where records go.

    Args:
        configs: the checked jobs.
        overrides: what was asked for each.
        rerun: finished jobs run too.
        limit: bytes of a replica -> the most replicas of a stack, where fits are packed; None: each is made alone.
        processes: that share the jobs.
        composing: seconds that the launcher takes to compose a job again.
        begun: when the command was, by `time.perf_counter`; None: its processor time stands for what it took to here.
    """
    from causalrec.running.recording import peak_bytes
    from causalrec.sweeps.job_kinds import KindOfJob  # imports torch, which no misspelt name must wait for

    starting = time.process_time() if begun is None else time.perf_counter() - begun  # the launch has as much to do
    every, of_each = with_submodels(configs, overrides)
    jobs = list_jobs(every, of_each)
    states = look(jobs)
    left = [job.config for key, job in jobs.items() if rerun or states[key].status != "done"]
    kinds: dict[str, list[ExperimentConfig]] = {}
    for config in left:
        kinds.setdefault(group_key(config), []).append(config)
    estimates, cache = [KindOfJob(members) for members in kinds.values()], PreparedCache()
    with (
        tempfile.TemporaryDirectory() as scratch,
        progress("timing", len(estimates), "kinds of fit", shown=len(estimates) > 1) as step,
    ):
        for kind in estimates:
            kind.estimate(cache, Path(scratch), limit)
            step.advance()
    requested, timed = {str(config.folder) for config in configs}, [kind for kind in estimates if kind.times]
    before = starting + composing * len(left)
    return DryRun(
        jobs=len(left),
        special_cases=sum(str(config.folder) not in requested for config in left),
        done=len(jobs) - len(left),
        fits=sum(kind.fits for kind in estimates),
        further_fits=sum(kind.further for kind in estimates),
        untimed=sum(len(kind.configs) for kind in estimates if kind.times is None and not kind.pairs),
        seconds=(sum(kind.seconds for kind in estimates) + before) / processes,
        most_seconds=(sum(kind.most_seconds for kind in estimates) + before) / processes,
        memory_bytes=peak_bytes(),
        kinds=len(timed),
        steps=_ends([kind.times.timed for kind in timed if kind.times]),
        epochs=_ends([kind.epochs for kind in timed]),
        processes=processes,
        pairs=sum(kind.pairs for kind in estimates),
        tokens=sum(kind.tokens for kind in estimates),
    )


def _ends(numbers: Sequence[int]) -> tuple[int, int]:
    return (min(numbers), max(numbers)) if numbers else (0, 0)


def dry_run_one(overrides: list[str], rerun: bool) -> DryRun:
    """Tell what one job would make and take, `overrides` being normalised."""
    begun = time.perf_counter()
    refuse_launchers(overrides)
    return dry_run(check_jobs([overrides], writes=False), [overrides], rerun=rerun, begun=begun)


def dry_run_all(overrides: list[str], rerun: bool, max_jobs: int) -> DryRun:
    """Tell what a multirun would make and take; raise RequestError where a sweeper chooses its jobs as it goes.

    Args:
        overrides: of the multirun, normalised.
        rerun: finished jobs run too.
        max_jobs: how many may be asked for.
    """
    begun = time.perf_counter()
    multirun = Multirun.compose(overrides)
    if multirun.has_sweeper:
        raise RequestError(
            "--dry-run: the sweeper chooses its jobs as it goes, so that none is known before; leave out --dry-run or "
            "hydra/sweeper"
        )
    wanted = expand_sweep(multirun.task_overrides, max_jobs)
    configs = check_jobs(multirun.with_search_path(wanted), writes=False)
    launcher = plugin_node("launcher", multirun.config)
    if str(launcher.pop("_target_")) == f"{PackedLauncher.__module__}.{PackedLauncher.__qualname__}":
        return dry_run(configs, wanted, rerun=rerun, limit=packed_limit(**launcher), begun=begun)  # type: ignore[arg-type]
    before = time.perf_counter()
    compose_plain([multirun.with_search_path(wanted)[0]])
    processes = launcher.get("n_jobs", 1)
    count = processes if isinstance(processes, int) and processes > 0 else os.cpu_count() or 1
    composing = time.perf_counter() - before
    return dry_run(configs, wanted, rerun=rerun, processes=min(count, len(wanted)), composing=composing, begun=begun)


def packed_limit(*, max_replicas: int = 256, memory_share: float = 0.5, progress: bool = True) -> Limit:
    """Return how many replicas a stack of the packed launcher has, by the bytes of each; `progress` changes nothing."""
    from causalrec.training.stacked.stacked_fitter import StackedFitter

    return StackedFitter(max_replicas, memory_share, Path(), progress=progress).replicas_in_memory
