"""The folder of one fit: its resume checkpoint, its best weights and its result.

Files of another fit are discarded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_only

from causalrec.data.files import write_text
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.training.checkpoint import content_hash, read_checkpoint, write_checkpoint
from causalrec.training.datamodule import LogDataModule
from causalrec.training.fit_result import Epoch, FitResult
from causalrec.training.module import CausalRecModule

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

    def load_finished(self) -> FitResult | None:
        """Return the fit where it is whole and the same was asked for."""
        if not self.best.exists():
            return None
        try:
            saved = self._read(self.best)
        except DataError as error:
            self._discard(str(error))
            return None
        summary = saved["fit"]
        curve = tuple(Epoch(**point) for point in summary["curve"])
        return FitResult(**{**summary, "curve": curve}, state=saved["state_dict"])

    def checkpoint_to_resume(self) -> Path | None:
        """Return the checkpoint an interrupted fit goes on from, where it is whole and of the same fit."""
        if not self.resume.exists():
            return None
        try:
            self._read(self.resume)
        except DataError as error:
            self._discard(str(error))
            return None
        return self.resume

    def finish(self, fit: FitResult) -> None:
        """Keep a finished fit; `fit.json` shows what the checkpoint holds beside the weights."""
        summary = {"criterion": fit.criterion, "best_epoch": fit.best_epoch, "epochs": fit.epochs}
        shown = {**summary, "curve": [asdict(point) for point in fit.curve]}
        write_checkpoint(self.best, {"fingerprint": self.fingerprint, "fit": shown, "state_dict": fit.state})
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

    def _discard(self, reason: str) -> None:
        if _is_rank_zero():
            LOGGER.warning("causalrec: %s; starting this fit again", reason)
            delete_fits(self.folder)


def delete_fits(folder: Path) -> None:
    """Remove what fits left in a folder and below it, so that they start from their beginning."""
    for path in [*(path for name in NAMES for path in folder.rglob(name)), *_partial_files(folder)]:
        path.unlink(missing_ok=True)


def _partial_files(folder: Path) -> list[Path]:
    return [path for name in NAMES for path in folder.rglob(f".{name}.*")]


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
    for component in (module.objective, module.optimizer, module.scheduler, *module.penalties.values()):
        yield (type(component).__qualname__, sorted(vars(component).items()))
    for name, value in module.model.state_dict().items():
        yield from (name, value)


def _of_data(data: LogDataModule) -> Iterator[Any]:
    yield from (data.sampler, data.space, data.seed, data.validation_space)
    for log, tensors in zip(data.logs, data.tensors, strict=True):
        yield from _of_log(log)
        first = slice(0, PROBED_PAIRS)
        user = log.users[first]
        block = tensors.row_block
        yield tensors.features(user, log.item[first], None if block is None else block[first])
        yield from () if block is None else (block,)
        yield tensors.features.user_block
        yield tensors.features.item_block
        for name, column in sorted(tensors.columns.items()):
            yield from (name, column.entity, column.table)
            yield None if column.pair is None else column.pair(user, log.item[first])
        yield None if tensors.pair_propensity is None else tensors.pair_propensity(user, log.item[first])


def _of_log(log: InteractionLog) -> Iterator[Any]:
    for name in ("num_users", "num_items", "user", "item", "time", "treatment", "outcome", "propensity"):
        yield from (name, getattr(log, name))
