"""A launch of jobs: entered into their ledgers by one look, run until none is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from causalrec.config.schema import ExperimentConfig
from causalrec.data.disk_errors import disk_problem
from causalrec.errors import RequestError
from causalrec.progress import progress
from causalrec.sweeps.job import JobResult
from causalrec.sweeps.ledger import Ledger, State

POLL = (0.5, 5.0)  # seconds between two looks at jobs that run elsewhere: at first, and at most
Log = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One job of a launch.

    Attributes:
        name: in its sweep's ledger.
        ledger: of its sweep.
        config: as it was checked.
        overrides: what was asked for.
    """

    name: str
    ledger: Ledger
    config: ExperimentConfig
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class EnteredJobs:
    """The jobs of a launch by folder, each once, and where each stood when it was entered."""

    jobs: Mapping[str, Job]
    states: Mapping[str, State]

    @property
    def unfinished(self) -> list[str]:
        """The jobs that are not finished."""
        return [key for key, state in self.states.items() if state.status != "done"]


def enter_jobs(
    configs: Sequence[ExperimentConfig], overrides: Sequence[Sequence[str]], command: str, rerun: bool
) -> EnteredJobs:
    """Enter jobs into their ledgers; jobs that failed are queued again, and with `rerun` finished ones.

    Args:
        configs: the checked jobs.
        overrides: what was asked for each job.
        command: what the user typed.
        rerun: queue finished jobs again.
    """
    jobs = list_jobs(configs, overrides)
    for ledger in {id(job.ledger): job.ledger for job in jobs.values()}.values():
        names = [job.name for job in jobs.values() if job.ledger is ledger]
        with report_disk_errors(ledger):
            ledger.requeue(names)
            ledger.note_launch(command, names)
    states = look(jobs)
    for key, state in list(states.items()) if rerun else ():
        if not state.status.startswith("running"):
            with report_disk_errors(jobs[key].ledger):
                jobs[key].ledger.reset_job(jobs[key].name)
            states[key] = State("new")
    return EnteredJobs(jobs, states)


def list_jobs(configs: Sequence[ExperimentConfig], overrides: Sequence[Sequence[str]]) -> dict[str, Job]:
    """Return the jobs of a launch by folder, each once; nothing is written."""
    ledgers: dict[Path, Ledger] = {}
    jobs: dict[str, Job] = {}
    for config, job_overrides in zip(configs, overrides, strict=True):
        ledger = ledgers.setdefault(config.folder.parents[1], Ledger.for_config(config))
        jobs.setdefault(str(config.folder), Job(ledger.enter(config), ledger, config, tuple(job_overrides)))
    return jobs


@contextmanager
def report_disk_errors(ledger: Ledger) -> Iterator[None]:
    """Raise what the disk says as RequestError in one line."""
    try:
        yield
    except OSError as error:
        raise RequestError(f"{ledger.root}: cannot be written ({disk_problem(error, ledger.root) or error})") from error


def look(jobs: Mapping[str, Job]) -> dict[str, State]:
    """Return where jobs stand, from one look at each ledger; nothing is written."""
    by_ledger: dict[int, list[tuple[str, Job]]] = {}
    for key, job in jobs.items():
        by_ledger.setdefault(id(job.ledger), []).append((key, job))
    states: dict[str, State] = {}
    for members in by_ledger.values():
        by_name = members[0][1].ledger.states([job.name for _, job in members])
        states |= {key: by_name[job.name] for key, job in members}
    return {key: states[key] for key in jobs}


def run_until_done(
    entered: EnteredJobs, launch: Callable[[list[Job]], list[JobResult]], log: Log
) -> dict[str, JobResult]:
    """Launch what is left, wait for what runs elsewhere, take over what was abandoned there.

    A ledger is read once, when its jobs are entered, and again only while jobs run elsewhere.
    """
    jobs, states = entered.jobs, dict(entered.states)
    results: dict[str, JobResult] = {}
    pause, waited_for = POLL[0], 0
    for state in states.values():
        if state.note:
            log(state.note)
    while True:
        ended = {key: state for key, state in states.items() if state.status in ("done", "failed")}
        results |= {key: recorded_result(jobs[key], state) for key, state in ended.items()}
        free = [k for k, state in states.items() if k not in ended and not state.status.startswith("running")]
        with progress("", len(free), "jobs", shown=len(free) > 1):
            returned = dict(zip(free, launch([jobs[key] for key in free]), strict=True)) if free else {}
        news = {key: result for key, result in returned.items() if result.status != "running elsewhere"}
        results, pause = results | news, POLL[0] if news else pause
        elsewhere = {key: job for key, job in jobs.items() if key not in results}
        if not elsewhere:
            return {key: results[key] for key in jobs}
        if not news:
            if len(elsewhere) != waited_for:
                log(f"waiting for {len(elsewhere)} job(s) that run elsewhere{_holders(states)}")
            waited_for = len(elsewhere)
            time.sleep(pause)
            pause = min(2 * pause, POLL[1])
        states = look(elsewhere)


def _holders(states: Mapping[str, State]) -> str:
    holders = {state.claim.holder for state in states.values() if state.claim and state.claim.holder}
    return f" ({', '.join(sorted(f'{holder.host} process {holder.pid}' for holder in holders))})" if holders else ""


def recorded_result(job: Job, state: State) -> JobResult:
    """Return what became of a job that this launch did not run."""
    config, label = job.config, f"{job.config.run.name} seed {job.config.run.seed}"
    if state.status == "done":
        return JobResult(job.name, "skipped", state.reason, state.exit_code, label, config.folder)
    return JobResult(job.name, "failed", state.reason, state.exit_code, label, config.folder)
