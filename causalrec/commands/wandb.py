"""`causalrec wandb`: send offline W&B runs, and build the dashboard that compares the rows of a sweep."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.terminal import log, print_json
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.records.run_record import RunRecord


def wandb(options: argparse.Namespace) -> int:
    """`causalrec wandb sync|workspace DIR [--json] [--entity NAME] [--project NAME]`."""
    folder: Path = options.folder
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder; name one below which `causalrec train` wrote")
    return _sync(folder, options.json) if options.what == "sync" else _workspace(folder, options)


def _sync(folder: Path, as_json: bool) -> int:
    """Print the commands that send the offline runs below a folder; runs still being written are left out."""
    from causalrec.tracking.wandb_settings import check_local_settings
    from causalrec.tracking.wandb_sync import offline_runs, sync_commands

    check_local_settings()  # what is pasted here would obey them

    runs_below = offline_runs(folder)
    ready = [run for run in runs_below if run.finished]
    held, commands = [run for run in runs_below if not run.finished], sync_commands(ready)
    if held:
        log(f"{len(held)} file(s) left out, for their job is not over, or was cut: {held[0].folder}, ...")
    if as_json:
        runs = [{"id": run.id, "started": run.started, "folder": str(run.folder)} for run in ready]
        print_json({"runs": runs, "commands": commands, "left_out": [str(run.folder) for run in held]})
    elif commands:
        print("\n".join(commands))
    elif not held:
        log(f"{folder}: no offline W&B run to send; train with logger=wandb, or all are sent")
    return 0


def _workspace(folder: Path, options: argparse.Namespace) -> int:
    """Save the workspace on the server where there is a key, else write it to `wandb_workspace.json` in the folder."""
    from causalrec.data.files import write_text
    from causalrec.records.run_folder import finished_runs, load_whole_folders, no_finished_run, runs_of
    from causalrec.tracking.wandb_workspace import publish, serialise, workspace

    folders, broken = load_whole_folders(folder, [])
    for unread in broken:
        log(f"not in the workspace: {folder / unread.path}: {unread.reason}")
    records = [run.record for run in finished_runs(runs_of(folders))]
    if not records:
        raise no_finished_run(folder, folders, broken)
    project = vars(options).get("project") or os.environ.get("WANDB_PROJECT") or _project_of(records)
    entity = vars(options).get("entity") or os.environ.get("WANDB_ENTITY") or ""
    saved_workspace = workspace(records, entity, project)
    if os.environ.get("WANDB_API_KEY"):
        where = publish(saved_workspace)
    else:
        where = str(folder / "wandb_workspace.json")
        write_text(Path(where), serialise(saved_workspace))
        log("no WANDB_API_KEY: written, not published; set it, send the runs by `causalrec wandb sync`, run this again")
    sections = [{"name": section.name, "panels": len(section.panels)} for section in saved_workspace.sections]
    if options.json:
        print_json({"workspace": where, "project": project, "entity": entity, "sections": sections})
    else:
        print(where)
    return 0


def _project_of(records: list[RunRecord]) -> str:
    """Return the project the jobs were logged to."""
    named = (record.setting("logger.project") for record in records)
    return next((project for project in named if isinstance(project, str)), "causalrec")
