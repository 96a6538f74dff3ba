"""Lightning's logger, of which a failure is remembered instead of raised: what is logged is not what a job is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger


def one_line(error: Exception) -> str:
    """Return an error as one line, its kind first.

    >>> one_line(PermissionError("no\\nentry"))
    'PermissionError: no entry'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class GuardedLogger(Logger):
    """Logs until it fails once; `failure` says why in one line, "" as long as nothing failed."""

    def __init__(self, logger: Logger) -> None:
        self.logger, self.failure = logger, ""

    @property
    def name(self) -> str | None:
        return self.logger.name

    @property
    def version(self) -> int | str | None:
        return self.logger.version

    @property
    def save_dir(self) -> str | None:
        return self.logger.save_dir

    def guard(self, write: Callable[[], object]) -> None:
        """Write, unless it failed before."""
        if self.failure:
            return
        try:
            write()
        except Exception as error:
            self.failure = one_line(error)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.guard(lambda: self.logger.log_metrics(dict(metrics), step))

    def log_hyperparams(self, params: object, *args: object, **kwargs: object) -> None:
        """Log none: what a job was asked for is logged where its run is opened."""

    def save(self) -> None:
        self.guard(self.logger.save)

    def finalize(self, status: str) -> None:
        self.guard(lambda: self.logger.finalize(status))

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        self.guard(lambda: self.logger.after_save_checkpoint(checkpoint_callback))
