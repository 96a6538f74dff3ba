"""A sweep of seconds over a table of 300 ratings, run by the command, and what it left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

TINY = ["dataset=csv", "objective=naive", "propensity=popularity", "encoder.width=2", "trainer.max_epochs=2"]
TINY += [
    "trainer.progress=false",
    "logger=none",
    "selection.candidates={optimizer.weight_decay:[0.1]}",
    "evaluation.replicates=10",
]
SERVERS = ("raylet", "gcs_server")


def write_ratings(root: Path) -> Path:
    """Write `csv/interactions.csv` below `root` and return `root`."""
    rng = np.random.default_rng(0)
    quality, mood = rng.normal(size=20), rng.normal(size=30)
    codes = rng.choice(600, 300, replace=False)
    stars = np.clip(np.round(3.3 + 0.7 * quality[codes % 20] + 0.3 * mood[codes // 20] + rng.normal(size=300)), 1, 5)
    rows = "".join(f"{code // 20},{code % 20},{int(star)}\n" for code, star in zip(codes, stars, strict=True))
    (root / "csv").mkdir(parents=True)
    (root / "csv" / "interactions.csv").write_text(f"user,item,rating\n{rows}")
    return root


def environment(root: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "NODE_RANK")}
    settings = {"CAUSALREC_DATA": str(root / "data"), "CAUSALREC_CACHE": str(root / "cache"), "OMP_NUM_THREADS": "1"}
    return {**inherited, **settings, "HF_HUB_OFFLINE": "1"}


def begin(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """Begin `causalrec train -m` in `root`, in a process group of its own."""
    if not (root / "data").exists():
        write_ratings(root / "data")
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("causalrec")), "train", "-m", *TINY, *arguments],
        cwd=root,
        env=environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def launch(root: Path, *arguments: str, timeout: float = 240) -> tuple[int, str, str]:
    """Run `causalrec train -m` to its end; return its exit code, stdout and stderr."""
    process = begin(root, *arguments)
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and all it started, as a machine that loses power does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for(condition: Any, timeout: float = 120) -> Any:
    """Return what `condition()` returns once it is true."""
    until = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return value


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """The whole records of a sweep, by `ROW/seed0-KEY`."""
    paths = sorted(folder.glob("*/*/record.json"))
    return {str(path.parent.relative_to(folder)): json.loads(path.read_text()) for path in paths}


def finished_jobs(folder: Path) -> list[str]:
    """The jobs the ledger holds as done, once for each mark."""
    return sorted(path.name.rsplit("~", 3)[0].replace("~", "/") for path in (folder / ".ledger" / "done").iterdir())


def result(record: dict[str, Any]) -> Any:
    """What a job found, without what its run cost."""
    return record["status"], record["scores"], record["selection"]


def children_of(process: int) -> Iterator[tuple[int, str]]:
    """The processes below one, with their commands."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == process:
            number = int(path.parent.name)
            yield number, name
            yield from children_of(number)
