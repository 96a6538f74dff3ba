"""`causalrec reproduce`: run the missing jobs of a study, then show published beside obtained."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.terminal import check_overrides, check_processes, log, print_json
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.commands.study_jobs import AbstractStudyJobs
    from causalrec.reporting.study import Study


def reproduce(options: argparse.Namespace) -> int:
    """`causalrec reproduce STUDY`: run the jobs that have no record yet, then show published against obtained."""
    from causalrec.reporting.paste_between_markers import paste, read_page
    from causalrec.reporting.study import load_study
    from causalrec.reporting.study_files import compute_seconds, publish, save_study
    from causalrec.reporting.study_summary import summary

    check_processes(options.jobs)
    if options.packed and options.jobs > 1:
        raise RequestError(f"--jobs {options.jobs} --packed: processes or one stacked program; leave one of both out")
    study, started = load_study(options.study, options.max_jobs, smoke=options.smoke), time.monotonic()
    jobs = _jobs_of(study, check_overrides(options.overrides), options)
    if options.dry_run:
        from causalrec.commands.dry_run import print_dry_run

        return print_dry_run(jobs.dry_run(options), as_json=options.json)
    if options.paste:
        read_page(options.paste, jobs.folder.name)  # refused before hours of work
    failures = jobs.run(options)
    table = jobs.table(options.smoke)
    about = {"study": options.study, "kind": study.kind, "smoke": options.smoke}
    about |= {"command": options.command, "seconds": round(time.monotonic() - started, 2), "failures": failures}
    result = save_study(jobs.folder, table, **about, compute_seconds=compute_seconds(jobs.records))
    full, figure = None, None
    if options.tables:
        full, figure = publish(table, jobs.cost_tables, options.tables, jobs.folder.name, options.command)
    if options.paste:
        full_address, figure_address = (_address(path, options.paste) for path in (full, figure))
        paste(options.paste, jobs.folder.name, summary(table, options.command, full_address, figure_address))
    if options.json:
        print_json({**result, "tables": [run_table.as_json() for run_table in jobs.run_tables]})
    else:
        jobs.print_result(table)
        print(f"tables: {', '.join(str(jobs.folder / name) for name in ('table.md', 'table.tex', 'result.json'))}")
    for failure in failures:
        log(f"failed: {failure}")
    return 1 if failures else 0


def _address(path: Path | None, document: Path) -> str | None:
    """Return where a file lies as seen from a document."""
    return None if path is None else os.path.relpath(path, document.parent)


def _jobs_of(study: Study, extra: list[str], options: argparse.Namespace) -> AbstractStudyJobs:
    """Return the checked jobs of a study, row by row, before any starts."""
    from causalrec.commands.study_jobs import EstimationJobs, TrainingJobs
    from causalrec.config.compose import normalise_overrides
    from causalrec.config.hydra_keys import refuse_launchers

    overrides = [normalise_overrides([*job, *extra]) for job in study.jobs(options.smoke)]
    for job in overrides:
        refuse_launchers(job)
    if not study.declares_cells:
        return EstimationJobs(study, overrides)
    return TrainingJobs(study, overrides, writes=not options.dry_run)
