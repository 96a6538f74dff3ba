"""Hands Lightning whole batches: no per-sample collation, every batch a function of (seed, epoch)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from causalrec.data.assignment_unit import unit_ranks
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairColumn
from causalrec.data.sampler.balanced import VALIDATION
from causalrec.data.sampler.base import AbstractSampler
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import DataError
from causalrec.estimators.penalty.base import AbstractPenaltyRows
from causalrec.features.batch_columns import BatchColumn
from causalrec.features.views import FeatureMatrix
from causalrec.models import tensor_of_levels
from causalrec.training.epoch_rows import draw_epoch_rows
from causalrec.types import UNLOGGED_TIME, Batch, EpochRows, Floats, Ints, Space

ROWS_PER_GATHER = 1 << 16  # rows gathered at once, which costs less than batch by batch
ArmPropensities = Callable[[InteractionLog], Floats]  # float32[N,A+1], the probability of each treatment


class LogTensors:
    """A log's columns as tensors, ready to be sliced into batches.

    Args:
        log: with propensities.
        features: of pairs and rows.
        pair_propensity: (user, item) -> the propensity of any pair, where an objective reads that of pairs that are not
            logged; None: 1.
        with_time: batches tell the time of their rows.
        columns: what else batches hold, by name.
        arm_propensities: of each treatment, where an objective reads them; None: batches have none.
        with_row: batches tell the number of their rows.

    Raises DataError where the log has no propensities.
    """

    def __init__(
        self,
        log: InteractionLog,
        features: FeatureMatrix,
        pair_propensity: PairColumn | None = None,
        with_time: bool = False,
        columns: Mapping[str, BatchColumn] | None = None,
        arm_propensities: ArmPropensities | None = None,
        with_row: bool = False,
    ) -> None:
        self.with_row = with_row
        if log.propensity is None:
            raise DataError(f"{log.name}: has no propensities; fit a propensity model before training")
        self.log, self.features, self.pair_propensity = log, features, pair_propensity
        self.columns = {} if columns is None else columns
        self.row_block = features.row_block(log)
        self.time = torch.from_numpy(log.time) if with_time and log.time is not None else None
        self.unit = None if log.unit is None else torch.from_numpy(unit_ranks(log.unit, log.treatment))
        self.treatment = torch.from_numpy(log.treatment)
        self.outcome = torch.from_numpy(np.nan_to_num(log.outcome))
        self.propensity = torch.from_numpy(log.propensity)
        self.arms = arm_propensities
        self.arm_propensities = None if arm_propensities is None else torch.from_numpy(arm_propensities(log))
        shares = np.bincount(log.item, log.weight, minlength=log.num_items) / len(log.pool_users)
        self.popularity = torch.from_numpy(np.minimum(shares, 1.0).astype(np.float32))

    def batch(self, rows: SampledRows) -> Batch:
        """Gather one batch; rows that are not logged get outcome 0, observed 0, propensity 1 (or `pair_propensity`)."""
        row = torch.from_numpy(rows.row)
        logged = (rows.row >= 0).all()  # then nothing has to be masked
        observed = torch.ones(len(rows.row)) if logged else (row >= 0).float()
        index = row if logged else row.clamp_min(0)
        treatment, outcome, propensity = self.treatment[index], self.outcome[index], self.propensity[index]
        if not logged:
            treatment, outcome = torch.where(row >= 0, treatment, 0), outcome * observed
            other = (
                1.0 if self.pair_propensity is None else torch.from_numpy(self.pair_propensity(rows.user, rows.item))
            )
            propensity = torch.where(row >= 0, propensity, other)
        numbers, levels = self._features(rows)
        return Batch(
            user=torch.from_numpy(rows.user),
            item=torch.from_numpy(rows.item),
            treatment=treatment,
            outcome=outcome,
            observed=observed,
            propensity=propensity,
            weight=torch.from_numpy(rows.weight),
            features=torch.from_numpy(numbers),
            levels=tensor_of_levels(levels),
            columns=self._columns(rows),
            unit=None if self.unit is None else torch.where(row >= 0, self.unit[index], -1),
            time=None if self.time is None else torch.where(row >= 0, self.time[index], UNLOGGED_TIME),
            arm_propensities=None if self.arm_propensities is None else _of_logged(self.arm_propensities, row),
            row=row if self.with_row else None,
            **({} if rows.negative is None else self._negatives(rows, rows.negative)),
        )

    def _features(self, rows: SampledRows) -> tuple[Floats, Ints | None]:
        if self.row_block is None:
            return self.features.numbers_and_levels(rows.user, rows.item)
        if (rows.row < 0).any():
            raise DataError(
                f"features: pairs that were never logged have no {', '.join(self.features.row_columns)}; choose an "
                f"objective over logged rows"
            )
        return self.features.numbers_and_levels(rows.user, rows.item, self.row_block[rows.row])

    def of_log(self, log: InteractionLog | None) -> LogTensors:
        """Return the tensors of another log that are read in the same way; these, where it is None."""
        if log is None:
            return self
        time, columns = self.time is not None, self.columns
        return LogTensors(log, self.features, self.pair_propensity, time, columns, self.arms, self.with_row)

    def batches(self, rows: SampledRows) -> Batch:
        """Gather batches of equal size at once, `[m,B]`."""
        batches = self.batch(rows.flatten()).map_tensors(lambda column: column.view(*rows.row.shape, *column.shape[1:]))
        return batches if rows.candidates is None else self._with_candidates(batches, rows, rows.candidates)

    def _columns(self, rows: SampledRows) -> dict[str, Tensor]:
        values = {n: column.read(self.log, rows.user, rows.item, rows.row) for n, column in self.columns.items()}
        return {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in {**values, **rows.columns}.items()}

    def _with_candidates(self, batches: Batch, rows: SampledRows, candidates: Ints) -> Batch:
        assert rows.candidate_counts is not None
        item_numbers, item_levels = self.features.of_items(candidates)
        user_numbers, user_levels = self.features.of_users(rows.user)
        return replace(
            batches,
            candidates=torch.from_numpy(np.require(candidates, requirements=["C", "W"])),
            candidate_counts=torch.from_numpy(np.require(rows.candidate_counts, requirements=["C", "W"])),
            candidate_features=torch.from_numpy(item_numbers),
            candidate_levels=tensor_of_levels(item_levels),
            user_features=torch.from_numpy(user_numbers),
            user_levels=tensor_of_levels(user_levels),
        )

    def _negatives(self, rows: SampledRows, negative: Ints) -> dict[str, Any]:
        numbers, levels = self.features.numbers_and_levels(rows.user, negative)
        return {
            **({} if rows.negative_row is None else self._logged_negatives(torch.from_numpy(rows.negative_row))),
            "negative": torch.from_numpy(negative),
            "negative_features": torch.from_numpy(numbers),
            "negative_levels": tensor_of_levels(levels),
            "popularity": self.popularity[torch.from_numpy(rows.item)],
            "negative_popularity": self.popularity[torch.from_numpy(negative)],
        }

    def _logged_negatives(self, row: Tensor) -> dict[str, Tensor]:
        propensity = torch.where(row >= 0, self.propensity[row.clamp_min(0)], 1.0)
        return {"negative_observed": (row >= 0).float(), "negative_propensity": propensity}


def _of_logged(probabilities: Tensor, row: Tensor) -> Tensor:
    """Return the probabilities `[B,A+1]` of rows; equal ones of a pair that is not logged, which has none."""
    return torch.where((row >= 0)[:, None], probabilities[row.clamp_min(0)], 1 / probabilities.shape[-1])


class BatchLoader:
    """An iterable of batches for one rank; Lightning calls `sampler.set_epoch` on it.

    Args:
        log: whose rows are drawn.
        tensors: the columns of `log`.
        sampler: of the batches.
        space: kind of rows that the sampler draws.
        seed: of the fit.
        rank: of this process, from 0.
        world: the number of ranks.
        training_log: the training rows, where this is validation; then every epoch is the first one, so that a
            criterion is judged alike.
        start: the epoch that is entered, and how many of its batches are behind.
        limit: batches of an epoch; None: all.
        penalty_rows: by the penalty's name, what draws the rows that go with each batch.

    Every rank takes every `world`-th row of each global batch, so that ranks together see each row once. The loader has
    no length, so that Lightning takes for an epoch's last batch whichever comes last, also where one is entered midway.
    """

    def __init__(
        self,
        log: InteractionLog,
        tensors: LogTensors,
        sampler: AbstractSampler,
        space: Space,
        seed: int,
        rank: int,
        world: int,
        training_log: InteractionLog | None = None,
        start: tuple[int, int] = (0, 0),
        limit: int | None = None,
        penalty_rows: Mapping[str, AbstractPenaltyRows] | None = None,
    ) -> None:
        self.penalty_rows = {} if penalty_rows is None else penalty_rows
        self.log, self.tensors, self.rows, self.space, self.training_log = log, tensors, sampler, space, training_log
        self.seed, self.epoch, self.rank, self.world = seed, start[0], rank, world
        self.start, self.limit = start, limit
        self._validation_blocks: list[SampledRows] | None = None
        self.sampler = self  # Lightning looks here for set_epoch, and for shuffling in the other
        self.batch_sampler = None

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch the next iteration yields."""
        self.epoch = epoch if self.training_log is None else 0

    def __iter__(self) -> Iterator[Batch]:
        behind = self.start[1] if self.epoch == self.start[0] else 0
        return islice(self._batches(), behind, self.limit)

    def _batches(self) -> Iterator[Batch]:
        mine = slice(self.rank, None, self.world)
        penalties = self.penalty_rows.items()
        draws = {name: PenaltyDraws(rows, name, self.log, self.seed, self.epoch) for name, rows in penalties}
        for block in self._blocks():
            step = max(1, ROWS_PER_GATHER // block.width)
            for start in range(0, len(block.row), step):
                batches = self.tensors.batches(block.at((slice(start, start + step), mine)))
                yield from split_batches(self._with_penalty_rows(batches, draws, mine) if draws else batches)

    def _blocks(self) -> Iterable[SampledRows]:
        """Return the epoch's blocks; those of validation, the same in each, are drawn once."""
        if self.training_log is None:
            return self.rows.blocks(self.log, self.space, self.seed, self.epoch)
        if self._validation_blocks is None:
            blocks = self.rows.blocks(self.log, self.space, self.seed, self.epoch, self.training_log)
            self._validation_blocks = list(blocks)
        return self._validation_blocks

    def _with_penalty_rows(self, batches: Batch, draws: Mapping[str, PenaltyDraws], mine: slice) -> Batch:
        rows = {name: each.next(len(batches), mine) for name, each in draws.items()}
        return replace(batches, penalty_batches={name: self.tensors.batches(each) for name, each in rows.items()})


class PenaltyDraws:
    """The rows of one penalty in the course of an epoch, a function of its name, the seed and the epoch.

    Args:
        rows: what draws them.
        name: of the penalty.
        log: training rows.
        seed: of the fit.
        epoch: from 0.
    """

    def __init__(self, rows: AbstractPenaltyRows, name: str, log: InteractionLog, seed: int, epoch: int) -> None:
        self.rows, self.log = rows, log
        self.generator = np.random.default_rng([seed, epoch, zlib.crc32(name.encode())])

    def next(self, count: int, mine: slice) -> SampledRows:
        """Return the rows of the next `count` steps, `[count,B]`, those of this rank."""
        return self.rows.draw(self.log, self.generator, count).at((slice(None), mine))


def split_batches(block: Batch) -> Iterator[Batch]:
    """Yield the batches of m side by side, `[m,...]`."""
    unbound = {path: column.unbind(0) for path, column in block.tensors().items()}
    for k in range(len(block)):
        yield Batch.from_tensors({path: columns[k] for path, columns in unbound.items()})


class LogDataModule(pl.LightningDataModule):
    """Training batches over the objective's space, validation over the logged rows held out.

    Args:
        train: the training rows.
        validation: the rows held out.
        features: of pairs and rows.
        sampler: of the training batches.
        space: kind of rows that the objective averages over.
        seed: of the fit.
        validation_space: kind of the validation rows; a positive-only log has one outcome class, so its validation rows
            meet negatives (`triples`).
        pair_propensity: as in `LogTensors`, for training batches.
        with_time: as in `LogTensors`.
        validation_rows: how many validation rows fit in memory at once.
        columns: as in `LogTensors`.
        penalty_rows: as in `BatchLoader`.
        arm_propensities: as in `LogTensors`.
        held_out: rows that no step meets, which the objective fits on between epochs; None: there are none.
        with_row: as in `LogTensors`.

    Whoever trains sets the attributes `start` and `limit`: where training goes on, and the batches of an epoch.
    """

    def __init__(
        self,
        train: InteractionLog,
        validation: InteractionLog,
        features: FeatureMatrix,
        sampler: AbstractSampler,
        space: Space,
        seed: int,
        validation_space: Space = "logged",
        pair_propensity: PairColumn | None = None,
        with_time: bool = False,
        validation_rows: int = VALIDATION.batch_size,
        columns: Mapping[str, BatchColumn] | None = None,
        penalty_rows: Mapping[str, AbstractPenaltyRows] | None = None,
        arm_propensities: ArmPropensities | None = None,
        held_out: InteractionLog | None = None,
        with_row: bool = False,
    ) -> None:
        super().__init__()
        self.logs, self.held_out = (train, validation), held_out
        self.tensors = (
            LogTensors(train, features, pair_propensity, with_time, columns, arm_propensities, with_row),
            LogTensors(validation, features, None, with_time, columns, arm_propensities),
        )
        self.penalty_rows = penalty_rows
        self.validation_sampler = replace(VALIDATION, batch_size=min(validation_rows, VALIDATION.batch_size))
        self.sampler, self.space, self.seed, self.validation_space = sampler, space, seed, validation_space
        self.start: tuple[int, int] = (0, 0)
        self.limit: int | None = None

    def train_dataloader(self) -> BatchLoader:
        return self._loader(0, self.sampler, self.space, None, self.start, self.limit, self.penalty_rows)

    def val_dataloader(self) -> BatchLoader:
        return self._loader(1, self.validation_sampler, self.validation_space, self.logs[0])

    def epoch_rows(self, spec: EpochRows, epoch: int) -> Batch:
        """Return the rows that the objective is shown before an epoch begins, `[N]`, on the CPU."""
        rows = draw_epoch_rows(spec, self.logs[0], self.held_out, self.seed, epoch)
        return self.tensors[0].of_log(self.held_out if spec.source == "held_out" else None).batch(rows)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch if device.type == "cpu" else batch.to(device, non_blocking=True)

    def _loader(self, which: int, sampler: AbstractSampler, space: Space, *more: Any) -> BatchLoader:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return BatchLoader(self.logs[which], self.tensors[which], sampler, space, self.seed, rank, world, *more)
