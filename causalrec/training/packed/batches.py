"""Batches of many fits side by side `[R,B]`: every replica sees the rows its own (log, seed) would give it alone."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from causalrec.data.sampling import VALIDATION, Rows
from causalrec.training.datamodule import LogTensors, unbound
from causalrec.training.packed.shared import Sources
from causalrec.training.task import Task
from causalrec.types import Batch

MOST = 1 << 20  # rows made at a time


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
        sources = self._sources([(id(task.train), task.seed) for task in self.tasks])
        drawn = [self.tasks[k] for k in sources.first]
        space, limit = self.tasks[0].objective.space, self.tasks[0].trainer.limit_batches
        streams = [task.sampler.blocks(task.train, space, task.seed, epoch) for task in drawn]
        left = limit or drawn[0].sampler.batches(drawn[0].train, space)
        for blocks in zip(*streams, strict=True):
            many, width = blocks[0].row.shape
            step = max(1, MOST // (width * len(drawn)))
            for start in range(0, many, step):
                part = slice(start, min(start + step, many, start + left))
                made = [self._made(task.train, rows.at(part)) for task, rows in zip(drawn, blocks, strict=True)]
                left -= part.stop - part.start
                for batch in unbound(_columns(lambda *columns: torch.stack(columns, 1), made)):
                    yield sources.spread(batch)
                if not left:
                    return

    def validation(self) -> Iterator[Batch]:
        """Yield the validation rows in parts `[R,n]`."""
        sources, rows = self.judged
        step = max(1, MOST // len(self.tasks))
        for start in range(0, rows.item.shape[-1], step):
            part = slice(start, start + step)
            yield sources.spread(rows.mapped(lambda column, part=part: column[:, part]))  # type: ignore[misc]

    def _validation(self) -> tuple[Sources, Batch]:
        judged = self.tasks[0].judged
        sources = self._sources(
            [(id(task.validation), id(task.train), task.seed if judged != "logged" else 0) for task in self.tasks]
        )
        made = []
        for task in (self.tasks[k] for k in sources.first):
            drawn = VALIDATION.epoch(task.validation, judged, task.seed, 0, task.train)
            parts = [self._made(task.validation, rows) for rows in drawn]
            made.append(_columns(lambda *columns: torch.cat(columns), parts))
        return sources, _columns(lambda *columns: torch.stack(columns), made)

    def _sources(self, keys: Sequence[Hashable]) -> Sources:
        return Sources(keys, self.device)

    def _made(self, log: Any, rows: Rows) -> Batch:
        return self.tensors[id(log)].batches(rows).mapped(self._placed)

    def _placed(self, column: Tensor) -> Tensor:
        return column.to(self.device, self.dtype) if column.is_floating_point() else column.to(self.device)


def _columns(join: Any, batches: Sequence[Batch]) -> Batch:
    columns: dict[str, Any] = {}
    for name in (field.name for field in fields(Batch)):
        parts = [getattr(batch, name) for batch in batches]
        columns[name] = None if parts[0] is None else join(*parts)
    return Batch(**columns)
