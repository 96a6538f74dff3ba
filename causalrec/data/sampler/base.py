"""The contract of samplers: which rows enter a step, drawn from (seed, epoch) alone: a resumed run sees the same."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import Rows
from causalrec.types import Count, Floats, Ints, Space

BLOCK = 1 << 18  # rows drawn together


class AbstractSampler(ABC):
    """Cuts an epoch into batches of the kind of rows (the space) that an objective averages over.

    `spaces`: the kinds of rows it can draw. An objective names its kind in `space`; a name that is new needs a sampler
    that draws it. Weights make the mean of `weight * x` estimate the mean of x over the objective's population.
    """

    spaces: ClassVar[frozenset[Space]]
    batch_size: int

    @abstractmethod
    def blocks(
        self, log: InteractionLog, space: Space, seed: int, epoch: int, known: InteractionLog | None = None
    ) -> Iterator[Rows]:
        """Yield the epoch as blocks `[m,B]` of equal batches, drawn together; a short last batch is a block.

        `known`: further rows whose pairs are no negatives, so that validation does not hold training rows against a
        model.
        """

    @abstractmethod
    def batches(self, log: InteractionLog, space: Space) -> int:
        """Return the number of batches of an epoch."""

    def epoch(
        self, log: InteractionLog, space: Space, seed: int, epoch: int, known: InteractionLog | None = None
    ) -> Iterator[Rows]:
        """Yield the batches of one epoch; the same (seed, epoch) gives the same batches."""
        for block in self.blocks(log, space, seed, epoch, known):
            yield from (block.at(k) for k in range(len(block.row)))


@dataclass(frozen=True, kw_only=True)
class AbstractLogSampler(AbstractSampler):
    """A sampler that meets each logged row once in an epoch, alone or beside what it draws to it.

    `reads_known_rows`: whether it looks up the further rows that an epoch names.

    Args:
        batch_size: rows of a batch, those that are not logged included.
    """

    reads_known_rows: ClassVar[bool] = True

    batch_size: Count = 2048

    @abstractmethod
    def draw(self, rows: Ints, log: InteractionLog, known: InteractionLog, rng: np.random.Generator) -> Rows:
        """Return the batches `[m,B]` that hold these log rows `[m,b]`. `known`: the log and further known rows."""

    @property
    def logged_per_batch(self) -> int:
        """How many rows of a batch are the log's."""
        return self.batch_size

    def blocks(
        self, log: InteractionLog, space: Space, seed: int, epoch: int, known: InteractionLog | None = None
    ) -> Iterator[Rows]:
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(log))
        both = log.joined(known) if known is not None and self.reads_known_rows else log
        size = self.logged_per_batch
        full = len(log) // size * size
        step = size * max(1, BLOCK // self.batch_size)
        bin_edges = [*range(0, full, step), *([full] if full < len(log) else []), len(log)]
        for start, stop in itertools.pairwise(bin_edges):
            stop = stop if start == full else min(stop, full)
            yield self.draw(order[start:stop].reshape(-1, size if start < full else stop - start), log, both, rng)

    def batches(self, log: InteractionLog, space: Space) -> int:
        return -(-len(log) // self.logged_per_batch)


def row_weight(log: InteractionLog, rows: Ints) -> Floats | np.float32:
    """Return the log's own weight of each row, 1 where it has none."""
    return np.float32(1) if log.weight is None else log.weight[rows]
