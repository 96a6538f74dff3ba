"""Hands Lightning whole batches: no per-sample collation, every batch a function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import islice
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog, PairColumn
from causalrec.data.sampling import VALIDATION, Rows, Sampler
from causalrec.errors import DataError
from causalrec.features.views import FeatureMatrix
from causalrec.types import LATE, Batch, Ints, Space

AHEAD = 1 << 16  # rows gathered at once, which costs less than batch by batch


class LogTensors:
    """A log's columns as tensors, ready to be sliced into batches; `chance(user, item)` is the propensity of any pair,
    where an objective reads that of pairs that are not logged. `timed`: batches tell the time of their rows.
    """

    def __init__(
        self, log: InteractionLog, features: FeatureMatrix, chance: PairColumn | None = None, timed: bool = False
    ) -> None:
        if log.propensity is None:
            raise DataError(f"{log.name}: has no propensities; fit a propensity model before training")
        self.features, self.chance = features, chance
        self.time = torch.from_numpy(log.time) if timed and log.time is not None else None
        self.treatment = torch.from_numpy(log.treatment)
        self.outcome = torch.from_numpy(np.nan_to_num(log.outcome))
        self.propensity = torch.from_numpy(log.propensity)
        shares = np.bincount(log.item, minlength=log.num_items) / max(log.num_users, 1)
        self.popularity = torch.from_numpy(np.minimum(shares, 1.0).astype(np.float32))

    def batch(self, rows: Rows) -> Batch:
        """Gather one batch; rows that are not logged get outcome 0, observed 0 and propensity 1 (or `chance`)."""
        row = torch.from_numpy(rows.row)
        logged = (rows.row >= 0).all()  # then nothing has to be masked
        observed = torch.ones(len(rows.row)) if logged else (row >= 0).float()
        place = row if logged else row.clamp_min(0)
        treatment, outcome, propensity = self.treatment[place], self.outcome[place], self.propensity[place]
        if not logged:
            treatment, outcome = torch.where(row >= 0, treatment, 0), outcome * observed
            other = 1.0 if self.chance is None else torch.from_numpy(self.chance(rows.user, rows.item))
            propensity = torch.where(row >= 0, propensity, other)
        return Batch(
            user=torch.from_numpy(rows.user),
            item=torch.from_numpy(rows.item),
            treatment=treatment,
            outcome=outcome,
            observed=observed,
            propensity=propensity,
            weight=torch.from_numpy(rows.weight),
            features=torch.from_numpy(self.features(rows.user, rows.item)),
            time=None if self.time is None else torch.where(row >= 0, self.time[place], LATE),
            **({} if rows.rival is None else self._rivals(rows, rows.rival)),
        )

    def batches(self, rows: Rows) -> Batch:
        """Gather batches of equal size at once, `[m,B]`."""
        return self.batch(rows.flat()).mapped(lambda column: column.view(*rows.row.shape, *column.shape[1:]))

    def _rivals(self, rows: Rows, rival: Ints) -> dict[str, Tensor]:
        return {
            "rival": torch.from_numpy(rival),
            "rival_features": torch.from_numpy(self.features(rows.user, rival)),
            "popularity": self.popularity[torch.from_numpy(rows.item)],
            "rival_popularity": self.popularity[torch.from_numpy(rival)],
        }


class BatchLoader:
    """An iterable of batches for one rank; Lightning calls `sampler.set_epoch` on it.

    Every rank takes every `world`-th row of each global batch, so that ranks together see each row once. `known`: the
    training rows, where this is validation; then every epoch is the first one, so that a criterion is judged alike.
    `start`: the epoch that is entered, and how many of its batches are behind; `limit`: batches of an epoch. It has no
    length, so that Lightning takes for an epoch's last batch whichever comes last, also where one is entered midway.
    """

    def __init__(
        self,
        log: InteractionLog,
        tensors: LogTensors,
        sampler: Sampler,
        space: Space,
        seed: int,
        rank: int,
        world: int,
        known: InteractionLog | None = None,
        start: tuple[int, int] = (0, 0),
        limit: int | None = None,
    ) -> None:
        self.log, self.tensors, self.rows, self.space, self.known = log, tensors, sampler, space, known
        self.seed, self.epoch, self.rank, self.world = seed, start[0], rank, world
        self.start, self.limit = start, limit
        self.sampler = self  # Lightning looks here for set_epoch, and for shuffling in the other
        self.batch_sampler = None

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch the next iteration yields."""
        self.epoch = epoch if self.known is None else 0

    def __iter__(self) -> Iterator[Batch]:
        behind = self.start[1] if self.epoch == self.start[0] else 0
        return islice(self._batches(), behind, self.limit)

    def _batches(self) -> Iterator[Batch]:
        mine = slice(self.rank, None, self.world)
        for block in self.rows.blocks(self.log, self.space, self.seed, self.epoch, self.known):
            step = max(1, AHEAD // block.row.shape[1])
            for start in range(0, len(block.row), step):
                yield from unbound(self.tensors.batches(block.at((slice(start, start + step), mine))))


def unbound(block: Batch) -> Iterator[Batch]:
    """Yield the batches of m side by side, `[m,...]`."""
    columns = {field.name: getattr(block, field.name) for field in fields(Batch)}
    parts = {name: column.unbind(0) for name, column in columns.items() if column is not None}
    for k in range(len(block)):
        one: dict[str, Any] = {name: parts[name][k] if name in parts else None for name in columns}
        yield Batch(**one)


class LogDataModule(pl.LightningDataModule):
    """Training batches over the objective's space, validation over the logged rows held out.

    A positive-only log has one outcome class: its validation rows meet rivals (`judged="triples"`). `start` and
    `limit` are set by whoever trains: where training goes on, and the batches of an epoch. `timed`: as in `LogTensors`;
    `judged_rows`: how many validation rows fit in memory at once.
    """

    def __init__(
        self,
        train: InteractionLog,
        validation: InteractionLog,
        features: FeatureMatrix,
        sampler: Sampler,
        space: Space,
        seed: int,
        judged: Space = "logged",
        chance: PairColumn | None = None,
        timed: bool = False,
        judged_rows: int = VALIDATION.batch_size,
    ) -> None:
        super().__init__()
        self.logs = (train, validation)
        self.tensors = (LogTensors(train, features, chance, timed), LogTensors(validation, features, timed=timed))
        self.judging = replace(VALIDATION, batch_size=min(judged_rows, VALIDATION.batch_size))
        self.sampler, self.space, self.seed, self.judged = sampler, space, seed, judged
        self.start: tuple[int, int] = (0, 0)
        self.limit: int | None = None

    def train_dataloader(self) -> BatchLoader:
        return self._loader(0, self.sampler, self.space, None, self.start, self.limit)

    def val_dataloader(self) -> BatchLoader:
        return self._loader(1, self.judging, self.judged, self.logs[0])

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch if device.type == "cpu" else batch.to(device, non_blocking=True)

    def _loader(self, which: int, sampler: Sampler, space: Space, *more: Any) -> BatchLoader:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return BatchLoader(self.logs[which], self.tensors[which], sampler, space, self.seed, rank, world, *more)
