"""Replicas of one seed read the same rows: they are held once and multiplied by every replica's coefficients."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from causalrec.types import Batch, TensorPath

SHARED_COLUMNS = ("features", "negative_features")


class RowSources:
    """Which of S sources each of R replicas draws its rows from, by the replicas' keys: `source_of[R]`.

    `first`: a replica of each source. The replicas of a source stand in a table `[S,C]`, C those of the largest.
    """

    def __init__(self, keys: Sequence[Hashable], device: torch.device) -> None:
        order = {key: n for n, key in enumerate(dict.fromkeys(keys))}
        sources, counts = [order[key] for key in keys], [0] * len(order)
        self.first = [keys.index(key) for key in order]
        ranks = []
        for source in sources:
            ranks.append(counts[source])
            counts[source] += 1
        self.shape = (len(order), max(counts))
        slots = [source * self.shape[1] + rank for source, rank in zip(sources, ranks, strict=True)]
        members = [0] * (self.shape[0] * self.shape[1])  # an empty slot reads the first replica, and is not read itself
        for replica, slot in enumerate(slots):
            members[slot] = replica
        self.source_of, self.slot_of, self.replica_in = (
            torch.tensor(ids, device=device) for ids in (sources, slots, members)
        )

    def for_replicas(self, batch: Batch) -> Batch:
        """Return the batch `[R,B]` of the replicas from that of the sources `[S,B]`."""
        return Batch.from_tensors(
            {path: self._column_for_replicas(path, column) for path, column in batch.tensors().items()}
        )

    def _column_for_replicas(self, path: TensorPath, column: Tensor) -> Any:
        if path[0] in SHARED_COLUMNS and column.shape[-1]:
            return DeduplicatedFeatures(column, self)
        if self.shape[0] == 1:
            return column.expand(len(self.source_of), *column.shape[1:])
        return column if self.shape[1] == 1 else column.index_select(0, self.source_of)

    def product(self, rows: Tensor, coefficients: Tensor) -> Tensor:
        """Return `rows[source_of] @ coefficients`, `[R,B,1]`, of `rows[S,B,F]` and `coefficients[R,F,1]`."""
        table = coefficients[..., 0].index_select(0, self.replica_in).view(*self.shape, -1)
        every = table @ rows.transpose(-1, -2)
        return every.flatten(0, 1).index_select(0, self.slot_of)[..., None]


class DeduplicatedFeatures:
    """Stands for the tensor `rows[source_of]` `[R,B,F]`.

    It is built only when an operation other than the product with coefficients needs it.
    """

    def __init__(self, rows: Tensor, sources: RowSources) -> None:
        self.rows, self.sources = rows, sources

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.sources.source_of), *self.rows.shape[1:]))

    @property
    def tensor(self) -> Tensor:
        """What this stands for."""
        return self.rows[self.sources.source_of]

    def __matmul__(self, other: Tensor) -> Tensor:
        alike = other.ndim == 3 and other.shape[-1] == 1
        return self.sources.product(self.rows, other) if alike else self.tensor @ other

    def __getitem__(self, chosen: Any) -> Tensor:
        return self.tensor[chosen]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tensor, name)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        return function(*(_as_tensor(item) for item in args), **(kwargs or {}))


def _as_tensor(value: Any) -> Any:
    """Return the tensor that is stood for, also within a list (`torch.cat`)."""
    if isinstance(value, list | tuple):
        return type(value)(_as_tensor(item) for item in value)
    return value.tensor if isinstance(value, DeduplicatedFeatures) else value
