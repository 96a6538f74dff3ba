"""`causalrec train`: validate every job, then run those that are not finished, through Hydra's launchers."""

from __future__ import annotations

import argparse
from pathlib import Path

from causalrec.commands.results import print_run, print_sweep, readable_records
from causalrec.commands.terminal import check_overrides, log, print_json
from causalrec.redaction import redact_settings
from causalrec.running.cache import PreparedCache

NAMED = 3  # jobs that failed alike


def _refute(folder: Path, cache: PreparedCache) -> None:
    """Refute a job that asked for it."""
    from causalrec.records.run_record import RECORD, RunRecord

    if RunRecord.load(folder / RECORD).setting("refute"):
        from causalrec.commands.refute import refute_run
        from causalrec.running.reopen import reopen_run

        refute_run(reopen_run(folder)[0], cache=cache)


def _print_configuration(overrides: list[str], options: argparse.Namespace) -> int:
    """Print what each job would be asked for, as YAML: composed, checked and resolved."""
    import yaml

    from causalrec.config.compose import compose_plain, expand_sweep

    search_path = [text for text in overrides if text.startswith("hydra.searchpath")]
    is_sweep, typed = options.multirun, [text for text in overrides if text not in search_path]
    jobs = expand_sweep(typed, options.max_jobs) if is_sweep else [overrides]
    composed = compose_plain([[*search_path, *job] if is_sweep else job for job in jobs])
    composed = redact_settings(composed)
    print_json(composed if is_sweep else composed[0]) if options.json else print(
        yaml.safe_dump_all(composed, sort_keys=False, allow_unicode=True, width=120), end=""
    )
    return 0


def train(options: argparse.Namespace) -> int:
    """`causalrec train [-m] [--rerun] key=value ...`: validate every job, then run those that are left."""
    from causalrec.config.compose import normalise_overrides
    from causalrec.records.run_record import RECORD
    from causalrec.sweeps import driver
    from causalrec.sweeps.job import JobRunner

    overrides = normalise_overrides(check_overrides(options.overrides), options.config_dir)
    if options.cfg:
        return _print_configuration(overrides, options)
    if options.dry_run:
        from causalrec.commands.dry_run import print_dry_run
        from causalrec.sweeps.dry_run import dry_run_all, dry_run_one

        multirun = options.multirun
        estimate = (
            dry_run_all(overrides, options.rerun, options.max_jobs)
            if multirun
            else dry_run_one(overrides, options.rerun)
        )
        return print_dry_run(estimate, as_json=options.json)
    runner = JobRunner()
    if options.multirun:
        results = driver.run_all(overrides, options.command, options.rerun, log, runner, options.max_jobs)
    else:
        results = driver.run_one(overrides, options.command, options.rerun, log, runner)
    records = [path for result in results if result.job and (path := result.folder / RECORD).exists()]
    if options.json:
        print_json(readable_records(records))
    elif options.multirun:
        for sweep in dict.fromkeys(path.parents[2] for path in records):
            print_sweep(sweep, [path for path in dict.fromkeys(records) if sweep in path.parents])
    else:
        for path in records:
            print_run(path)
    for result in results:
        if result.status == "done" and (result.folder / RECORD).exists():
            _refute(result.folder, runner.cache)
    failures = [result for result in results if result.status == "failed"]
    for reason in dict.fromkeys(result.reason for result in failures):  # one fault of many jobs is told once
        labels = [result.label for result in failures if result.reason == reason]
        more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
        log(f"failed: {', '.join(labels[:NAMED])}{more}: {reason}")
    return failures[0].exit_code if len(results) == len(failures) == 1 else int(bool(failures))
