"""A thin typed constructor in front of Lightning's Trainer: one fit, gone on with where it was stopped."""

from __future__ import annotations

import copy
import logging
import math
import os
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pydantic import Field
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins import DoublePrecision
from torch.multiprocessing.spawn import ProcessRaisedException

from causalrec.errors import CausalRecError, RequestError
from causalrec.limits import MAX_PROCESSES
from causalrec.progress import progress
from causalrec.training.best_checkpoint import BestCheckpoint
from causalrec.training.callback import AbstractCallback
from causalrec.training.checkpoint import CheckedIO
from causalrec.training.datamodule import LogDataModule
from causalrec.training.fit_result import Epoch, FitResult, log_curve
from causalrec.training.fit_store import FitFolder, UnusableCheckpoint, fit_fingerprint
from causalrec.training.module import MONITOR, CausalRecModule
from causalrec.types import Batch, Count

__all__ = ["Epoch", "FitResult", "TrainerSettings", "seed_everything"]
RANKS_PER_CORE = 4  # beyond which ranks of a CPU only wait for one another
WITHOUT_EFFECT = ("progress", "checkpoint_steps", "checkpoint_seconds")  # what no result depends on


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """How to train.

    Attributes:
        max_epochs: the most that are trained; early stopping ends most fits before.
        patience: epochs without improvement before stopping.
        accelerator: `cpu`, `gpu`, or `auto`: as Lightning chooses.
        devices: how many, one rank each.
        strategy: `ddp` repeats the model on every device, `fsdp` cuts it over them; `auto`: as Lightning chooses.
        precision: as Lightning names it.
        limit_batches: batches of an epoch, for a smoke run; None: all.
        limit_users: the first users of the data, for a smoke run; None: all. A run with one of these three limits
            tries no candidates unless they are named, and says that its scores are no result.
        limit_items: the first items of the data; None: all.
        limit_rows: rows of each slice that is scored; a batch and the validation of a model that reads text have a
            128th of them (one that reads pairs as text: a hundredth, and a 400th); None: all.
        progress: show on stderr how far the fits are.
        gradient_clip: the largest gradient norm of a role; None: gradients are not clipped.
        callbacks: of the fit; each fit gets its own copies.
        checkpoint_steps: between two saves of a fit; None: by the clock.
        checkpoint_seconds: least time between two saves by the clock, in seconds.

    A fit that is stopped at any step goes on from its last save to the same weights, bit for bit on a CPU. With
    `strategy=fsdp` it starts again.
    """

    max_epochs: Count = 300
    patience: Count = 3
    accelerator: Literal["cpu", "gpu", "auto"] = "cpu"
    devices: Annotated[int, Field(gt=0, le=MAX_PROCESSES)] = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    limit_batches: Count | None = None
    limit_users: Count | None = None
    limit_items: Count | None = None
    limit_rows: Count | None = None
    progress: bool = True
    gradient_clip: Annotated[float, Field(gt=0)] | None = None
    callbacks: tuple[AbstractCallback, ...] = ()
    checkpoint_steps: Count | None = None
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0

    def check(self) -> None:
        """Raise RequestError where this machine lacks the accelerator."""
        if self.accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
            raise RequestError("trainer.accelerator='gpu': no GPU is visible here; use trainer=cpu")
        if self.accelerator == "gpu" and self.devices > max(1, torch.cuda.device_count()):
            raise RequestError(f"trainer.devices={self.devices}: there are {torch.cuda.device_count()} GPU(s) here")
        cores = os.cpu_count() or 1
        if self.accelerator == "cpu" and self.devices > RANKS_PER_CORE * cores:
            raise RequestError(f"trainer.devices={self.devices}: there are {cores} core(s) here; set it lower")
        if self.strategy == "fsdp" and self.gradient_clip is not None:
            raise RequestError(
                "trainer.gradient_clip: the norm of parameters cut over devices is not ours to take; leave it, or set "
                "trainer.strategy=ddp"
            )
        if self.strategy == "fsdp" and self.accelerator != "gpu":
            raise RequestError("trainer.strategy='fsdp': needs GPUs; add trainer.accelerator=gpu or use trainer=ddp")

    def fit(
        self,
        module: CausalRecModule,
        data: LogDataModule,
        logger: Logger | None,
        folder: Path,
        label: str,
        epochs: int | None = None,
    ) -> FitResult:
        """Train to the best epoch and return its weights.

        Args:
            module: that is trained.
            data: its batches.
            logger: of the learning curve; None logs nothing.
            folder: where the weights stay, a finished fit is found again and an interrupted one goes on.
            label: of the progress bar.
            epochs: train for that many and take the last, criterion nan (a refit on all rows, nothing held out); None:
                stop early.

        A module without a parameter to train is what it is: no epoch, criterion nan.
        """
        store = FitFolder(folder, fit_fingerprint(module, data, self._identity(epochs)))
        fit = store.load_finished(module.state_dict())
        live = fit is None and not self._forks()  # a logger is of no use in another process
        if fit is None and not any(parameter.requires_grad for parameter in module.parameters()):
            fit = FitResult(math.nan, 0, 0, {name: value.clone() for name, value in module.state_dict().items()})
            store.finish(fit)
        if fit is None:
            store.remove_partial_files()
            if self.precision == "64-true":
                module.double()  # Lightning does so only after it has restored the weights
            module.gradient_clip = self.gradient_clip
            module.fingerprint, data.limit = store.fingerprint, self.limit_batches
            fit = self._train(module, data, logger if live else None, store, label, epochs)
        if not live:
            log_curve(logger, module.prefix, fit.curve)
        return fit

    def _train(
        self,
        module: CausalRecModule,
        data: LogDataModule,
        logger: Logger | None,
        store: FitFolder,
        label: str,
        epochs: int | None,
    ) -> FitResult:
        can_resume = not self.strategy.startswith("fsdp")
        best = BestCheckpoint(store, epochs is None, can_resume, self.checkpoint_steps, self.checkpoint_seconds)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            for name in ("pytorch_lightning", "lightning_fabric"):
                logging.getLogger(name).setLevel(logging.ERROR)
            trainer = self.build(logger, [best, *self._callbacks(label, epochs)], epochs, store.folder)
            resumed = store.checkpoint_to_resume(module.state_dict()) if can_resume else None
            try:
                trainer.fit(module, datamodule=data, ckpt_path=resumed)
            except ProcessRaisedException as error:
                raise CausalRecError(f"a rank failed: {str(error).strip().splitlines()[-1]}") from error
            except Exception as error:
                if resumed is None or best.has_stepped:
                    raise
                store.discard(f"{resumed}: cannot be gone on from ({type(error).__name__})")
                raise UnusableCheckpoint(f"{resumed}: cannot be gone on from") from error
        fit = best.fit or store.load_finished()  # forked ranks leave it in the folder alone
        assert fit is not None
        return fit

    def _forks(self) -> bool:
        """Whether ranks are forked for a fit, so that this process alone goes on with the job; not where torchrun or
        Slurm has started them.
        """
        outside = {"LOCAL_RANK", "TORCHELASTIC_RUN_ID"} & set(os.environ) or SLURMEnvironment.detect()
        return self.strategy == "ddp" and self.devices > 1 and not outside

    def _identity(self, epochs: int | None) -> str:
        settings = {field.name: getattr(self, field.name) for field in fields(TrainerSettings)}
        return repr(({name: value for name, value in settings.items() if name not in WITHOUT_EFFECT}, epochs))

    def _callbacks(self, label: str, epochs: int | None) -> list[Callback]:
        callbacks: list[Callback] = [EpochProgress(label)] if self.progress else []
        if epochs is None:
            callbacks.append(EarlyStopping(MONITOR, patience=self.patience, check_finite=True))
        return [*callbacks, *copy.deepcopy(self.callbacks), *([OneThread()] if self._forks() else [])]

    def build(
        self,
        logger: Logger | None,
        callbacks: list[Callback],
        epochs: int | None = None,
        folder: Path | None = None,
    ) -> pl.Trainer:
        """Build Lightning's Trainer from these settings.

        Args:
            logger: of the fit; None logs nothing.
            callbacks: of the fit.
            epochs: replaces `max_epochs` and drops validation; None: the settings as they are.
            folder: the only one it writes to.
        """
        double = self.precision == "64-true"
        return pl.Trainer(
            max_epochs=self.max_epochs if epochs is None else epochs,
            limit_val_batches=None if epochs is None else 0,
            accelerator=self.accelerator,
            devices=self.devices,
            strategy="ddp_fork" if self._forks() else self.strategy,
            precision=None if double else self.precision,
            plugins=[CheckedIO(), *([WholeDoubles()] if double else [])],
            default_root_dir=folder,
            logger=logger or False,
            callbacks=callbacks,
            num_sanity_val_steps=0,
            log_every_n_steps=1 << 30,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )


class OneThread(Callback):
    """A forked process cannot use the threads of the one it came from."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        torch.set_num_threads(1)


class WholeDoubles(DoublePrecision):
    """Float64 throughout. Lightning's own cannot convert a batch that is frozen."""

    def convert_input(self, data: Batch) -> Batch:
        return data.map_tensors(lambda column: column.double() if column.is_floating_point() else column)


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch."""
    pl.seed_everything(seed, verbose=False)


class EpochProgress(Callback):
    """Shows the epochs of a fit as they pass, with the criterion beside them."""

    def __init__(self, label: str) -> None:
        self.label, self.shown = label, ExitStack()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        stops = any(isinstance(callback, EarlyStopping) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        shown = progress(self.label, trainer.max_epochs, "epochs", is_limit=stops, shown=trainer.is_global_zero)
        self.step = self.shown.enter_context(shown)
        self.step.update(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(MONITOR)
        self.step.advance(note="" if value is None else f"(criterion {float(value):.4f})")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.shown.close()
