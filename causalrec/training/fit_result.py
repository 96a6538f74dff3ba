"""What one fit leaves behind: its weights, its criterion and its learning curve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytorch_lightning.loggers import Logger
from torch import Tensor

from causalrec.records.names import EPOCH, TRAINING_LOSS, VALIDATION_CRITERION

MONITOR = VALIDATION_CRITERION


@dataclass(frozen=True)
class Epoch:
    """One point of a learning curve: the mean training loss, and the criterion after the epoch (None in a refit).

    Attributes:
        epoch: from 0.
        loss: mean over the training batches.
        criterion: on the validation rows; None in a refit.
        report: of a class outcome, how the validation rows were classified (`criterion.classification_report`).
    """

    epoch: int
    loss: float
    criterion: float | None
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class FitResult:
    """One candidate's fit: the best epoch by the biased-validation criterion, its value, and the weights then.

    Attributes:
        criterion: of the best epoch, the lower the better.
        best_epoch: from 0.
        epochs: trained in all.
        state: weights of the best epoch, by name.
        curve: the learning curve.
        seconds: in training steps; of fits that were stacked, its share.
        warnings: of the objective, to be read beside every number of the fit.
        buffers: what the objective had fitted for the best epoch, by name; empty where it fits nothing between epochs.
    """

    criterion: float
    best_epoch: int
    epochs: int
    state: dict[str, Tensor]
    curve: tuple[Epoch, ...] = ()
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    buffers: dict[str, Tensor] = field(default_factory=dict)


def log_curve(logger: Logger | None, prefix: str, curve: Iterable[Epoch]) -> None:
    """Log points of a learning curve under the prefix of the fit; the step is the epoch."""
    if logger is None:
        return
    for point in curve:
        values = {f"{prefix}{TRAINING_LOSS}": point.loss, EPOCH: float(point.epoch)}
        if point.criterion is not None:
            values[f"{prefix}{MONITOR}"] = point.criterion
        if point.report is not None:
            values |= {f"{prefix}validation/{name}": point.report[name] for name in ("accuracy", "macro_f1")}
        logger.log_metrics(values, step=point.epoch)
    logger.save()
