"""Seconds from the shell to the answer of `causalrec --help`, to that of a wrong request, and to the first step."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from causalrec.reporting.paste_between_markers import paste

FIRST_STEP = """
import os, sys
from causalrec.deferred_imports import defer_imports
defer_imports()
import causalrec.training.module as module
def stop(*_):
    os._exit(0)
module.CausalRecModule.training_step = stop
from causalrec.cli import main
sys.exit(main(["train", "encoder=mf", "logger=none", "paths.runs=" + sys.argv[1]]))
"""


WRONG = {  # what is wrong: a request
    "verb": ["trian"],
    "option": ["train", "--rerum"],
    "component": ["train", "encoder=brt"],
    "key": ["train", "trainer.max_epoch=2"],
    "key of a sweep": ["train", "-m", "encoder=mf,bert", "encoder.widht=2,4"],
    "value": ["train", "optimizer.lr=-1"],
    "class": ["train", "encoder._target_=causalrec.encoders.mf.MFF"],
    "question (effects where every row is exposed)": ["train", "task=effect", "dataset=coat"],
    "objective (of another task)": ["train", "task=effect", "objective=dr_jl"],
    "folder of data": ["train", "dataset=csv", "dataset.folder=./nowhere"],
    "folder of records": ["table", "nowhere"],
    "study": ["reproduce", "nowhere/study"],
}


def seconds(command: list[str], rounds: int, code: int = 0) -> float:
    """Return the median wall time of a command that must end with exit code `code`, after one warm-up run."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        times.append(time.perf_counter() - started)
        if done.returncode != code:
            raise SystemExit(f"{command}: exit code {done.returncode}, expected {code}: {done.stderr}")
    return statistics.median(times[1:])


def main() -> None:
    """Print the two figures; with --paste, put them into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--runs", type=Path, default=Path("runs/startup"))
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    program = str(Path(sys.executable).with_name("causalrec"))
    answered = seconds([program, "--help"], options.rounds)
    slips = {name: seconds([program, *request], options.rounds, code=2) for name, request in WRONG.items()}
    stepped = seconds([sys.executable, "-c", FIRST_STEP, str(options.runs)], options.rounds)
    text = "\n".join(
        [
            "| from the shell to | seconds (median) |",
            "|---|---|",
            f"| the answer of `causalrec --help` | {answered:.2f} |",
            *(f"| the answer to a wrong {name} | {taken:.2f} |" for name, taken in slips.items()),
            f"| the first step of `causalrec train`, caches warm | {stepped:.1f} |",
        ]
    )
    print(text)
    if options.paste:
        paste(options.paste, "startup", text)


if __name__ == "__main__":
    main()
