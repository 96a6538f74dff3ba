"""Next-item training: every position of a user's history is a row, and the rows of a user stand together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler, AbstractSampler
from causalrec.data.sampler.rows import SampledRows
from causalrec.data.sampler.shared_negatives import SharedNegatives
from causalrec.data.sampler.triples import Triples
from causalrec.errors import DataError, RequestError
from causalrec.types import CANDIDATES, Count, Ints, Space


@dataclass(frozen=True, kw_only=True)
class Positions(AbstractSampler):
    """Each logged row once in an epoch: users in random order, the rows of each in the order of time.

    A row is a position of its user's sequence, its item the next one there, which an encoder of histories reads the
    earlier rows for. A batch holds whole sequences but for its ends, so that an encoder with `shared_windows` reads a
    sequence once for all of its rows (Kang & McAuley, ICDM 2018, section III-E); any other encoder learns from the same
    rows, in batches that hold fewer users. Negatives are those of `Triples`, candidates those of `SharedNegatives`:
    items of the batch would be the user's own. Rows with labels are no positions (`logged` is not drawn). Raises
    DataError without users or times.

    Attributes:
        batch_size: positions of a batch.
        num_negatives: of candidates: items drawn for a batch.
        alpha: of candidates: 0 draws uniformly, 1 as often as items are logged.
        max_negative_tries: of triples: draws for a negative, after which a row weighs 0.
    """

    spaces: ClassVar[frozenset[Space]] = Triples.spaces | SharedNegatives.spaces

    batch_size: Count = 2048
    num_negatives: Count = 1024
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.75
    max_negative_tries: Count = 20

    def blocks(
        self, log: InteractionLog, space: Space, seed: int, epoch: int, further_log: InteractionLog | None = None
    ) -> Iterator[SampledRows]:
        """Yield the epoch as blocks of batches, users in an order of (seed, epoch).

        Args:
            log: the rows of the epoch.
            space: `triples` or `candidates`; RequestError else.
            seed: of the fit.
            epoch: its number.
            further_log: further rows whose pairs are no negatives; None for none.
        """
        rng = np.random.default_rng([seed, epoch])
        yield from self._sampler(space).blocks_in_order(_by_user_and_time(log, rng), log, rng, further_log)

    def batches(self, log: InteractionLog, space: Space) -> int:
        return self._sampler(space).batches(log, space)

    def candidate_count(self, space: Space, rows: int, items: int) -> int:
        return self._sampler(space).candidate_count(space, rows, items)

    def _sampler(self, space: Space) -> AbstractLogSampler:
        if space in Triples.spaces:
            return Triples(batch_size=self.batch_size, max_negative_tries=self.max_negative_tries)
        if space == CANDIDATES:
            return SharedNegatives(batch_size=self.batch_size, num_negatives=self.num_negatives, alpha=self.alpha)
        raise RequestError(f"sampler=positions: draws no {space} rows; it draws {', '.join(sorted(self.spaces))}")


def _by_user_and_time(log: InteractionLog, rng: np.random.Generator) -> Ints:
    """Return the rows by user, users at random, each user's by time; rows of one time as in the log."""
    if log.user is None or log.time is None:
        missing = "users" if log.user is None else "times"
        raise DataError(f"{log.name}: sampler=positions orders each user's rows by time and the log has no {missing}")
    order: Ints = np.lexsort((log.time, rng.permutation(log.num_users)[log.user]))
    return order
