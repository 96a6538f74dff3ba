"""A study's storage: which trials count, which are dead, and whose turn it is; a database that survives a kill."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from causalrec.data.removal import output_file
from causalrec.errors import CausalRecError, DataError, RequestError
from causalrec.plain_streams import print_note
from causalrec.sweeps.claim_holder import ClaimHolder
from causalrec.sweeps.stored_trials import (
    HOLDER,
    POSITION,
    REASON,
    check_settings,
    check_trials,
    find_unfit_setting,
    holder_of,
    is_counted,
    queue_again,
    unlikely_beats,
)
from causalrec.sweeps.study_damage import describe, guard_methods, report_damage

Direction = Literal["minimize", "maximize"]
DATABASE_FILES = ("study.db", "study.db-journal", "study.db-wal", "study.db-shm")  # the last three are SQLite's
LOCK_SECONDS = 60  # how long a process waits while another writes the file
MISSED_BEATS = 6  # beats without which a trial counts as dead


@guard_methods
@dataclass(frozen=True)
class SharedStudy:
    """The study of one sweep. Several launchers may share it; each holds its own SharedStudy.

    Every public method raises DataError in one line where the database is damaged.

    Attributes:
        storage: the database.
        study: Optuna's.
        heartbeat: seconds between two signs of life of a trial.
        adopted: numbers of trials cut before their first heartbeat.
    """

    storage: RDBStorage
    study: optuna.Study
    heartbeat: int
    adopted: set[int] = field(default_factory=set)

    def count_left(self, n_trials: int) -> int:
        """Return how many trials are still to be begun; the dead ones are queued again first."""
        self._requeue_dead()
        return n_trials - sum(map(is_counted, self._trials()))

    def trials_elsewhere(self) -> str:
        """Say how many trials run that another launcher holds, and by which processes; empty where none does."""
        running = self._running()
        holders = {f"{it.host[:40]} process {it.pid}" for trial in running if (it := holder_of(trial))}
        names = f" ({', '.join(sorted(holders)[:3])})" if holders else ""
        return f"{len(running)} trial(s) that run elsewhere{names}" if running else ""

    def check_settings(self, searched: Mapping[str, BaseDistribution]) -> None:
        """Raise DataError where a trial that has a value was not drawn from what is searched."""
        check_settings(self._trials(), searched)

    def ask(self, sampler: str, seed: int, searched: Mapping[str, BaseDistribution], n_trials: int) -> Trial | None:
        """Begin a trial; None where other launchers began the last ones at the same moment.

        What is drawn depends on `seed`, the trial's place and the trials told before it, so a study that was cut draws
        as one that was not.

        Args:
            sampler: class of `optuna.samplers`.
            seed: of the study.
            searched: the distribution of each key.
            n_trials: total of the study.
        """
        position = sum(map(is_counted, self._trials()))
        state = int(np.random.SeedSequence([seed, position]).generate_state(1)[0])
        self.study.sampler = getattr(optuna.samplers, sampler)(seed=state)
        self._drop_unfit(searched)
        with _silence_warnings():
            trial = self.study.ask(dict(searched))
        self._record_beat(trial.number)
        trial.set_user_attr(POSITION, trial.user_attrs.get(POSITION, position))
        trial.set_user_attr(HOLDER, asdict(ClaimHolder.here()))
        earlier = (other for other in self._trials() if other.number < trial.number)
        if sum(map(is_counted, earlier)) >= n_trials:
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            return None
        return trial

    def tell(self, trial: Trial, value: float | str) -> None:
        """End a trial with its value, or with the reason why it has none; not where another launcher took it over."""
        if self.storage.get_trial(trial._trial_id).state.is_finished():
            print_note(f"causalrec: trial {trial.number} was taken over by another launcher; its value counts there")
        elif isinstance(value, str):
            trial.set_user_attr(REASON, value)
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        else:
            self.study.tell(trial, value, skip_if_finished=True)

    def summary(self) -> str:
        """Say in one line how many trials have a value, how many failed, and the best one."""
        trials = [trial for trial in self._trials() if is_counted(trial)]
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        counts = f"{len(complete)} trial(s) complete, {len(trials) - len(complete)} failed"
        if not complete:
            return counts
        best = self.study.best_trial
        settings = " ".join(f"{key}={value}" for key, value in best.params.items())
        return f"{counts}; best {best.value:.6g} by trial{best.user_attrs[POSITION]}: {settings}"

    @contextmanager
    def keep_alive(self, trials: Sequence[Trial]) -> Iterator[None]:
        """Keep trials alive in the eyes of other launchers while their jobs run."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self.heartbeat):
                try:
                    with report_damage(self.storage):
                        for trial in trials:
                            self._record_beat(trial.number)
                except DataError as error:  # a launcher that cannot beat looks dead to others, and goes on
                    print_note(f"causalrec: {error}")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _requeue_dead(self) -> None:
        """Fail the trials whose launcher is gone and queue their settings again, under their position."""
        running = self._running()
        unlikely = unlikely_beats(self.storage, running, self.heartbeat * MISSED_BEATS) if running else set()
        for trial in running:
            holder = holder_of(trial)
            if trial.number in unlikely or (holder is not None and holder.has_ended):
                self._fail(trial)
            elif holder is None and trial.number not in self.adopted:
                self.adopted.add(trial.number)  # cut before it said whose it is: from now on silence is noticed
                self._record_beat(trial.number)
        with _silence_warnings():
            optuna.storages.fail_stale_trials(self.study)

    def _drop_unfit(self, searched: Mapping[str, BaseDistribution]) -> None:
        """Fail the queued trials whose settings lie outside what is searched: others are drawn in their stead."""
        for trial in self._trials():
            if trial.state is TrialState.WAITING and (problem := find_unfit_setting(trial, searched)):
                self._fail(trial, again=False)
                print_note(f"causalrec: trial {trial.number} was queued with {problem}, outside what is searched; left")

    def _fail(self, trial: FrozenTrial, again: bool = True) -> None:
        try:
            if self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL) and again:
                queue_again(self.study, trial)
        except optuna.exceptions.UpdateFinishedTrialError:  # another launcher was first
            return

    def _record_beat(self, number: int) -> None:
        self.storage.record_heartbeat(self._id(number))

    def _id(self, number: int) -> int:
        study = self.storage.get_study_id_from_name(self.study.study_name)
        return self.storage.get_trial_id_from_study_id_trial_number(study, number)

    def _trials(self) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False)
        check_trials(trials)
        return trials

    def _running(self) -> list[FrozenTrial]:
        return [trial for trial in self._trials() if trial.state is TrialState.RUNNING]


def open_study(
    url: str | None, folder: Path, direction: Direction, search: Mapping[str, Any], heartbeat: int
) -> SharedStudy:
    """Open the study of a sweep's folder, or begin it; without `url` its database is `study.db` there.

    Raises RequestError where the study was begun with another search (its trials could not be compared), DataError
    where the database cannot be read.

    Args:
        url: of the database; None: `study.db` in the sweep's folder.
        folder: of the sweep.
        direction: of the metric.
        search: what the trials must share to be compared.
        heartbeat: seconds between two signs of life of a trial.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in () if url else DATABASE_FILES:
        output_file(folder, name)
    address = url or f"sqlite:///{folder.resolve() / DATABASE_FILES[0]}"
    options = {"connect_args": {"timeout": LOCK_SECONDS}} if address.startswith("sqlite") else {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with _silence_warnings():
            storage = RDBStorage(
                address,
                engine_kwargs=options,
                heartbeat_interval=heartbeat,
                grace_period=heartbeat * MISSED_BEATS,
                heartbeat_stale_trial_callback=queue_again,
            )
        study = optuna.create_study(storage=storage, study_name=folder.name, direction=direction, load_if_exists=True)
        _require_sound(storage, study)
        _require_same(study, folder, json.loads(json.dumps({**search, "direction": direction})))
    except CausalRecError:
        raise
    except Exception as error:  # what is read may be anything, and so may what the libraries say of it
        where = url.split("@")[-1] if url else address  # an address may hold a password
        raise DataError(
            f"{where}: not a study's database ({describe(error)}); remove it or name another sweep"
        ) from error
    return SharedStudy(storage, study, heartbeat)


def _require_sound(storage: RDBStorage, study: optuna.Study) -> None:
    """Raise ValueError, or what the libraries raise, where the database is damaged or holds no trials of ours."""
    if storage.engine.dialect.name == "sqlite":
        with storage.engine.connect() as connection:
            problem = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        if problem != "ok":
            raise ValueError(problem)
    if not isinstance(study.user_attrs.get("asked", {}), dict):
        raise ValueError("what was asked is no mapping")
    if len(study.directions) != 1:
        raise ValueError(f"has {len(study.directions)} objectives")
    check_trials(study.get_trials(deepcopy=False))


def _require_same(study: optuna.Study, folder: Path, search: dict[str, Any]) -> None:
    begun = study.user_attrs.get("asked")
    if begun is None:
        study.set_user_attr("asked", search)
        return
    for name in search:
        if begun.get(name) != search[name]:
            raise RequestError(
                f"{folder}: this study was begun with {name}={_short(begun.get(name))}, not {_short(search[name])}; "
                "name another sweep=NAME"
            )
    if study.direction.name.lower() != search["direction"]:
        raise ValueError(f"its direction is {study.direction.name.lower()}")


def _short(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


@contextmanager
def _silence_warnings() -> Iterator[None]:
    """Optuna warns that its heartbeat is experimental, and that ask and tell do not heartbeat by themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        yield
