"""A thin typed constructor in front of Lightning's Trainer, and what one fit leaves behind."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytorch_lightning as pl
import torch
from pydantic import Field
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import Logger
from rich.console import Console
from rich.progress import Progress, TextColumn
from torch import Tensor

from causalrec.errors import RequestError
from causalrec.training.module import MONITOR, CausalRecModule

Count = Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class Epoch:
    """One point of a learning curve: the mean training loss, and the criterion after the epoch (None in a refit)."""

    epoch: int
    loss: float
    criterion: float | None


@dataclass(frozen=True)
class Fit:
    """One candidate's fit: the best epoch by the biased-validation criterion, its value, and the weights then."""

    criterion: float
    best_epoch: int
    epochs: int
    state: dict[str, Tensor]
    curve: tuple[Epoch, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """How to train. `patience`: epochs without improvement before stopping; `limit_batches`: batches per epoch, for a
    smoke run. `precision` as Lightning names it (`32-true`, `bf16-mixed`).
    """

    max_epochs: Count = 30
    patience: Count = 3
    accelerator: Literal["cpu", "gpu", "auto"] = "cpu"
    devices: Count = 1
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    limit_batches: Count | None = None
    progress: bool = True

    def check(self) -> None:
        """Raise RequestError where this machine lacks the accelerator."""
        if self.accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
            raise RequestError("trainer.accelerator='gpu': no GPU is visible here; use trainer=cpu")

    def fit(
        self,
        module: CausalRecModule,
        data: Any,
        logger: Logger | None,
        folder: Path,
        label: str,
        epochs: int | None = None,
    ) -> Fit:
        """Train to the best epoch and return its weights; the best checkpoint stays in `folder`.

        With `epochs` (a refit on all rows, nothing held out) train for that many and take the last; criterion nan.
        """
        judged = MONITOR if epochs is None else None
        keeper = ModelCheckpoint(folder, "best", judged, save_weights_only=True, enable_version_counter=False)
        callbacks: list[Callback] = [keeper]
        if epochs is None:
            callbacks.append(EarlyStopping(MONITOR, patience=self.patience, check_finite=True))
        if self.progress:
            callbacks.append(EpochBar(label))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
            trainer = self.build(logger, callbacks, epochs)
            trainer.fit(module, datamodule=data)
        saved = torch.load(keeper.best_model_path, map_location="cpu", weights_only=True)
        score = float("nan") if keeper.best_model_score is None else float(keeper.best_model_score)
        return Fit(score, int(saved["epoch"]), trainer.current_epoch, saved["state_dict"])

    def build(self, logger: Logger | None, callbacks: list[Callback], epochs: int | None = None) -> pl.Trainer:
        """Build Lightning's Trainer from these settings; `epochs` replaces their number and drops validation."""
        return pl.Trainer(
            max_epochs=self.max_epochs if epochs is None else epochs,
            limit_val_batches=None if epochs is None else 0,
            accelerator=self.accelerator,
            devices=self.devices,
            strategy=self.strategy,
            precision=self.precision,
            limit_train_batches=self.limit_batches,
            logger=logger or False,
            callbacks=callbacks,
            num_sanity_val_steps=0,
            log_every_n_steps=1 << 30,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )


def seeded(seed: int) -> None:
    """Seed Python, numpy and torch."""
    pl.seed_everything(seed, verbose=False)


class EpochBar(Callback):
    """A progress bar by epochs on stderr, with the criterion beside it."""

    def __init__(self, label: str) -> None:
        columns = (*Progress.get_default_columns(), TextColumn("{task.fields[note]}"))
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.label = label

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.task = self.bar.add_task(self.label, total=trainer.max_epochs, note="")
        if trainer.is_global_zero:
            self.bar.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(MONITOR)
        self.bar.update(self.task, advance=1, note="" if value is None else f"criterion {float(value):.4f}")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.bar.stop()
