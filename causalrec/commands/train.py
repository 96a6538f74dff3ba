"""`causalrec train`: validate every job, then run those that are not finished, through Hydra's launchers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from causalrec.commands.shared import check_overrides, log, print_json
from causalrec.running.cache import PreparedCache


def _refute(folder: Path, config_dirs: Sequence[Path], cache: PreparedCache) -> None:
    """Refute a job that asked for it."""
    from causalrec.records.run_record import RECORD, RunRecord

    if RunRecord.load(folder / RECORD).setting("refute"):
        from causalrec.commands.refute import refute_run
        from causalrec.commands.reopened import reopened

        refute_run(reopened(folder, config_dirs)[0], cache=cache)


def train(options: argparse.Namespace) -> int:
    """`causalrec train [-m] [--rerun] key=value ...`: validate every job, then run those that are left."""
    from causalrec.config.compose import normalise_overrides
    from causalrec.records.run_record import RECORD, RunRecord
    from causalrec.sweeps import driver
    from causalrec.sweeps.job import JobRunner

    overrides = normalise_overrides(check_overrides(options.overrides), options.config_dir)
    launch = driver.run_all if options.multirun else driver.run_one
    runner = JobRunner()
    outcomes = launch(overrides, options.command, options.rerun, log, runner)
    records = [path for one in outcomes if one.job and (path := one.folder / RECORD).exists()]
    if options.json:
        print_json([RunRecord.load(path) for path in records])
    else:
        for path in records:
            print(path)
    for one in outcomes:
        if one.status == "done" and (one.folder / RECORD).exists():
            _refute(one.folder, options.config_dir, runner.cache)
    failures = [one for one in outcomes if one.status == "failed"]
    for one in failures:
        log(f"failed: {one.label}: {one.reason}")
    return failures[0].exit_code if len(outcomes) == len(failures) == 1 else int(bool(failures))
