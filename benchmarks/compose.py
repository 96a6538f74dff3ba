"""Seconds to compose, check and key the jobs of a launch, up to where its first fit would start.

1,000 seeds x 5 clips of IPS on Coat as `causalrec train -m` does it, in a process of its own: imports, composition by
Hydra, every component checked, the estimand identified, keys and fingerprints, and a look at the ledger. CPU beside
wall, for other work slows the latter. Nothing is written, no data are read but for their checksums.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from causalrec.config.compose import expand_sweep, normalise_overrides
from causalrec.limits import MAX_JOBS
from causalrec.reporting.paste_between_markers import paste
from causalrec.sweeps.driver import check_jobs
from causalrec.sweeps.launch import list_jobs, look
from causalrec.sweeps.submodels import with_submodels

CLIPS = (0.02, 0.05, 0.1, 0.2, 0.5)


def measure(jobs: int) -> dict[str, float]:
    """Return the seconds of this process so far and those of the launch: wall, and CPU."""
    begun, imported = time.perf_counter(), _cpu()
    clips = ",".join(map(str, CLIPS))
    overrides = ["dataset=coat", "objective=ips", f"seed=range({jobs // len(CLIPS)})", f"objective.clip={clips}"]
    wanted = expand_sweep(normalise_overrides(overrides), MAX_JOBS)
    every = list_jobs(*with_submodels(check_jobs(wanted, writes=False), wanted))
    assert len(look(every)) == jobs
    return {"wall": time.perf_counter() - begun, "cpu": _cpu() - imported}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, help="measure one size here and print JSON")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    if options.jobs:
        print(json.dumps(measure(options.jobs)))
        return
    lines = ["| jobs | wall, s | CPU, s | CPU a job, ms |", "|---|---|---|---|"]
    for jobs in (5, 500, 5000):
        command = [sys.executable, __file__, "--jobs", str(jobs)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds = json.loads(printed.splitlines()[-1])
        lines.append(f"| {jobs:,} | {seconds['wall']:.1f} | {seconds['cpu']:.1f} | {1e3 * seconds['cpu'] / jobs:.1f} |")
    text = "\n".join(
        [*lines, "", "IPS on Coat, seeds x 5 clips; the row of 5 is the start: imports and one composition."]
    )
    print(text)
    if options.paste:
        paste(options.paste, "compose", text)


if __name__ == "__main__":
    main()
