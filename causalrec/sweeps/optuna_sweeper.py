"""A study: trials chosen by Optuna, each a normal job of the sweep."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, open_dict
from pydantic import Field

from causalrec.config.compose import compose_all
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import CausalRecError, DataError, RequestError, did_you_mean
from causalrec.limits import MAX_JOBS
from causalrec.plain_streams import print_note
from causalrec.records.names import column_of, parse_column

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from optuna.trial import Trial

    from causalrec.records.run_record import RunRecord
    from causalrec.sweeps.job import JobResult
    from causalrec.sweeps.search_space import SearchSpace
    from causalrec.sweeps.study_store import Direction, SharedStudy

Count = Annotated[int, Field(gt=0)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]
WAIT = 2.0  # seconds between looks at trials or jobs that another launcher holds


class OptunaSweeper(Sweeper):
    """Search the space that the overrides name; launching again goes on to `n_trials` in total.

    Args:
        n_trials: of the study, over all launches.
        batch: trials that are drawn at once and launched together.
        metric: None minimises the criterion on biased validation rows, by which every run chooses anyway; `NAME@SLICE`
            takes a score of the record instead, which tunes on the test, and says so.
        direction: of the search; None: as the metric says.
        sampler: a class of `optuna.samplers`.
        seed: of the sampler.
        storage: URL of a database of SQLAlchemy's; None: `study.db` in the sweep's folder. Launchers on several
            machines need one with a server.
        heartbeat: seconds between two signs of life of a trial; silent for six of them, it is queued again.
    """

    def __init__(
        self,
        *,
        n_trials: Count = 20,
        batch: Annotated[int, Field(gt=0, le=MAX_JOBS)] = 1,
        metric: str | None = None,
        direction: Literal["minimize", "maximize"] | None = None,
        sampler: Literal["TPESampler", "RandomSampler", "GPSampler"] = "TPESampler",
        seed: Annotated[int, Field(ge=0)] = 0,
        storage: str | None = None,
        heartbeat: Seconds = 10,
    ) -> None:
        self.n_trials, self.batch, self.heartbeat, self.storage = n_trials, batch, heartbeat, storage
        self.metric, self.direction = metric, direction
        self.sampler, self.seed = sampler, seed

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what every sweeper of Hydra is handed, and build the launcher of the trials' jobs."""
        from causalrec.sweeps.driver import launcher_of

        if find_spec("optuna") is None:
            raise RequestError("hydra/sweeper=optuna: Optuna is not installed; pip install 'causalrec[tune]'")
        self.config = config
        alone = without_sweeper_settings(config)
        self.launcher = launcher_of(hydra_context=hydra_context, task_function=task_function, config=alone)

    def sweep(self, arguments: list[str]) -> list[JobResult | Exception]:
        """Run trials until `n_trials` have a value or failed, and return the results of the jobs launched here.

        Raises RequestError, before any trial, where the space or the metric is wrong.
        """
        from causalrec.sweeps.search_space import read_space

        searched = read_space(arguments)
        first = self._compose([searched.overrides(corner) for corner in searched.corners()])[0]
        store = self._open_store(first, {"search": sorted(arguments), "metric": self.metric})
        store.check_settings(searched.searched)
        results: list[JobResult | Exception] = []
        waited_for = ""
        while True:
            if (left := store.count_left(self.n_trials)) > 0:
                results += self._run(store, searched, min(left, self.batch))
            elif elsewhere := store.trials_elsewhere():
                waited_for = _log_wait(elsewhere, waited_for)
                time.sleep(WAIT)
            else:
                break
        _log(store.summary())
        return results

    def _open_store(self, config: ExperimentConfig, search: Mapping[str, Any]) -> SharedStudy:
        from causalrec.sweeps.study_store import open_study

        direction = self.direction or _direction(self.metric, config)
        if self.metric is not None:
            _log(f"hydra.sweeper.metric={self.metric}: the test is being tuned on; its scores are no longer a test")
        return open_study(self.storage, config.run.paths.runs / config.run.sweep, direction, search, self.heartbeat)

    def _run(self, store: SharedStudy, searched: SearchSpace, number: int) -> list[JobResult | Exception]:
        """Draw trials, run their jobs, tell their values."""
        begun = [store.ask(self.sampler, self.seed, searched.searched, self.n_trials) for _ in range(number)]
        trials = [trial for trial in begun if trial is not None]
        jobs = [self._job(searched.overrides(trial.params), trial.user_attrs["place"]) for trial in trials]
        with store.keep_alive(trials):
            results = self._launch(jobs, trials)
            for trial, result in zip(trials, results, strict=True):
                store.tell(trial, self._value(result))
        return results

    def _job(self, overrides: list[str], position: int) -> list[str]:
        """Name a trial's job after its row and place: trials of one row must not look like its seeds."""
        try:
            return [*overrides, f"++name={self._compose([overrides])[0].run.name}-trial{position}"]
        except CausalRecError:  # the job says so by itself
            return overrides

    def _launch(self, jobs: list[list[str]], trials: Sequence[Trial]) -> list[JobResult | Exception]:
        """Launch jobs; where one still runs in a process that outlived its launcher, wait for it."""
        ended: dict[int, JobResult | Exception] = {}
        waited_for = ""
        while waiting := [k for k in range(len(jobs)) if k not in ended]:
            assert self.launcher is not None
            returned = self.launcher.launch([jobs[k] for k in waiting], trials[waiting[0]].number)
            results = dict(zip(waiting, map(_job_result, returned), strict=True))
            ended |= {k: result for k, result in results.items() if not _elsewhere(result)}
            if left := len(jobs) - len(ended):
                waited_for = _log_wait(f"{left} job(s) that run elsewhere", waited_for)
                time.sleep(WAIT)
        return [ended[k] for k in range(len(jobs))]

    def _value(self, result: JobResult | Exception) -> float | str:
        """Return a trial's value, or why it has none."""
        from causalrec.records.run_record import RECORD, RunRecord

        if isinstance(result, Exception) or result.status == "failed":
            return str(result) if isinstance(result, Exception) else result.reason
        try:
            return _score(RunRecord.load(result.folder / RECORD), self.metric)
        except (DataError, OSError) as error:
            return str(error)

    def _compose(self, jobs: Sequence[list[str]]) -> list[ExperimentConfig]:
        """Compose, validate and identify jobs."""
        from causalrec.running.prepare import plan_run

        assert self.config is not None
        texts = map(str, self.config.hydra.overrides.hydra)
        search_path = [text for text in texts if text.startswith("hydra.searchpath=")]  # where further YAML lies
        configs = compose_all([[*search_path, *job] for job in jobs])
        for config in configs:
            plan_run(config)
        return configs


def without_sweeper_settings(config: DictConfig) -> DictConfig:
    """Return a multirun's configuration as jobs are handed it: launchers keep theirs on disk, and storage may hold a
    password."""
    alone = copy.deepcopy(config)
    with open_dict(alone):
        texts = [str(text) for text in alone.hydra.overrides.hydra]
        alone.hydra.overrides.hydra = [text for text in texts if not text.lstrip("+").startswith("hydra.sweeper.")]
        alone.hydra.sweeper = {"_target_": alone.hydra.sweeper._target_}
    return alone


def _direction(metric: str | None, config: ExperimentConfig) -> Direction:
    if metric is None:
        return "minimize"
    name, slice_name = parse_column(metric)
    if name not in config.metric or not slice_name:
        raise RequestError(
            f"hydra.sweeper.metric={metric}: not METRIC@SLICE of this run; {did_you_mean(name, config.metric)}"
        )
    return "maximize" if config.metric[name].target.higher_is_better else "minimize"


def _score(record: RunRecord, metric: str | None) -> float:
    """Return the value a trial is judged by; raise DataError where it is not finite, RequestError where it has none."""
    if metric is None:
        values = [candidate.criterion for candidate in record.selection.candidates]
    else:
        scores = {column_of(score): score.value for score in record.scores}
        if metric not in scores:
            raise RequestError(f"hydra.sweeper.metric={metric}: not among the scores; {did_you_mean(metric, scores)}")
        values = [scores[metric]]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        raise DataError(f"{metric or 'criterion'}: no finite value in the record")
    return min(finite)


def _job_result(returned: JobReturn) -> JobResult | Exception:
    result: JobResult | Exception = returned._return_value  # the property raises what failed
    return result


def _elsewhere(result: JobResult | Exception) -> bool:
    return not isinstance(result, Exception) and result.status == "running elsewhere"


def _log_wait(elsewhere: str, waited_for: str) -> str:
    """Say what is waited for, once until it changes."""
    if elsewhere != waited_for:
        _log(f"waiting for {elsewhere}")
    return elsewhere


def _log(text: str) -> None:
    print_note(f"causalrec: {text}")
