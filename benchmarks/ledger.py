"""What a sweep's ledger costs with 10,000 finished jobs: to tell where they stand, to skip them, to claim one more."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from causalrec.reporting.paste_between_markers import paste
from causalrec.sweeps.fingerprint import code_hash
from causalrec.sweeps.ledger import Ledger

FILLER = "x" * 20_000  # a record's usual size


def finished_ledger(folder: Path, jobs: int) -> Ledger:
    """Return the ledger of a sweep whose jobs are all finished and marked."""
    ledger = Ledger(folder)
    for k in range(jobs):
        job = f"row{k % 100}~seed{k // 100}-{k:012x}"
        ledger.fingerprints[job] = code_hash()[:8] + f"{k:016x}"
        record = ledger.job_folder(job) / "record.json"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"name": job, "status": "done", "filler": FILLER}))
        size, modified = record.stat().st_size, record.stat().st_mtime_ns
        (ledger.root / "done").mkdir(parents=True, exist_ok=True)
        (ledger.root / "done" / f"{job}~{ledger.fingerprints[job]}~{size}~{modified}").touch()
        (ledger.root / "started").mkdir(parents=True, exist_ok=True)
        (ledger.root / "started" / f"{job}~{ledger.fingerprints[job]}").touch()
    return ledger


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Return the median wall time, after one warm-up."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def claim_and_finish(ledger: Ledger) -> None:
    """Claim a new job, write its record, mark it."""
    job = f"new~seed0-{time.perf_counter_ns():012x}"
    ledger.fingerprints[job] = "0" * 24
    claim = ledger.claim(job)
    assert claim is not None
    record = ledger.job_folder(job) / "record.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"status": "done"}))
    claim.mark_done(record)


def main() -> None:
    """Print the figures; with --paste, put them into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, default=10_000)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ledger = finished_ledger(Path(folder) / "sweep", options.jobs)
        jobs = list(ledger.fingerprints)
        assert {state.status for state in ledger.states(jobs).values()} == {"done"}
        command = [str(Path(sys.executable).with_name("causalrec")), "sweep", "status", str(ledger.folder)]
        shell = seconds(lambda: subprocess.run(command, check=True, capture_output=True))
        states = seconds(lambda: ledger.states(jobs))
        claiming = seconds(lambda: claim_and_finish(ledger))
    count = f"{options.jobs:,}"
    text = "\n".join(
        [
            f"| with {count} finished jobs | median |",
            "|---|---|",
            f"| `causalrec sweep status`, from the shell | {shell:.2f} s |",
            f"| to decide which of them to skip, a job | {1e6 * states / options.jobs:.0f} µs |",
            f"| to claim one more job, and mark it as done | {1e3 * claiming:.1f} ms |",
        ]
    )
    print(text)
    if options.paste:
        paste(options.paste, "ledger", text)


if __name__ == "__main__":
    main()
