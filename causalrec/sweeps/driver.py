"""A launch: which jobs are left, handed to the launcher that was asked for, until none is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from causalrec.config import TrainSpec, as_typed, compose, compose_all, jobs_of, package_folder, validate
from causalrec.errors import DataError, RequestError, nearest
from causalrec.leaf import allowed_packages, leaf
from causalrec.sweeps.job import Outcome, attempt, failed, is_helper, task
from causalrec.sweeps.ledger import Ledger, State

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

POLL = (0.5, 5.0)  # seconds between two looks at jobs that run elsewhere: at first, and at most
BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
Say = Callable[[str], None]


@runtime_checkable
class SpecLauncher(Protocol):
    """A launcher that takes jobs as they were checked, and need not compose them again."""

    def trained(self, specs: Sequence[TrainSpec], jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        """Run checked jobs, `jobs` being what was asked for each; return their outcomes in order."""


@dataclass(frozen=True)
class Job:
    """One job of a launch: its name in its sweep's ledger, and what was asked for."""

    name: str
    ledger: Ledger
    spec: TrainSpec
    overrides: tuple[str, ...]


def specs_of(jobs: Sequence[list[str]]) -> list[TrainSpec]:
    """Compose, validate and identify every job, before any starts."""
    from causalrec import prepare

    (alone, *others) = jobs
    specs = compose_all(jobs) if others else [validate(compose(alone), as_typed(alone))]
    for spec in specs:
        prepare.plan(spec)
    return specs


def run_one(overrides: list[str], command: str, again: bool, say: Say) -> list[Outcome]:
    """Run one job in this process, unless it is finished; a further rank of it only helps."""
    specs = specs_of([overrides])
    if is_helper(specs[0]):
        return [attempt(specs[0])]
    jobs = _entered(specs, [overrides], command, again)
    say(f"running {specs[0].spine.name}" if _left(jobs) else f"{specs[0].spine.name}: done already (--again runs it)")
    return list(_until_done(jobs, lambda left: [attempt(job.spec) for job in left], say).values())


def run_all(overrides: list[str], command: str, again: bool, say: Say) -> list[Outcome]:
    """Run every job of a multirun that is left, through the launcher asked for; return one outcome a job, in order.

    Where another sweeper than Hydra's own is asked for, it chooses the jobs.
    """
    context, config = _composed(overrides)
    context.callbacks.on_multirun_start(config=config, config_name="train")
    asked = [str(text) for text in config.hydra.overrides.task]
    if config.hydra.sweeper["_target_"] != BASIC:
        outcomes = _swept(asked, context, config, command)
    else:
        places = [text for text in map(str, config.hydra.overrides.hydra) if text.startswith("hydra.searchpath")]
        wanted = jobs_of(asked)
        specs = specs_of([[*places, *job] for job in wanted])
        jobs = _entered(specs, wanted, command, again)
        left, total = len(_left(jobs)), len(jobs)
        say(f"{left} job(s) to run" + (f", {total - left} of {total} done already" if left < total else ""))
        found = _until_done(jobs, _launch_of(context, config), say)
        outcomes = [found[str(spec.folder)] for spec in specs]
    context.callbacks.on_multirun_end(config=config, config_name="train")
    return outcomes


def run_specs(
    specs: Sequence[TrainSpec],
    overrides: Sequence[Sequence[str]],
    command: str,
    launch: Callable[[list[Job]], list[Outcome]],
    say: Say,
) -> list[Outcome]:
    """Run what is left of checked jobs by `launch`; return one outcome a job, in order."""
    found = _until_done(_entered(specs, overrides, command, again=False), launch, say)
    return [found[str(spec.folder)] for spec in specs]


def launcher_of(*, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Any:
    """Build the launcher asked for: ours by its YAML keys, another through Hydra's plugin manager."""
    return _plugin("launcher", hydra_context, task_function, config)


def _plugin(kind: str, context: HydraContext, function: TaskFunction, config: DictConfig) -> Any:
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(config.hydra[kind], resolve=True)
    assert isinstance(node, dict)
    handed: dict[str, Any] = {"hydra_context": context, "task_function": function, "config": config}
    if str(node["_target_"]).split(".")[0] not in allowed_packages():
        known = ConfigStore.instance().load(f"hydra/{kind}/{config.hydra.runtime.choices[f'hydra/{kind}']}.yaml").node
        for key in sorted(set(node) - set(known)):
            raise RequestError(f"hydra.{kind}.{key}: unknown key; {nearest(key, known)}")
        return getattr(Plugins.instance(), f"instantiate_{kind}")(**handed)
    built = leaf(f"hydra.{kind}", node).build()  # Hydra builds plugins of `hydra_plugins` only
    built.setup(**handed)
    return built


def _entered(
    specs: Sequence[TrainSpec], overrides: Sequence[Sequence[str]], command: str, again: bool
) -> dict[str, Job]:
    """Enter jobs into their ledgers, each once; jobs that failed are queued again, and with `again` finished ones."""
    ledgers: dict[Path, Ledger] = {}
    jobs: dict[str, Job] = {}
    for spec, asked in zip(specs, overrides, strict=True):
        ledger = ledgers.setdefault(spec.folder.parents[1], Ledger.of(spec))
        name = ledger.enter(spec)
        jobs.setdefault(str(spec.folder), Job(name, ledger, spec, tuple(asked)))
    for ledger in ledgers.values():
        mine = [job.name for job in jobs.values() if job.ledger is ledger]
        with _one_line(ledger):
            ledger.requeue(mine)
            for name, state in ledger.states(mine).items() if again else ():
                if not state.status.startswith("running"):
                    ledger.forget(name)
            ledger.note_launch(command, mine)
    return jobs


@contextmanager
def _one_line(ledger: Ledger) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RequestError(f"{ledger.root}: cannot be written ({error.strerror}); launch where it can") from error


def _states(jobs: Mapping[str, Job]) -> dict[str, State]:
    by_ledger: dict[int, list[tuple[str, Job]]] = {}
    for key, job in jobs.items():
        by_ledger.setdefault(id(job.ledger), []).append((key, job))
    found: dict[str, State] = {}
    for members in by_ledger.values():
        states = members[0][1].ledger.states([job.name for _, job in members])
        found |= {key: states[job.name] for key, job in members}
    return {key: found[key] for key in jobs}


def _left(jobs: Mapping[str, Job]) -> list[str]:
    return [key for key, state in _states(jobs).items() if state.status != "done"]


def _until_done(jobs: Mapping[str, Job], launch: Callable[[list[Job]], list[Outcome]], say: Say) -> dict[str, Outcome]:
    """Launch what is left, wait for what runs elsewhere, take over what was abandoned there."""
    found: dict[str, Outcome] = {}
    pause, told = POLL[0], 0
    for state in _states(jobs).values():
        if state.note:
            say(state.note)
    while waiting := {key: job for key, job in jobs.items() if key not in found}:
        states = _states(waiting)
        found |= {
            key: _seen(waiting[key], state) for key, state in states.items() if state.status in ("done", "failed")
        }
        free = [key for key, state in states.items() if key not in found and not state.status.startswith("running")]
        if free:
            outcomes = launch([jobs[key] for key in free])
            news = {key: one for key, one in zip(free, outcomes, strict=True) if one.status != "running elsewhere"}
            found, pause = found | news, (POLL[0] if news else pause)
            if news:
                continue
        if elsewhere := len(jobs) - len(found):
            if elsewhere != told:
                say(f"waiting for {elsewhere} job(s) that run elsewhere{_where(states)}")
            told = elsewhere
            time.sleep(pause)
            pause = min(2 * pause, POLL[1])
    return {key: found[key] for key in jobs}


def _where(states: Mapping[str, State]) -> str:
    holders = {state.claim.holder for state in states.values() if state.claim and state.claim.holder}
    return f" ({', '.join(sorted(f'{one.host} process {one.pid}' for one in holders))})" if holders else ""


def _seen(job: Job, state: State) -> Outcome:
    spec, label = job.spec, f"{job.spec.spine.name} seed {job.spec.spine.seed}"
    status: Any = "skipped" if state.status == "done" else "failed"
    return Outcome(job.name, status, state.reason, state.exit_code, label, spec.folder)


def _launch_of(context: HydraContext, config: DictConfig) -> Callable[[list[Job]], list[Outcome]]:
    """Return what launches jobs through the launcher asked for; where it breaks, the ledger knows what was finished."""
    launcher = launcher_of(hydra_context=context, task_function=task, config=config)
    begun = 0

    def launch(left: list[Job]) -> list[Outcome]:
        nonlocal begun
        if isinstance(launcher, SpecLauncher):
            return launcher.trained([job.spec for job in left], [job.overrides for job in left])
        first, begun = begun, begun + len(left)
        try:
            returned = launcher.launch([list(job.overrides) for job in left], initial_job_idx=first)
        except RequestError:
            raise
        except Exception as error:  # a launcher's worker died; the jobs it had finished are marked
            return [_without_launcher(job, error) for job in left]
        return [_returned(job, one) for job, one in zip(left, returned, strict=True)]

    return launch


def _returned(job: Job, returned: Any) -> Outcome:
    try:
        found = returned.return_value
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        return _without_launcher(job, error)
    return found if isinstance(found, Outcome) else _without_launcher(job, DataError(f"launcher returned {found!r}"))


def _without_launcher(job: Job, error: Exception) -> Outcome:
    state = job.ledger.state(job.name)
    return _seen(job, state) if state.status in ("done", "failed") else failed(job.spec, error, job.spec.folder)


def _swept(asked: list[str], context: HydraContext, config: DictConfig, command: str) -> list[Outcome]:
    """Hand over to a sweeper, which learns the jobs as it goes."""
    ledger = Ledger(Path(str(config.paths.runs)) / str(config.sweep))
    with _one_line(ledger):
        ledger.requeue(list(ledger.marks.all("failed")))
        ledger.note_launch(command, [])
    returned = _plugin("sweeper", context, task, config).sweep(asked) or []
    outcomes = [one for one in returned if isinstance(one, Outcome)]
    lost = [one for one in returned if isinstance(one, Exception)]
    return [*outcomes, *(Outcome("", "failed", " ".join(str(one).split()), 1, "launcher") for one in lost)]


def _composed(overrides: list[str]) -> tuple[HydraContext, DictConfig]:
    """Compose a multirun's own configuration, as Hydra's launchers and sweepers are handed it."""
    from hydra import initialize_config_dir
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from hydra.types import HydraContext, RunMode
    from omegaconf.errors import OmegaConfBaseException

    with initialize_config_dir(version_base="1.3", config_dir=str(package_folder("conf")), job_name="causalrec"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            config = hydra.compose_config("train", overrides, RunMode.MULTIRUN, with_log_configuration=False)
        except (HydraException, OmegaConfBaseException) as error:
            raise RequestError(" ".join(str(error).split())) from error
    return HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config)), config
