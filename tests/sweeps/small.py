"""A small sweep on a small table, and the command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

ROWS = ("naive", "ips", "dr_jl")
SMALL = [
    "dataset=csv",
    "logger=none",
    "trainer.progress=false",
    "selection.candidates={optimizer.weight_decay:[0.1]}",
    "encoder.width=4",
]
SMALL += ["evaluation.replicates=20", "metric=[auc,mse]", "sampler.batch_size=64", "trainer.max_epochs=2"]

# The sources may be edited while tests run: what the launchers of one test make must count as of one code.
FROZEN = """
import sys
from causalrec.sweeps import fingerprint
fingerprint.code_hash = lambda: "0" * 64
"""
MAIN = """
from causalrec import cli
if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
"""
# Quick work that tells who did it.
FAKE = """
import os, time, uuid
from causalrec.running import run
from causalrec.records.run_record import RunRecord
def work(spec, check_ownership, cache):
    (spec.run.paths.runs / "worked").mkdir(exist_ok=True)
    (spec.run.paths.runs / "worked" / f"{spec.run.name}={spec.run.seed}={os.getpid()}={uuid.uuid4()}").touch()
    time.sleep(0.02)
    settings = {"seed": 0, "evaluation": {"level": 0.95}}
    return RunRecord(name=spec.run.name, status="done", config=settings).save(spec.folder)
run.train = work
"""


def table(folder: Path, users: int = 40, items: int = 25, rows: int = 400) -> Path:
    """Write `csv/interactions.csv` below `folder`."""
    rng = np.random.default_rng(0)
    codes = rng.choice(users * items, rows, replace=False)
    liked = np.clip(np.round(3 + rng.normal(size=items)[codes % items] + rng.normal(size=rows)), 1, 5).astype(int)
    lines = [f"u{c // items},i{c % items},{rating}" for c, rating in zip(codes, liked, strict=True)]
    (folder / "csv").mkdir(parents=True, exist_ok=True)
    (folder / "csv" / "interactions.csv").write_text("\n".join(["user,item,rating", *lines]) + "\n")
    return folder


def command(folder: Path, *arguments: str, before: str = "") -> list[str]:
    """Return the command line of `causalrec ARGUMENTS`, run by a script that `before` may change the world in."""
    script = folder / f"main_{abs(hash(before)) % 10**8}.py"
    script.write_text(textwrap.dedent(FROZEN + before + MAIN))
    return [sys.executable, str(script), *arguments]


def environment(folder: Path) -> dict[str, str]:
    variables = {**os.environ, "CAUSALREC_DATA": str(folder), "CAUSALREC_CACHE": str(folder / "cache")}
    return variables | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def start(folder: Path, *arguments: str, before: str = "") -> subprocess.Popen[str]:
    """Start `causalrec ARGUMENTS` in `folder`."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    line = command(folder, *arguments, before=before)
    return subprocess.Popen(line, cwd=folder, env=environment(folder), start_new_session=True, **pipes)


def contents(folder: Path) -> dict[tuple[str, int], Any]:
    """What a finished sweep holds, by row and seed: not the time a run took, nor where."""
    contents_by_job = {}
    for path in folder.rglob("record.json"):
        record = json.loads(path.read_text())
        sections = {key: record[key] for key in ("scores", "baselines", "selection", "parameters", "status", "audit")}
        assert (record["name"], record["config"]["seed"]) not in contents_by_job
        contents_by_job[record["name"], record["config"]["seed"]] = sections
    return contents_by_job
