"""Seconds from the shell to the answer of `causalrec --help`, and from the shell to the first training step."""

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
import causalrec.training.module as module
def stop(*_):
    os._exit(0)
module.CausalRecModule.training_step = stop
from causalrec.cli import main
sys.exit(main(["train", "encoder=mf", "logger=none", "paths.runs=" + sys.argv[1]]))
"""


def seconds(command: list[str], rounds: int) -> float:
    """Return the median wall time of a command, after one warm-up run."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
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
    stepped = seconds([sys.executable, "-c", FIRST_STEP, str(options.runs)], options.rounds)
    text = "\n".join(
        [
            "| from the shell to | seconds (median) |",
            "|---|---|",
            f"| the answer of `causalrec --help` | {answered:.2f} |",
            f"| the first step of `causalrec train`, caches warm | {stepped:.1f} |",
        ]
    )
    print(text)
    if options.paste:
        paste(options.paste, "startup", text)


if __name__ == "__main__":
    main()
