"""The W&B logger: one run per job, offline without a key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from causalrec.errors import RequestError
from causalrec.plain_text import one_line, shorten
from causalrec.records.names import (
    EPOCH,
    IMAGES,
    LOSES_TO,
    MAX_NAME_LENGTH,
    RESULTS,
    SCORE_COLUMNS,
    record_summary,
    score_rows,
)
from causalrec.records.run_record import RunRecord
from causalrec.redaction import redact, redact_arguments, redact_text
from causalrec.tracking.loggers import AbstractLogger, JobStatus, LoggedJob, MakeImages, log_chosen_curve
from causalrec.tracking.wandb_settings import check_local_settings
from causalrec.tracking.wandb_sync import mark_finished

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

LEAN = {  # a tenth of the time of a run; versions and commit are in the record
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}
NO_CODE = {"disable_git": True, "disable_code": True}  # git would obey the repository of the working directory
MAX_TAG_LENGTH = 64  # characters that W&B takes of a tag, and of the kind of a job
EXIT_CODES: Mapping[JobStatus, int] = {"done": 0, "failed": 1, "interrupted": 255}  # the last is W&B's own for Ctrl-C


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
        machine: also log the machine's load and packages; the commit is in the record.
        images: also log plots of overlap, calibration and ranking.

    Offline runs lie in the job's folder; `causalrec wandb sync` tells how to send them. A job run again goes on in its
    run.
    """

    project: str = "causalrec"
    entity: str | None = None
    mode: Literal["auto", "online", "offline"] = "auto"
    machine: bool = False
    images: bool = True

    marks_losses: ClassVar[bool] = True

    def open(self, job: LoggedJob) -> Logger | None:
        address = self._address(job)
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            return WandbLogger(save_dir=job.folder, **address)  # Lightning gives the other ranks a dummy
        job.output_folder("wandb").parent.mkdir(parents=True, exist_ok=True)
        return WandbLogger(save_dir=job.folder, experiment=self._run(job, address), **address)

    def _address(self, job: LoggedJob) -> RunAddress:
        name = f"{one_line(job.name)}-seed{job.seed}-{job.key}"
        return {"project": redact_text(self.project), "name": shorten(name, MAX_NAME_LENGTH), "id": job.key}

    def _run(self, job: LoggedJob, address: RunAddress) -> Run:
        import wandb

        check_local_settings(self.entity)
        job.output_folder("wandb")
        try:
            with redact_arguments():  # W&B keeps the command line
                run = wandb.init(
                    **address,
                    entity=None if self.entity is None else redact_text(self.entity),
                    dir=job.folder,
                    mode=self._mode(),
                    group=shorten(job.sweep, MAX_NAME_LENGTH),
                    job_type=shorten(one_line(job.name), MAX_TAG_LENGTH),
                    tags=_tags(job),
                    config=redact(dict(job.config)),
                    resume="allow",
                    reinit="create_new",  # jobs of one process may be open at once
                    settings={"silent": True, "console": "off", **NO_CODE, **({} if self.machine else LEAN)},
                )
        except (wandb.errors.UsageError, wandb.errors.AuthenticationError) as error:
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
        """Write the record's curve, summary, table and images, and finish the run."""
        if not isinstance(lightning_logger, WandbLogger) or rank_zero_only.rank:  # type: ignore[attr-defined]
            return
        run: Run = lightning_logger.experiment
        try:
            log_chosen_curve(lightning_logger, record)
            _show(run, record, status, draw if self.images else None)
        finally:
            _finish(run, status)

    def mark_losses(self, job: LoggedJob, record: RunRecord, losses: Mapping[str, str]) -> None:
        """Go on in a finished job's run: its table again, with a mark where a special case is better."""
        run = self._run(job, self._address(job))
        try:
            run.log({RESULTS: _table(record, losses)})
            run.summary.update({f"{LOSES_TO}/{column}": case for column, case in losses.items()})
        finally:
            _finish(run, "done")


def _tags(job: LoggedJob) -> list[str]:
    """Return a job's tags as W&B takes them: none twice, none empty, long ones cut."""
    return list(dict.fromkeys(redact_text(tag)[:MAX_TAG_LENGTH] for tag in job.tags if tag))


def _finish(run: Run, status: JobStatus) -> None:
    folder = Path(run.dir).parent
    run.finish(exit_code=EXIT_CODES[status])  # else the next job of a sweep writes into this run
    mark_finished(folder)


def _show(run: Run, record: RunRecord | None, status: JobStatus, draw: MakeImages | None) -> None:
    """Log what a record holds: scores, costs and overlap to the summary, the table and the images to the history."""
    if record is None:
        run.summary.update({"status": status})
        return
    run.summary.update(record_summary(record))
    if not record.scores:
        return
    run.log({RESULTS: _table(record)})
    if draw is not None:
        run.log({f"{IMAGES}/{name}": _image(png) for name, png in draw(record).items()})


def _table(record: RunRecord, losses: Mapping[str, str] | None = None) -> object:
    import wandb

    return wandb.Table(columns=list(SCORE_COLUMNS), data=score_rows(record, losses))


def _image(png: bytes) -> object:
    import wandb
    from PIL import Image

    return wandb.Image(Image.open(BytesIO(png)))
