"""Batches of many fits side by side `[R,B]`: every replica sees the rows its own (log, seed) would give it alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from causalrec.data.sampling import VALIDATION, Rows
from causalrec.training.datamodule import LogTensors
from causalrec.training.task import Task
from causalrec.types import Batch

MOST = 1 << 20  # rows of all replicas made at a time


class PackedBatches:
    """Training and validation batches of tasks that have equally many rows. Rows are drawn once per (log, seed)."""

    def __init__(
        self,
        tasks: Sequence[Task],
        dtype: torch.dtype,
        device: torch.device,
        tensors: dict[int, LogTensors] | None = None,
    ) -> None:
        self.tasks, self.dtype, self.device = tasks, dtype, device
        self.tensors = {} if tensors is None else tensors
        for task in tasks:
            for log, chance in ((task.train, task.chance), (task.validation, None)):
                if id(log) not in self.tensors:
                    self.tensors[id(log)] = LogTensors(log, task.features, chance)
        self.judged = self._validation()

    def having(self, tasks: Sequence[Task]) -> PackedBatches:
        """Return the batches of some of the tasks."""
        return PackedBatches(tasks, self.dtype, self.device, self.tensors)

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the epoch's batches `[R,B]`."""
        sources, place = self._sources([(id(task.train), task.seed) for task in self.tasks])
        space, limit = self.tasks[0].objective.space, self.tasks[0].trainer.limit_batches
        streams = [task.sampler.blocks(task.train, space, task.seed, epoch) for task in sources]
        left = limit or sources[0].sampler.batches(sources[0].train, space)
        for blocks in zip(*streams, strict=True):
            many, width = blocks[0].row.shape
            step = max(1, MOST // (width * len(self.tasks)))
            for start in range(0, many, step):
                part = slice(start, min(start + step, many, start + left))
                made = [self._made(task.train, rows.at(part)) for task, rows in zip(sources, blocks, strict=True)]
                left -= part.stop - part.start
                yield from _unbound(_joined(made, place))
                if not left:
                    return

    def validation(self) -> Iterator[Batch]:
        """Yield the validation rows in parts `[R,n]` (`[1,n]` where all replicas share them)."""
        count = self.judged.item.shape[-1]
        step = max(1, MOST // len(self.tasks))
        for start in range(0, count, step):
            yield self.judged.mapped(lambda column, start=start: column[:, start : start + step])  # type: ignore[misc]

    def _validation(self) -> Batch:
        judged = self.tasks[0].judged
        keys = [(id(task.validation), id(task.train), task.seed if judged != "logged" else 0) for task in self.tasks]
        sources, place = self._sources(keys)
        made = []
        for task in sources:
            drawn = VALIDATION.epoch(task.validation, judged, task.seed, 0, task.train)
            parts = [self._made(task.validation, rows) for rows in drawn]
            made.append(_columns(lambda *columns: torch.cat(columns)[None], parts))
        return _joined(made, place).mapped(lambda column: column[0])

    def _sources(self, keys: Sequence[Any]) -> tuple[list[Task], Tensor]:
        """Return the first task of each distinct key, and each replica's place among them."""
        first = {key: k for k, key in reversed(list(enumerate(keys)))}
        order = sorted(first.values())
        places = {keys[k]: n for n, k in enumerate(order)}
        return [self.tasks[k] for k in order], torch.tensor([places[key] for key in keys], device=self.device)

    def _made(self, log: Any, rows: Rows) -> Batch:
        shape = rows.row.shape
        batch = self.tensors[id(log)].batch(rows.flat())
        return batch.mapped(lambda column: self._placed(column).view(*shape, *column.shape[1:]))

    def _placed(self, column: Tensor) -> Tensor:
        return column.to(self.device, self.dtype) if column.is_floating_point() else column.to(self.device)


def _columns(join: Any, batches: Sequence[Batch]) -> Batch:
    columns: dict[str, Any] = {}
    for name in (field.name for field in fields(Batch)):
        parts = [getattr(batch, name) for batch in batches]
        columns[name] = None if parts[0] is None else join(*parts)
    return Batch(**columns)


def _joined(made: Sequence[Batch], place: Tensor) -> Batch:
    """Stack sources `[m,B]` to `[m,R,B]`, each replica's from its place."""
    if len(made) == 1:
        return made[0].mapped(lambda column: column[:, None].expand(-1, len(place), *column.shape[1:]))
    stacked = _columns(lambda *columns: torch.stack(columns, 1), made)
    return stacked if len(made) == len(place) else stacked.mapped(lambda column: column[:, place])


def _unbound(block: Batch) -> Iterator[Batch]:
    columns = {name: getattr(block, name) for name in (field.name for field in fields(Batch))}
    parts = {name: column.unbind(0) for name, column in columns.items() if column is not None}
    for k in range(len(block.item)):
        one: dict[str, Any] = {name: parts[name][k] if name in parts else None for name in columns}
        yield Batch(**one)
