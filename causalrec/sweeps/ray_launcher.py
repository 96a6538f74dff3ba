"""Jobs as Ray tasks: on this machine, or on every node of a cluster."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, open_dict
from pydantic import Field

from causalrec.errors import DataError, RequestError
from causalrec.progress import progress
from causalrec.working_folder import import_nothing_from_here

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction

FORWARDED_VARIABLES = (
    "CAUSALREC_",
    "HF_HUB_OFFLINE",
    "WANDB_MODE",
)  # settings that hold on every node; secrets stay each node's own
PACKAGE_HOME = Path(__file__).parents[2]  # the folder that holds our package, from which it is imported anyway
STORE_BYTES = 100_000_000  # of a Ray started here: only configurations and results pass through it


@dataclass(frozen=True)
class Work:
    """One job as a node receives it: composed here, so that a node needs the package but none of the YAML files.

    Attributes:
        context: Hydra's, of the launch.
        function: the task function.
        config: the composed job.
        folder: the working directory, which all nodes must see.
        environment: variables that hold on every node.
    """

    context: HydraContext
    function: TaskFunction
    config: DictConfig
    folder: str
    environment: Mapping[str, str]

    def __call__(self) -> JobReturn:
        """Run the job in the launching process's working directory, which all nodes must see."""
        if not Path(self.folder).is_dir():
            raise DataError(f"{self.folder}: not on this node; launch from a folder that all nodes share")
        os.chdir(self.folder)
        os.environ.update(self.environment)
        setup_globals()
        folder = ("hydra.sweep.dir", "hydra.sweep.subdir")
        return run_job(self.function, self.config, *folder, hydra_context=self.context)


class RayLauncher(Launcher):
    """Launch each job of a sweep as one Ray task.

    Args:
        address: None starts Ray on this machine and ends it afterwards, `auto` joins the cluster this machine belongs
            to, `ray://HOST:10001` and `HOST:6379` a named one.
        num_cpus: CPUs that one job occupies, also its threads.
        num_gpus: GPUs that one job occupies.
        max_retries: how often a job whose process or node dies is sent to another one; one that raises is not.
        progress: show a bar of the jobs on stderr.

    A cluster's nodes need the same packages and one file system that holds the working directory.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        num_cpus: Annotated[float, Field(gt=0)] = 1,
        num_gpus: Annotated[float, Field(ge=0)] = 0,
        max_retries: Annotated[int, Field(ge=0)] = 3,
        progress: bool = True,
    ) -> None:
        self.address = address
        self.options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": max_retries}
        self.progress = progress

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what every launcher of Hydra is handed."""
        self.context, self.function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return their results in order; one that Ray gave up is a failed one.

        Raises RequestError where Ray is not installed, cannot be reached, or has no node large enough for a job.
        """
        with _connect(self.address) as ray:
            self._require_room(ray)
            # each task may land on any node: sweeps are bound by memory before they are by transfers
            remote = ray.remote(_perform).options(scheduling_strategy="SPREAD", **self.options)
            waiting = {
                remote.remote(self._work(overrides, initial_job_idx + position)): position
                for position, overrides in enumerate(job_overrides)
            }
            returned: dict[int, JobReturn] = {}
            for task in _wait_for_tasks(ray, list(waiting), self.progress):
                returned[waiting[task]] = _job_return(ray, task)
        return [returned[position] for position in range(len(job_overrides))]

    def _work(self, overrides: Sequence[str], index: int) -> Work:
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = f"ray-{index}", index
        sent = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED_VARIABLES)}
        return Work(self.context, self.function, config, str(Path.cwd()), sent)

    def _require_room(self, ray: Any) -> None:
        for name, requested in (("CPU", self.options["num_cpus"]), ("GPU", self.options["num_gpus"])):
            most = max((node["Resources"].get(name, 0) for node in ray.nodes() if node["Alive"]), default=0)
            if requested > most:
                key = f"hydra.launcher.num_{name.lower()}s"
                raise RequestError(
                    f"{key}={requested:g}: no node has more than {most:g} {name}; ask for less, or add a node"
                )


def _perform(work: Work) -> JobReturn:
    return work()


@contextmanager
def _connect(address: str | None) -> Iterator[Any]:
    """Join Ray, or start it here; leave it as it was found, with no process behind."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise RequestError("hydra/launcher=ray: Ray is not installed; pip install 'causalrec[ray]'") from error
    if ray.is_initialized():
        yield ray
        return
    with redirect_stdout(sys.stderr):  # Ray reports lost nodes, up to its end, on stdout, where our results go
        _join(ray, address)
        try:
            yield ray
        finally:
            ray.shutdown()


def _join(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone
    options: dict[str, Any] = (
        {"include_dashboard": False, "object_store_memory": STORE_BYTES} if address is None else {}
    )
    try:
        # Ray lets its processes import from where it is joined before all else: not from the working directory
        with import_nothing_from_here(), chdir(PACKAGE_HOME):
            ray.init(address=address or "local", logging_level=logging.ERROR, log_to_driver=False, **options)
    except (ConnectionError, ValueError, TimeoutError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise RequestError(
            f"hydra.launcher.address={address}: no Ray to join ({reason}); start one or use null"
        ) from error


def _wait_for_tasks(ray: Any, tasks: list[object], shown: bool) -> Iterator[object]:
    """Yield the tasks as they end, and show how many have."""
    with progress("ray", len(tasks), "jobs", shown=shown) as step:
        while tasks:
            (task,), tasks = ray.wait(tasks, num_returns=1)
            step.advance()
            yield task


def _job_return(ray: Any, task: object) -> JobReturn:
    """Return what a task returned; where Ray gave it up (retries used, no memory), a failure that says so."""
    try:
        returned = ray.get(task)
    except ray.exceptions.RayError as error:
        cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
        first = " ".join(str(cause).split())
        return JobReturn(status=JobStatus.FAILED, _return_value=DataError(f"Ray: {first}"))
    assert isinstance(returned, JobReturn)
    return returned
