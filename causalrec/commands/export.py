"""`causalrec export RUN --to onnx|pt2 --out DIR`: a finished run as a folder that scores pairs without this package."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.terminal import print_json
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.records.run_record import RunRecord


def export(options: argparse.Namespace) -> int:
    """`causalrec export RUN --to onnx|pt2 --out DIR [--ids plain|hashed|none]`: graph, ids, support, card, scorer."""
    from causalrec.export.packages import check_request
    from causalrec.running.reopen import read_record

    check_request(options.out, options.to, options.ids)
    _check_learner(options.run_folder, read_record(options.run_folder))  # no folder, no wait for torch
    from causalrec.export.folder import export_folder
    from causalrec.running.trained_run import TrainedRun

    run = TrainedRun.load(options.run_folder)
    exported = export_folder(run, options.out, options.to, options.ids)
    result = {"run": run.config.run.name, **asdict(exported), "folder": str(exported.folder)}
    if options.json:
        print_json(result)
        return 0
    print("\n".join(f"{name}: {value}" for name, value in result.items()))
    print(f"next: python {options.out / 'scorer.py'} USER ITEM")
    return 0


def _check_learner(folder: Path, record: RunRecord) -> None:
    """Raise RequestError where the run's learner has no network."""
    learner = record.choice("learner")
    if record.done and record.choice("encoder") is None:
        what = f"learner={learner}" if learner else f"task={record.choice('task')}"
        raise RequestError(f"{folder}: {what} has no network to export; name a run of learner=network")
