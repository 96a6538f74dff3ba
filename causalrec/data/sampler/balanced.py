"""The default: the rows of whichever space the objective averages over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.all_pairs import AllPairs
from causalrec.data.sampler.base import AbstractSampler
from causalrec.data.sampler.in_batch import InBatch
from causalrec.data.sampler.item_pairs import ItemPairs
from causalrec.data.sampler.logged import LoggedRows
from causalrec.data.sampler.rows import SampledRows
from causalrec.data.sampler.triples import Triples
from causalrec.errors import RequestError
from causalrec.types import Count, Space


@dataclass(frozen=True, kw_only=True)
class Balanced(AbstractSampler):
    """Draws logged rows, all pairs, triples, pairs of items and candidates as `LoggedRows`, `AllPairs`, `Triples`,
    `ItemPairs` and `InBatch` do.

    Attributes:
        batch_size: logged rows of a batch; what is drawn to them comes on top.
        observed_share: of all pairs: how much of a batch is logged rows.
        max_negative_tries: of triples: draws for a negative, after which a row weighs 0.
    """

    spaces: ClassVar[frozenset[Space]] = (
        LoggedRows.spaces | AllPairs.spaces | Triples.spaces | ItemPairs.spaces | InBatch.spaces
    )

    batch_size: Count = 2048
    observed_share: Annotated[float, Field(ge=0.001, lt=1)] = 0.5
    max_negative_tries: Count = 20

    def blocks(
        self, log: InteractionLog, space: Space, seed: int, epoch: int, further_log: InteractionLog | None = None
    ) -> Iterator[SampledRows]:
        """Yield the blocks of the sampler that draws this kind of rows.

        Args:
            log: the rows of the epoch.
            space: kind of rows that the objective averages over; RequestError where none of the five draws it.
            seed: of the fit.
            epoch: its number.
            further_log: further rows whose pairs are no negatives; None for none.
        """
        return self._sampler(space).blocks(log, space, seed, epoch, further_log)

    def batches(self, log: InteractionLog, space: Space) -> int:
        return self._sampler(space).batches(log, space)

    def candidate_count(self, space: Space, rows: int, items: int) -> int:
        return self._sampler(space).candidate_count(space, rows, items)

    def _sampler(self, space: Space) -> AbstractSampler:
        samplers = (
            LoggedRows(batch_size=self.batch_size),
            AllPairs(batch_size=self.batch_size, observed_share=self.observed_share),
            Triples(batch_size=self.batch_size, max_negative_tries=self.max_negative_tries),
            ItemPairs(batch_size=self.batch_size),
            InBatch(batch_size=self.batch_size),
        )
        for sampler in samplers:
            if space in sampler.spaces:
                return sampler
        raise RequestError(f"sampler=balanced: draws no {space} rows; it draws {', '.join(sorted(self.spaces))}")


VALIDATION = Balanced(batch_size=1 << 16)  # of rows that are judged, not learnt from
