"""Jobs as Ray tasks: on this machine, on a cluster that loses a node, and what is refused before anything starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import begin, children_of, finished_jobs, launch, records, result, wait_for

from causalrec.config.component import validate_component
from causalrec.config.compose import normalise_overrides
from causalrec.errors import RequestError
from causalrec.sweeps import driver
from causalrec.sweeps.multirun import Multirun
from causalrec.sweeps.ray_launcher import RayLauncher

ray = pytest.importorskip("ray")
RAY = "hydra/launcher=ray"


def servers() -> set[int]:
    """Ray's servers on this machine."""
    numbers = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = path.read_text().strip()
        except OSError:
            continue
        if name in ("raylet", "gcs_server"):
            numbers.add(int(path.parent.name))
    return numbers


@pytest.mark.slow
@pytest.mark.long
def test_ray_runs_every_job_once_and_leaves_no_process(tmp_path: Path) -> None:
    before = servers()
    code, out, err = launch(tmp_path, "seed=0,1,2", "sweep=ray", RAY, "hydra.launcher.num_cpus=0.5")
    assert code == 0, err
    job_records = records(tmp_path / "runs/ray")
    assert (
        finished_jobs(tmp_path / "runs/ray") == sorted(job_records) and len(job_records) == len(out.splitlines()) == 3
    )
    code, _, err = launch(tmp_path, "seed=0,1,2", "sweep=alone")
    assert code == 0, err
    alone = records(tmp_path / "runs/alone")
    assert {job: result(record) for job, record in job_records.items()} == {job: result(alone[job]) for job in alone}
    assert wait_for(lambda: servers() <= before, timeout=20)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head that takes no job, and two nodes of one CPU."""
    from ray.cluster_utils import Cluster

    ray_cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [ray_cluster.add_node(num_cpus=1) for _ in range(2)]
    ray_cluster.wait_for_nodes()
    yield ray_cluster, nodes
    ray_cluster.shutdown()


def holder_on(node: Any, folder: Path) -> str:
    """The job that a worker of this node has claimed, "" where there is none."""
    (raylet,) = node.all_processes["raylet"]
    workers = {number for number, _ in children_of(raylet.process.pid)}
    for path in (folder / ".ledger" / "claims").glob("[!.]*"):
        try:
            if json.loads(path.read_text())["pid"] in workers:
                return path.name.rpartition("~")[0].replace("~", "/")
        except (OSError, ValueError):
            continue
    return ""


@pytest.mark.long
@pytest.mark.slow
def test_a_node_killed_in_the_middle_of_a_sweep_loses_no_job_and_doubles_none(tmp_path: Path, cluster: Any) -> None:
    ray_cluster, nodes = cluster
    folder = tmp_path / "runs/ray"
    address = f'hydra.launcher.address="{ray_cluster.address}"'
    process = begin(tmp_path, "seed=0,1,2,3", "trainer.max_epochs=30", "sweep=ray", RAY, address)
    cut = wait_for(lambda: process.poll() is not None or holder_on(nodes[0], folder))
    assert isinstance(cut, str), process.communicate()[1]
    ray_cluster.remove_node(nodes[0], allow_graceful=False)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    job_records = records(folder)
    assert finished_jobs(folder) == sorted(job_records) and len(job_records) == len(out.splitlines()) == 4
    assert cut in job_records, "the job that was cut ran again on the other node"
    assert {record["status"] for record in job_records.values()} == {"done"}
    assert not list((folder / ".ledger/claims").glob("[!.]*"))


@pytest.mark.long
@pytest.mark.slow
def test_a_job_whose_process_always_dies_fails_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # for Ray's processes, which read `deadly` by name
    launcher = ready(deadly, "hydra.launcher.max_retries=1", "hydra.launcher.progress=false")
    dead, alive = launcher.launch([["++seed=0"], ["++seed=1"]], initial_job_idx=0)
    assert alive.return_value == f"seed 1 in {tmp_path}"
    assert Path("tries").read_text() == "xx", "one try and one more"
    with pytest.raises(Exception, match="Ray: "):
        _ = dead.return_value
    assert not ray.is_initialized()


def deadly(composed: Any) -> str:
    """Dies with its process where the seed is 0."""
    if composed.seed == 0:
        import os

        with Path("tries").open("a") as tries:
            tries.write("x")
        os._exit(1)
    return f"seed {composed.seed} in {Path.cwd()}"


def ready(task: Callable[[Any], Any], *overrides: str) -> Any:
    """The launcher as the command builds it, with another task."""
    multirun = Multirun.compose(normalise_overrides([RAY, *overrides]))
    return driver.launcher_of(hydra_context=multirun.context, task_function=task, config=multirun.config)


def test_the_yaml_keys_are_the_constructors() -> None:
    launcher = ready(deadly, "hydra.launcher.num_gpus=0.5", "hydra.launcher.address=auto")
    assert isinstance(launcher, RayLauncher)
    assert launcher.address == "auto"
    assert launcher.options == {"num_cpus": 1, "num_gpus": 0.5, "max_retries": 3}
    with pytest.raises(RequestError, match=r"hydra\.launcher\.num_gpu: unknown key; did you mean 'num_gpus'"):
        ready(deadly, "hydra.launcher.num_gpu=1")
    with pytest.raises(RequestError, match=r"hydra\.launcher\.num_cpus=0: "):
        validate_component("hydra.launcher", {"_target_": "causalrec.sweeps.ray_launcher.RayLauncher", "num_cpus": 0})


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("hydra.launcher.address=auto", "hydra.launcher.address=auto: no Ray to join ("),
        ("hydra.launcher.num_gpus=1", "hydra.launcher.num_gpus=1: no node has more than 0 GPU; ask for less"),
    ],
)
def test_what_no_node_can_do_is_refused_in_one_line(override: str, said: str, tmp_path: Path) -> None:
    code, out, err = launch(tmp_path, "seed=0,1", RAY, override)
    assert (code, out) == (2, ""), err
    assert said in err and "Traceback" not in err and err.count("causalrec: ") == 2
    assert not records(tmp_path / "runs/default")
