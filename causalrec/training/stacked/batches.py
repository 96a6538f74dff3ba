"""Batches of many fits side by side `[R,B]`: every replica sees the rows its own (log, seed) would give it alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import VALIDATION
from causalrec.data.sampler.rows import SampledRows
from causalrec.training.datamodule import LogTensors, split_batches
from causalrec.training.epoch_rows import draw_epoch_rows
from causalrec.training.fit_request import FitRequest
from causalrec.training.stacked.deduplicated_features import RowSources
from causalrec.types import Batch

ROWS_PER_STACK = 1 << 20  # rows gathered at a time


class StackedBatches:
    """Training and validation batches of requests that have equally many rows. Rows are drawn once per (log, seed).

    Args:
        requests: one for each replica.
        dtype: of floating columns.
        device: that holds the batches.
        tensors: of logs that were converted before, by the id of the log.
    """

    def __init__(
        self,
        requests: Sequence[FitRequest],
        dtype: torch.dtype,
        device: torch.device,
        tensors: dict[int, LogTensors] | None = None,
    ) -> None:
        self.requests, self.dtype, self.device = requests, dtype, device
        self.tensors = {} if tensors is None else tensors
        for request in requests:
            pairs, with_row = request.pair_propensity, request.objective.epoch_rows is not None
            for log, propensity in ((request.train, pairs), (request.held_out, pairs), (request.validation, None)):
                if log is not None and id(log) not in self.tensors:
                    more = (request.columns, request.arm_propensities, with_row)
                    self.tensors[id(log)] = LogTensors(log, request.features, propensity, False, *more)
        self.validation_rows = self._validation()

    def subset(self, requests: Sequence[FitRequest]) -> StackedBatches:
        """Return the batches of some of the requests."""
        return StackedBatches(requests, self.dtype, self.device, self.tensors)

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the epoch's batches `[R,B]`."""
        sources = self._sources([(id(request.train), request.seed) for request in self.requests])
        distinct = [self.requests[k] for k in sources.first]
        space, limit = self.requests[0].objective.space, self.requests[0].trainer.limit_batches
        streams = [request.sampler.blocks(request.train, space, request.seed, epoch) for request in distinct]
        left = limit or distinct[0].sampler.batches(distinct[0].train, space)
        for blocks in zip(*streams, strict=True):
            batch_count = len(blocks[0].row)
            step = max(1, ROWS_PER_STACK // (blocks[0].width * len(distinct)))
            for start in range(0, batch_count, step):
                span = slice(start, min(start + step, batch_count, start + left))
                gathered = [
                    self._gather(request.train, rows.at(span)) for request, rows in zip(distinct, blocks, strict=True)
                ]
                left -= span.stop - span.start
                for batch in split_batches(_join(lambda columns: torch.stack(columns, 1), gathered)):
                    yield sources.for_replicas(batch)
                if not left:
                    return

    def epoch_rows(self, epoch: int) -> Batch:
        """Return the rows that objectives are shown before an epoch begins, `[R,N]`."""
        batches: dict[Hashable, Batch] = {}
        keys = [(id(request.train), request.seed) for request in self.requests]
        for key, request in zip(keys, self.requests, strict=True):
            spec = request.objective.epoch_rows
            assert spec is not None
            if key not in batches:
                rows = draw_epoch_rows(spec, request.train, request.held_out, request.seed, epoch)
                log = request.held_out if spec.source == "held_out" and request.held_out is not None else request.train
                batches[key] = self.tensors[id(log)].batch(rows).map_tensors(self._to_device)
        return _join(torch.stack, [batches[key] for key in keys])

    def validation(self) -> Iterator[Batch]:
        """Yield the validation rows in parts `[R,n]`."""
        sources, rows = self.validation_rows
        step = max(1, ROWS_PER_STACK // len(self.requests))
        for start in range(0, rows.item.shape[-1], step):
            span = slice(start, start + step)
            yield sources.for_replicas(rows.map_tensors(lambda column, span=span: column[:, span]))  # type: ignore[misc]

    def _validation(self) -> tuple[RowSources, Batch]:
        validation_space = self.requests[0].validation_space
        sources = self._sources(
            [
                (id(request.validation), id(request.train), request.seed if validation_space != "logged" else 0)
                for request in self.requests
            ]
        )
        gathered = []
        for request in (self.requests[k] for k in sources.first):
            distinct = VALIDATION.epoch(request.validation, validation_space, request.seed, 0, request.train)
            gathered_blocks = [self._gather(request.validation, rows) for rows in distinct]
            gathered.append(_join(torch.cat, gathered_blocks))
        return sources, _join(torch.stack, gathered)

    def _sources(self, keys: Sequence[Hashable]) -> RowSources:
        return RowSources(keys, self.device)

    def _gather(self, log: InteractionLog, rows: SampledRows) -> Batch:
        return self.tensors[id(log)].batches(rows).map_tensors(self._to_device)

    def _to_device(self, column: Tensor) -> Tensor:
        return column.to(self.device, self.dtype) if column.is_floating_point() else column.to(self.device)


def _join(join: Callable[[list[Tensor]], Tensor], batches: Sequence[Batch]) -> Batch:
    tensors = [batch.tensors() for batch in batches]
    return Batch.from_tensors({path: join([each[path] for each in tensors]) for path in tensors[0]})
