"""The folder of one fit: its resume checkpoint, its best weights and its result.

Files of another fit are discarded.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from typing_extensions import TypedDict

from causalrec.data.files import write_text
from causalrec.data.log import InteractionLog
from causalrec.data.removal import files_below, make_way, require_unlinked
from causalrec.errors import DataError
from causalrec.training.checkpoint import (
    Checkpoint,
    check_weights,
    content_hash,
    read_checkpoint,
    require_finite,
    write_checkpoint,
)
from causalrec.training.datamodule import LogDataModule
from causalrec.training.fit_result import Epoch, FitResult
from causalrec.training.module import CausalRecModule


class SavedEpoch(TypedDict):
    """A point of a learning curve, as a checkpoint holds it.

    Attributes:
        epoch: from 0.
        loss: mean over the training batches.
        criterion: on the validation rows; None in a refit.
        report: of a class outcome, how the validation rows were classified.
    """

    epoch: int
    loss: float
    criterion: float | None
    report: dict[str, Any] | None


class SavedFit(TypedDict):
    """What a checkpoint holds of a fit beside its weights.

    Attributes:
        criterion: of the best epoch.
        best_epoch: from 0.
        epochs: trained in all.
        curve: the learning curve.
        seconds: in training steps; files of before it was kept have none.
        warnings: of the objective; files of before them have none.
    """

    criterion: float
    best_epoch: int
    epochs: int
    curve: list[SavedEpoch]
    seconds: NotRequired[float]
    warnings: NotRequired[list[str]]


class UnusableCheckpoint(DataError):
    """A fit could not go on from its checkpoint, which was removed: it must begin with a fresh model."""


_SUMMARY = TypeAdapter(SavedFit)
LOGGER = logging.getLogger(__name__)
NAMES = ("best.ckpt", "resume.ckpt", "fit.json")
OTHER_FIT_MESSAGE = "was made by other settings, data or versions"
PROBED_PAIRS = 256  # pairs whose features and propensities stand for the functions that give them


@dataclass(frozen=True)
class FitFolder:
    """`best.ckpt` and `fit.json` of a finished fit, `resume.ckpt` of one on its way.

    `fingerprint`: what determines the fit; files of another one are removed.
    """

    folder: Path
    fingerprint: str

    @property
    def resume(self) -> Path:
        """What an interrupted fit goes on from."""
        return self.folder / "resume.ckpt"

    @property
    def best(self) -> Path:
        """The weights of the best epoch."""
        return self.folder / "best.ckpt"

    def load_finished(self, weights: Mapping[str, Tensor] | None = None) -> FitResult | None:
        """Return the fit where it is whole and the same was asked for; `weights`: those it must have, by shape."""
        self._require_unlinked()
        if not os.path.lexists(self.best):
            return None
        try:
            return _as_fit(self.best, self._read(self.best), weights)
        except DataError as error:
            self.discard(str(error))
            return None

    def checkpoint_to_resume(self, weights: Mapping[str, Tensor] | None = None) -> Path | None:
        """Return the checkpoint an interrupted fit goes on from, where it is whole and of the same fit.

        `weights`: those it must have, by shape.
        """
        if not os.path.lexists(self.resume):
            return None
        try:
            saved = self._read(self.resume)
            check_weights(self.resume, saved.get("state_dict"), weights or {})
            callbacks = saved.get("callbacks")
            best = [state.get("best") for state in callbacks.values()] if isinstance(callbacks, dict) else []
            require_finite(self.resume, [saved.get("state_dict"), saved.get("optimizer_states"), best])
        except (DataError, AttributeError) as error:
            self.discard(str(error))
            return None
        return self.resume

    def finish(self, fit: FitResult) -> None:
        """Keep a finished fit; `fit.json` shows what the checkpoint holds beside the weights."""
        numbers = ("criterion", "best_epoch", "epochs", "seconds")
        summary = {name: getattr(fit, name) for name in numbers}
        shown = {**summary, "curve": [asdict(point) for point in fit.curve]}
        shown |= {"warnings": list(fit.warnings)} if fit.warnings else {}
        content = {"fingerprint": self.fingerprint, "fit": shown, "state_dict": fit.state}
        write_checkpoint(self.best, content | ({"buffers": fit.buffers} if fit.buffers else {}))
        make_way(self.folder / "fit.json")
        write_text(self.folder / "fit.json", json.dumps({"fingerprint": self.fingerprint, **shown}, indent=1) + "\n")
        self.resume.unlink(missing_ok=True)

    def remove_partial_files(self) -> None:
        """Remove what a killed process was writing."""
        if _is_rank_zero():
            for path in _partial_files(self.folder):
                path.unlink(missing_ok=True)

    def _read(self, path: Path) -> dict[str, Any]:
        saved = read_checkpoint(path)
        if saved.get("fingerprint") != self.fingerprint:
            raise DataError(f"{path}: {OTHER_FIT_MESSAGE}")
        return saved

    def discard(self, reason: str) -> None:
        """Remove the files, and say why the fit starts again."""
        if _is_rank_zero():
            LOGGER.warning("causalrec: %s; starting this fit again", reason)
            delete_fits(self.folder)

    def _require_unlinked(self) -> None:
        """Raise DataError where the folder of the fit, or that of all fits, is a symbolic link."""
        require_unlinked(self.folder, self.folder.parent.parent)


def delete_fits(folder: Path) -> None:
    """Remove what fits left in a folder and below it, so that they start from their beginning; no link is followed."""
    for path in [*(path for path in files_below(folder) if path.name in NAMES), *_partial_files(folder)]:
        path.unlink(missing_ok=True)
    for path in (folder / name for name in NAMES):
        make_way(path)


def _partial_files(folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if any(path.name.startswith(f".{name}.") for name in NAMES)]


def _as_fit(path: Path, saved: Checkpoint, weights: Mapping[str, Tensor] | None) -> FitResult:
    """Return the fit that a checkpoint holds; raise DataError where it holds something else."""
    state = check_weights(path, saved.get("state_dict"), weights or {})
    try:
        summary = _SUMMARY.validate_python(saved.get("fit"), strict=True)
    except ValidationError as error:
        raise DataError(f"{path}: checkpoint holds something else in the place of its learning curve") from error
    curve = tuple(Epoch(**point) for point in summary["curve"])
    numbers = summary["criterion"], summary["best_epoch"], summary["epochs"]
    seconds, warned = summary.get("seconds", 0.0), tuple(summary.get("warnings", ()))
    return FitResult(*numbers, state, curve, seconds, warned, read_buffers(path, saved))


def read_buffers(path: Path, saved: Checkpoint) -> dict[str, Tensor]:
    """Return what the objective had fitted for the weights of a checkpoint; raise DataError where it is no numbers."""
    return check_weights(path, saved.get("buffers", {}), {})


def _is_rank_zero() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def fit_fingerprint(module: CausalRecModule, data: LogDataModule, settings: str) -> str:
    """Return a digest of what determines a fit: model and initial weights, objective, optimizer, rows, seed, versions.

    `settings`: what the trainer adds. The folder, the logger and how a criterion is called do not count.
    """
    return content_hash([settings, version("torch"), version("causalrec"), *_of_module(module), *_of_data(data)])


def _of_module(module: CausalRecModule) -> Iterator[Any]:
    yield from (str(module.model), module.model.link, module.criterion, module.criterion_clip)
    yield sorted(module.penalties)
    yield from () if module.model.unit is None else ("a loss in standard deviations",)
    for entity, mask in sorted(module.trained.items()):
        yield from (entity, mask)
    for component in (module.objective, module.optimizer, module.scheduler, *module.penalties.values()):
        yield (type(component).__qualname__, sorted(vars(component).items()))
    for name, value in module.model.state_dict().items():
        yield from (name, value)


def _of_data(data: LogDataModule) -> Iterator[Any]:
    yield from (data.sampler, data.space, data.seed, data.validation_space)
    yield from () if data.held_out is None else _of_log(data.held_out)
    for log, tensors in zip(data.logs, data.tensors, strict=True):
        yield from _of_log(log)
        first = slice(0, PROBED_PAIRS)
        user = log.users[first]
        block = tensors.row_block
        numbers, levels = tensors.features.numbers_and_levels(
            user, log.item[first], None if block is None else block[first]
        )
        yield numbers
        yield from () if levels is None else (levels, tensors.features.user_levels, tensors.features.item_levels)
        yield from () if block is None else (block,)
        yield tensors.features.user_block
        yield tensors.features.item_block
        for name, column in sorted(tensors.columns.items()):
            yield from (name, column.entity, column.table)
            yield None if column.pair is None else column.pair(user, log.item[first])
        yield from () if tensors.arm_propensities is None else (tensors.arm_propensities,)
        yield None if tensors.pair_propensity is None else tensors.pair_propensity(user, log.item[first])


def _of_log(log: InteractionLog) -> Iterator[Any]:
    for name in ("num_users", "num_items", "user", "item", "time", "treatment", "outcome", "propensity"):
        yield from (name, getattr(log, name))
