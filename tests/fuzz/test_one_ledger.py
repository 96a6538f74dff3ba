"""Eight processes on one ledger of five hundred jobs: each job is run once, by one of them."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest
from tally import Tally

from causalrec.records.run_record import RunRecord
from causalrec.sweeps.ledger import Ledger

PROCESSES, JOBS = 8, 500


def work_on(folder: str, seed: int) -> None:
    """Claim jobs in an order of its own until none is left; write down who ran which."""
    ledger = Ledger(Path(folder))
    jobs = [f"row{k % 10}~seed{k // 10}-{k:012x}" for k in range(JOBS)]
    for job in jobs:
        ledger.fingerprints[job] = "0" * 24
    draw = random.Random(seed)
    draw.shuffle(jobs)
    while left := [job for job, state in ledger.states(jobs).items() if state.status != "done"]:
        for job in left:
            if (claim := ledger.claim(job)) is None:
                continue
            with (Path(folder) / "worked.txt").open("a") as worked:
                worked.write(f"{job} {os.getpid()}\n")
            time.sleep(draw.uniform(0, 0.01))
            record = ledger.job_folder(job) / "record.json"
            settings = {"seed": 0, "evaluation": {"level": 0.95}}
            RunRecord(name=job.partition("~")[0], status="done", config=settings).save(record.parent)
            claim.mark_done(record)


@pytest.mark.long
def test_eight_processes_share_a_ledger_of_five_hundred_jobs(tmp_path: Path) -> None:
    tally = Tally(f"{PROCESSES} processes on one ledger of {JOBS} jobs")
    context = multiprocessing.get_context("forkserver")
    workers = [context.Process(target=work_on, args=(str(tmp_path), seed)) for seed in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    worked = [line.split()[0] for line in (tmp_path / "worked.txt").read_text().splitlines()]
    tally.tried = tally.silent = JOBS
    if any(worker.exitcode != 0 for worker in workers):
        tally.fail(f"exit codes {[worker.exitcode for worker in workers]}")
    for job in {job for job in worked if worked.count(job) > 1}:
        tally.lose(f"{job}: run {worked.count(job)} times")
    if len(set(worked)) < JOBS:
        tally.lose(f"{JOBS - len(set(worked))} jobs never ran")
    tally.finish(least=JOBS)
