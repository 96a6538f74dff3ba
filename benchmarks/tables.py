"""Seconds of `causalrec table` and `causalrec report` of 1,000 records, the first time and the second."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from causalrec.records.run_folder import RunFolder, record_paths
from causalrec.records.sidecars import write_sidecars
from causalrec.reporting.paste_between_markers import paste

ROWS, SEEDS = 20, 50
TRAIN = ["encoder=mf", "objective=naive", "seed=0,1", "selection.candidates=none", "selection.folds=1", "sweep=source"]
SHORT = ["trainer.max_epochs=2", "evaluation.submodels=false", "logger=none"]


def causalrec(*arguments: str, cache: Path) -> float:
    """Run the command; return its wall time in seconds."""
    started = time.perf_counter()
    program = str(Path(sys.executable).with_name("causalrec"))
    environment = {**os.environ, "CAUSALREC_CACHE": str(cache)}
    subprocess.run([program, *arguments], check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def multiply(runs: list[RunFolder], out: Path) -> None:
    """Write the records of many rows and seeds: those of two trained runs, with their scores moved a little."""
    rng = np.random.default_rng(0)
    for row in range(ROWS):
        for seed in range(SEEDS):
            run, name = runs[seed % len(runs)], f"row{row:02d}"
            key = hashlib.sha256(f"{row} {seed}".encode()).hexdigest()[:12]
            values = json.loads((run.folder / "record.json").read_text())
            values |= {"name": name, "key": key, "config": values["config"] | {"seed": seed, "name": name}}
            for score in values["scores"]:
                moved = rng.normal(scale=0.003)
                score |= {end: score[end] + moved for end in ("value", "low", "high") if score[end] is not None}
                score["model"] = name
            folder = out / name / f"seed{seed}-{key}"
            folder.mkdir(parents=True)
            (folder / "record.json").write_text(json.dumps(values, indent=1))
            write_sidecars(
                folder, replicates=_rename(run, run.replicates, name), jackknife=_rename(run, run.jackknife, name)
            )


def _rename(run: RunFolder, arrays: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    mine = f"{run.record.name}|"
    return {name + key[len(mine) - 1 :] if key.startswith(mine) else key: values for key, values in arrays.items()}


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        derived = Path(os.environ.get("CAUSALREC_CACHE") or Path.home() / ".cache" / "causalrec" / "derived")
        causalrec("train", "-m", *TRAIN, *SHORT, f"paths.runs={work / 'source'}", cache=derived)
        multiply([RunFolder.load(path) for path in record_paths(work / "source")], work / "many")
        size = sum(path.stat().st_size for path in (work / "many").rglob("*") if path.is_file()) >> 20
        taken = {
            verb: [causalrec(verb, str(work / "many"), cache=work / "cache") for _ in range(2)]
            for verb in ("table", "report")
        }
    text = "\n".join(
        [
            f"| {ROWS * SEEDS:,} records ({size} MB) | first time, s | second time, s |",
            "|---|---|---|",
            *(f"| `causalrec {verb}` | {first:.1f} | {second:.1f} |" for verb, (first, second) in taken.items()),
        ]
    )
    print(text)
    if options.paste:
        paste(options.paste, "tables", text)


if __name__ == "__main__":
    main()
