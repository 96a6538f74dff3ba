"""Keeps the weights of the best epoch, and saves a running fit so that it can be resumed."""

from __future__ import annotations

import math
import time
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from causalrec.training.fit_result import MONITOR, FitResult
from causalrec.training.fit_store import FitFolder
from causalrec.training.module import CausalRecModule

CLOCK_CHECK_STEPS = 16  # steps between two looks at the clock where ranks must agree on what it says
MAX_SAVE_SHARE = 0.05  # saving takes at most this share of the time


class BestCheckpoint(Checkpoint):
    """Holds the weights of the best epoch in memory: the first epoch's, until one has a strictly lower criterion.

    Without validation they are the last epoch's. At the end `fit` is what came of it, written in `folder`. With
    `can_resume`, the whole fit is written at the end of a batch: every `steps` steps, or where None once `seconds` have
    gone by. After an epoch's last batch it waits for the validation: a fit goes on before it, or after it.

    Args:
        folder: of the fit.
        has_validation: whether there is a criterion.
        can_resume: whether the fit is saved on its way.
        steps: between two saves; None: by the clock.
        seconds: between two saves by the clock.
    """

    def __init__(
        self, folder: FitFolder, has_validation: bool, can_resume: bool, steps: int | None, seconds: float
    ) -> None:
        self.folder, self.has_validation, self.can_resume, self.steps, self.seconds = (
            folder,
            has_validation,
            can_resume,
            steps,
            seconds,
        )
        self.fit: FitResult | None = None
        self.best: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}  # of the objective, for the best epoch
        self.best_epoch, self.criterion = 0, math.nan
        self.has_stepped = False  # since this process began or went on
        self._steps_since_save, self._last_save, self._save_interval = 0, time.monotonic(), seconds
        self.seconds_trained, self._last_step = 0.0, perf_counter()

    def state_dict(self) -> dict[str, Any]:
        numbers = {"best_epoch": self.best_epoch, "criterion": self.criterion, "seconds": self.seconds_trained}
        return {"best": self.best, "buffers": self.buffers, **numbers}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.criterion, self.seconds_trained = state_dict["criterion"], state_dict.get("seconds", 0.0)
        self.buffers = state_dict.get("buffers", {})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._last_save = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step, and save the fit where that is due; after an epoch's last batch it waits for the validation.

        Args:
            trainer: Lightning's, of the fit.
            pl_module: not read.
            outputs: not read.
            batch: not read.
            batch_idx: step within the epoch, from 0.
        """
        self.has_stepped = True
        now = perf_counter()
        self.seconds_trained, self._last_step = self.seconds_trained + now - self._last_step, now
        self._steps_since_save += 1
        if self._due(trainer, batch_idx) and not trainer.is_last_batch:
            self._save(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._steps_since_save and self._due(trainer, 0):
            self._save(trainer)
        self._last_step = perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.has_validation:
            criterion = float(trainer.callback_metrics[MONITOR])
            if self.best and not criterion < self.criterion:
                return
            self.criterion = math.inf if math.isnan(criterion) else criterion
        elif trainer.max_epochs is None or trainer.current_epoch + 1 < trainer.max_epochs:
            return
        self.best_epoch = trainer.current_epoch
        assert isinstance(pl_module, CausalRecModule)
        self.buffers = {name: value.detach().cpu().clone() for name, value in pl_module.epoch_buffers.items()}
        for name, value in trainer.strategy.lightning_module_state_dict().items():
            if name in self.best:
                self.best[name].copy_(value)  # large tables are not allocated anew each time
            else:
                self.best[name] = value.detach().cpu().clone()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, CausalRecModule)
        numbers = self.criterion, self.best_epoch, trainer.current_epoch
        warned = pl_module.objective.buffer_warnings(pl_module.epoch_buffers)
        curve = tuple(pl_module.curve)
        self.fit = FitResult(*numbers, self.best, curve, self.seconds_trained, warned, self.buffers)
        if trainer.is_global_zero:
            self.folder.finish(self.fit)

    def _due(self, trainer: pl.Trainer, step: int) -> bool:
        if not self.can_resume:
            return False
        if self.steps is not None:
            return self._steps_since_save >= self.steps
        if trainer.world_size == 1:
            return time.monotonic() - self._last_save >= self._save_interval
        if step % CLOCK_CHECK_STEPS:
            return False
        return bool(trainer.strategy.broadcast(time.monotonic() - self._last_save >= self._save_interval))

    def _save(self, trainer: pl.Trainer) -> None:
        started = time.monotonic()
        trainer.save_checkpoint(self.folder.resume)
        self._steps_since_save, self._last_save = 0, time.monotonic()
        self._last_step = perf_counter()  # saving is no training
        self._save_interval = max(self.seconds, (self._last_save - started) / MAX_SAVE_SHARE)
