"""The W&B logger: one run per job, offline without a key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Literal, TypedDict

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from causalrec.errors import RequestError
from causalrec.records.names import EPOCH, IMAGES, RESULTS, SCORE_COLUMNS, record_summary, redact, score_rows
from causalrec.records.run_record import RunRecord
from causalrec.tracking.loggers import AbstractLogger, JobStatus, LoggedJob, MakeImages

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

LEAN = {  # a tenth of the time of a run; versions and commit are in the record
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
    "disable_git": True,
    "disable_code": True,
}


class RunAddress(TypedDict):
    """Where a run goes on the server."""

    project: str
    name: str
    id: str


@dataclass(frozen=True, kw_only=True)
class WandB(AbstractLogger):
    """One W&B run per job: group = sweep, job_type = row, tags = dataset, encoder, objective, id = hash of the config.

    Attributes:
        project: of W&B.
        entity: user or team of W&B; None: the account's default.
        mode: `auto` is offline without a `WANDB_API_KEY`, unless `WANDB_MODE` says.
        machine: also log the machine's load, packages and commit.
        images: also log plots of overlap, calibration and ranking.

    Offline runs lie in the job's folder; `causalrec wandb sync` tells how to send them. A job run again goes on in its
    run.
    """

    project: str = "causalrec"
    entity: str | None = None
    mode: Literal["auto", "online", "offline"] = "auto"
    machine: bool = False
    images: bool = True

    def open(self, job: LoggedJob) -> Logger | None:
        address: RunAddress = {"project": self.project, "name": f"{job.name}-{job.key}", "id": job.key}
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            return WandbLogger(save_dir=job.folder, **address)  # Lightning gives the other ranks a dummy
        job.folder.mkdir(parents=True, exist_ok=True)
        return WandbLogger(save_dir=job.folder, experiment=self._run(job, address), **address)

    def _run(self, job: LoggedJob, address: RunAddress) -> Run:
        import wandb

        try:
            run = wandb.init(
                **address,
                entity=self.entity,
                dir=job.folder,
                mode=self._mode(),
                group=job.sweep,
                job_type=job.name,
                tags=list(dict.fromkeys(job.tags)),
                config={key: redact(value) for key, value in job.config.items()},
                resume="allow",
                reinit="create_new",  # jobs of one process may be open at once
                settings={"silent": True, "console": "off", **({} if self.machine else LEAN)},
            )
        except wandb.errors.Error as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise RequestError(f"logger=wandb: {reason}; logger.mode=offline needs no account") from error
        run.define_metric(EPOCH, hidden=True)
        run.define_metric("*", step_metric=EPOCH)
        return run

    def _mode(self) -> Literal["online", "offline"] | None:
        if self.mode != "auto":
            return self.mode
        if os.environ.get("WANDB_MODE"):
            return None
        return "online" if os.environ.get("WANDB_API_KEY") else "offline"

    def close(
        self,
        lightning_logger: Logger | None,
        record: RunRecord | None,
        status: JobStatus,
        draw: MakeImages | None = None,
    ) -> None:
        """Write the record's summary, table and images, and finish the run."""
        if not isinstance(lightning_logger, WandbLogger) or rank_zero_only.rank:  # type: ignore[attr-defined]
            return
        run: Run = lightning_logger.experiment
        try:
            _show(run, record, draw if self.images else None)
        finally:
            run.finish(exit_code=0 if status == "done" else 1)  # else the next job of a sweep writes into this run


def _show(run: Run, record: RunRecord | None, draw: MakeImages | None) -> None:
    """Log what a record holds: scores, costs and overlap to the summary, the table and the images to the history."""
    if record is None:
        return
    run.summary.update(record_summary(record))
    if not record.scores:
        return
    shown: dict[str, object] = {RESULTS: _table(record)}
    if draw is not None:
        shown |= {f"{IMAGES}/{name}": _image(png) for name, png in draw(record).items()}
    run.log(shown)


def _table(record: RunRecord) -> object:
    import wandb

    return wandb.Table(columns=list(SCORE_COLUMNS), data=score_rows(record))


def _image(png: bytes) -> object:
    import wandb
    from PIL import Image

    return wandb.Image(Image.open(BytesIO(png)))
