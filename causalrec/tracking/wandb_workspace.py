"""The W&B workspace that compares the rows of a sweep, as code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from causalrec.errors import RequestError
from causalrec.plain_text import shorten
from causalrec.records.names import (
    EPOCH,
    IMAGE_NAMES,
    IMAGES,
    MAX_NAME_LENGTH,
    PINNED_KEYS,
    RESULTS,
    ROW,
    TRAINING_LOSS,
    VALIDATION_CRITERION,
    column_of,
    summary_score,
)
from causalrec.records.run_record import RunRecord
from causalrec.tracking.wandb_settings import check_local_settings

CURVES = {  # of the chosen fit, whose names all jobs share
    "validation criterion": rf"^{VALIDATION_CRITERION}$",
    "training loss": rf"^{TRAINING_LOSS}$",
}
MAX_RUNS = 100  # of a panel: as many as the application draws


def workspace(records: Sequence[RunRecord], entity: str, project: str) -> Any:
    """Build the workspace of records: scores by row, learning curves, images, tables; runs by sweep and row.

    Raises RequestError where `wandb-workspaces` is not installed.
    """
    ws, wr = _import_wandb_workspaces()
    sweeps = sorted({record.sweep for record in records})
    groups = [shorten(sweep, MAX_NAME_LENGTH) for sweep in sweeps]  # as the logger names them
    sections = [
        ws.Section(name="Scores by row", panels=_scores(records, wr), is_open=True),
        ws.Section(name="Learning curves", panels=_curves(wr), is_open=True),
        ws.Section(name="Overlap, calibration, ranking", panels=_images(wr), is_open=True),
        ws.Section(name="Tables", panels=[wr.WeavePanelSummaryTable(table_name=RESULTS)], is_open=True),
    ]
    runs = ws.RunsetSettings(
        filters=ws.And(ws.Metric("Group").isin(groups)),  # the library takes a key `sweep` for W&B's own sweeps
        groupby=[ws.Metric("Group"), ws.Config(ROW)],
        pinned_columns=[f"config:{key}" for key in PINNED_KEYS],
    )
    settings = ws.WorkspaceSettings(x_axis=EPOCH, max_runs=MAX_RUNS)
    name = shorten(f"causalrec: {', '.join(sweeps)}", MAX_NAME_LENGTH)
    return ws.Workspace(
        entity=entity, project=project, name=name, sections=sections, settings=settings, runset_settings=runs
    )


def _import_wandb_workspaces() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ModuleNotFoundError as error:
        raise RequestError("wandb workspace: not installed; pip install 'causalrec[dash]'") from error
    return ws, wr


def _scores(records: Sequence[RunRecord], wr: Any) -> list[Any]:
    """One bar chart per metric and slice: the mean over the seeds of a row, with its standard error."""
    columns = dict.fromkeys(column_of(score) for record in records for score in record.scores)
    return [
        wr.BarPlot(
            title=name,
            metrics=[wr.SummaryMetric(summary_score(name))],
            groupby=wr.Config(ROW),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            max_bars_to_show=MAX_RUNS,
        )
        for name in columns
    ]


def _curves(wr: Any) -> list[Any]:
    return [
        wr.LinePlot(
            title=f"{title} by epoch",
            x=EPOCH,
            metric_regex=pattern,
            groupby=wr.Config(ROW),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            max_runs_to_show=MAX_RUNS,
        )
        for title, pattern in CURVES.items()
    ]


def _images(wr: Any) -> list[Any]:
    return [wr.MediaBrowser(title=name, media_keys=[f"{IMAGES}/{name}"], num_columns=3) for name in IMAGE_NAMES]


def serialise(workspace: Any) -> str:
    """Return a workspace as the JSON that the library sends to the server (its private `_to_model`: version pinned)."""
    view = workspace._to_model()
    spec = json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True))
    about = {"entity": view.entity, "project": view.project, "display_name": view.display_name}
    return json.dumps({**about, "spec": spec}, indent=1) + "\n"


def publish(workspace: Any) -> str:
    """Save a workspace as a new view on the server, by default the account's own, and return its address."""
    import wandb

    check_local_settings(workspace.entity)
    try:
        if not workspace.entity:
            workspace.entity = wandb.Api().default_entity or ""
        return str(workspace.save_as_new_view().url)
    except wandb.errors.Error as error:
        raise RequestError(f"wandb workspace: {' '.join(str(error).split())}; see --entity and --project") from error
