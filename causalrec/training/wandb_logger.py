"""The W&B logger: one run per job, offline without a key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from causalrec.errors import RequestError
from causalrec.training.loggers import AbstractLogger, Draw, Job, Record, Status, best_of
from causalrec.training.wandb_config import shareable

LEAN = {  # a tenth of the time of a run; versions and commit are in the record
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "disable_git": True,
    "disable_code": True,
}
COLUMNS = ("model", "slice", "metric", "value", "low", "high", "n", "kind")


@dataclass(frozen=True, kw_only=True)
class WandB(AbstractLogger):
    """One W&B run per job: group = sweep, job_type = row, tags = dataset, encoder, objective, id = hash of the config.

    `mode="auto"` is offline without a `WANDB_API_KEY`, unless `WANDB_MODE` says; offline runs lie in the job's folder,
    `causalrec wandb sync` tells how to send them. A job run again goes on in its run. `machine`: also log the machine's
    load, packages and commit; `images`: also plots of overlap, calibration and ranking.
    """

    project: str = "causalrec"
    entity: str | None = None
    mode: Literal["auto", "online", "offline"] = "auto"
    machine: bool = False
    images: bool = True

    def open(self, job: Job) -> Logger | None:
        place: dict[str, Any] = {"project": self.project, "name": f"{job.name}-{job.key}", "id": job.key}
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            return WandbLogger(save_dir=job.folder, **place)  # Lightning gives the other ranks a dummy
        job.folder.mkdir(parents=True, exist_ok=True)
        return WandbLogger(save_dir=job.folder, experiment=self._run(job, place), **place)

    def _run(self, job: Job, place: Mapping[str, Any]) -> Any:
        import wandb

        try:
            run = wandb.init(
                **place,
                entity=self.entity,
                dir=job.folder,
                mode=self._mode(),
                group=job.sweep,
                job_type=job.name,
                tags=list(dict.fromkeys(job.tags)),
                config={key: shareable(value) for key, value in job.config.items()},
                resume="allow",
                reinit="create_new",  # jobs of one process may be open at once
                settings={"silent": True, "console": "off", **({} if self.machine else LEAN)},
            )
        except wandb.errors.Error as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise RequestError(f"logger=wandb: {reason}; logger.mode=offline needs no account") from error
        run.define_metric("epoch", hidden=True)
        run.define_metric("*", step_metric="epoch")
        return run

    def _mode(self) -> Literal["online", "offline"] | None:
        if self.mode != "auto":
            return self.mode
        if os.environ.get("WANDB_MODE"):
            return None
        return "online" if os.environ.get("WANDB_API_KEY") else "offline"

    def close(self, opened: Logger | None, record: Record | None, status: Status, draw: Draw | None = None) -> None:
        if not isinstance(opened, WandbLogger) or rank_zero_only.rank:  # type: ignore[attr-defined]
            return
        run: Any = opened.experiment
        try:
            _show(run, record or {}, draw if self.images else None)
        finally:
            run.finish(exit_code=0 if status == "done" else 1)  # else the next job of a sweep writes into this run


def _show(run: Any, record: Record, draw: Draw | None) -> None:
    """Log what a record holds: scores, costs and overlap to the summary, the table and the images to the history."""
    run.summary.update({**best_of(record), **_facts(record)})
    if not record.get("scores"):
        return
    shown: dict[str, Any] = {"results": _table(record)}
    if draw is not None:
        shown |= {f"images/{name}": _image(png) for name, png in draw(record).items()}
    run.log(shown)


def _facts(record: Record) -> dict[str, Any]:
    """Return what else a run may be sorted by."""
    found: dict[str, Any] = {key: record.get(key) for key in ("status", "error", "seconds", "peak_bytes")}
    overlap, selection = record.get("overlap") or {}, record.get("selection") or {}
    found["notice"] = (record.get("data") or {}).get("notice")
    found |= {f"overlap/{key}": overlap.get(key) for key in ("clipped", "effective_rows", "inverse_sum", "ece")}
    found["selection/weight_decay"] = selection.get("chosen_weight_decay")
    return {key: shareable(value) for key, value in found.items() if value is not None}


def _table(record: Record) -> Any:
    import wandb

    rows = [(kind, one) for kind in ("scores", "baselines") for one in record.get(kind) or ()]
    data = [[*(one.get(name) for name in COLUMNS[:-1]), kind.rstrip("s")] for kind, one in rows]
    return wandb.Table(columns=list(COLUMNS), data=data)


def _image(png: bytes) -> Any:
    import wandb
    from PIL import Image

    return wandb.Image(Image.open(BytesIO(png)))
