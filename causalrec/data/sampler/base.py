"""The contract of samplers: which rows enter a step, drawn from (seed, epoch) alone: a resumed run sees the same."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import SampledRows
from causalrec.types import Count, Floats, Ints, Space

BLOCK = 1 << 18  # rows drawn together


class AbstractSampler(ABC):
    """Cuts an epoch into batches of the kind of rows (the space) that an objective averages over.

    An objective names its kind in `space`; a name that is new needs a sampler that draws it. Weights make the mean of
    `weight * x` estimate the mean of x over the objective's population.

    Attributes:
        spaces: the kinds of rows that it can draw.
        batch_size: logged rows of a batch; pairs and negatives that are drawn to them come on top.
    """

    spaces: ClassVar[frozenset[Space]]
    batch_size: int

    @abstractmethod
    def blocks(
        self, log: InteractionLog, space: Space, seed: int, epoch: int, further_log: InteractionLog | None = None
    ) -> Iterator[SampledRows]:
        """Yield the epoch as blocks `[m,B]` of equal batches, drawn together; a short last batch is a block.

        Args:
            log: the rows of the epoch.
            space: kind of rows that the objective averages over.
            seed: of the fit.
            epoch: its number; (seed, epoch) alone decides every draw.
            further_log: further rows whose pairs are no negatives, so that validation does not hold training rows
                against a model; None for none.
        """

    @abstractmethod
    def batches(self, log: InteractionLog, space: Space) -> int:
        """Return the number of batches of an epoch."""

    def candidate_count(self, space: Space, rows: int, items: int) -> int:
        """Return how many items the rows of a batch stand against, in a log of so many rows and items; 0 of spaces that
        have no candidates.
        """
        return 0

    def epoch(
        self, log: InteractionLog, space: Space, seed: int, epoch: int, further_log: InteractionLog | None = None
    ) -> Iterator[SampledRows]:
        """Yield the batches of one epoch; the same (seed, epoch) gives the same batches.

        Args:
            log: the rows of the epoch.
            space: kind of rows that the objective averages over.
            seed: of the fit.
            epoch: its number.
            further_log: further rows whose pairs are no negatives; None for none.
        """
        for block in self.blocks(log, space, seed, epoch, further_log):
            yield from (block.at(k) for k in range(len(block.row)))


@dataclass(frozen=True, kw_only=True)
class AbstractLogSampler(AbstractSampler):
    """A sampler that meets each logged row once in an epoch, alone or with what it draws to it.

    Attributes:
        reads_further_rows: whether it looks up the further rows that an epoch names.
        batch_size: logged rows of a batch; what is drawn to them comes on top.
    """

    reads_further_rows: ClassVar[bool] = True

    batch_size: Count = 2048

    @abstractmethod
    def draw(self, rows: Ints, log: InteractionLog, seen_log: InteractionLog, rng: np.random.Generator) -> SampledRows:
        """Return the batches `[m,B]` that hold these log rows.

        Args:
            rows: `[m,b]` row numbers of the log, int64.
            log: the log.
            seen_log: the log and the further rows, whose pairs are no negatives.
            rng: generator of every draw.
        """

    def blocks(
        self, log: InteractionLog, space: Space, seed: int, epoch: int, further_log: InteractionLog | None = None
    ) -> Iterator[SampledRows]:
        """Yield the epoch as blocks, each logged row once, in random order.

        Args:
            log: the rows of the epoch.
            space: kind of rows that the objective averages over.
            seed: of the fit.
            epoch: its number.
            further_log: further rows whose pairs are no negatives; None for none.
        """
        rng = np.random.default_rng([seed, epoch])
        yield from self.blocks_in_order(rng.permutation(len(log)), log, rng, further_log)

    def blocks_in_order(
        self, order: Ints, log: InteractionLog, rng: np.random.Generator, further_log: InteractionLog | None = None
    ) -> Iterator[SampledRows]:
        """Yield blocks of the rows in this order.

        Args:
            order: `[N]` row numbers of the log, int64.
            log: the rows of the epoch.
            rng: generator of every draw.
            further_log: further rows whose pairs are no negatives; None for none.
        """
        both = log.concatenate(further_log) if further_log is not None and self.reads_further_rows else log
        size = self.batch_size
        full = len(log) // size * size
        step = size * max(1, BLOCK // self.batch_size)
        bounds = [*range(0, full, step), *([full] if full < len(log) else []), len(log)]
        for start, stop in itertools.pairwise(bounds):
            stop = stop if start == full else min(stop, full)
            yield self.draw(order[start:stop].reshape(-1, size if start < full else stop - start), log, both, rng)

    def batches(self, log: InteractionLog, space: Space) -> int:
        return -(-len(log) // self.batch_size)


def relative_weight(log: InteractionLog, rows: Ints) -> Floats:
    """Return the weight that the log gives each row over their mean, float32 of the rows' shape, so that a mean over
    rows stays one.
    """
    if log.weight is None:
        return np.ones(rows.shape, np.float32)
    weight: Floats = (log.weight[rows] / log.weight.mean(dtype=np.float64)).astype(np.float32)
    return weight


def row_weight(log: InteractionLog, rows: Ints) -> Floats | np.float32:
    """Return the weight that the log gives each row, 1 where it gives none."""
    return np.float32(1) if log.weight is None else log.weight[rows]
