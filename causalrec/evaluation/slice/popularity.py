"""The test rows, or the positives of full rankings, by the popularity of their items: head, torso, tail and cold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.popularity import BORDERS, LEVELS, popularity_levels
from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import AbstractSlice, AnySliceData, SliceSource
from causalrec.evaluation.slice.full_ranking import FullRankingSlice
from causalrec.evaluation.slice.test import HeldOutSlice
from causalrec.types import Ints, Weight


@dataclass(frozen=True, kw_only=True)
class PopularitySlice(AbstractSlice):
    """`NAME_head`, `NAME_torso`, `NAME_tail` and `NAME_cold` of the test rows NAME; those without rows are left out.

    Of a log of positives alone NAME is `full_ranking`: what is counted are a user's positives of that popularity, where
    they stand among all items.

    Items by falling count of their training rows (ties by id) up to the first `borders[0]` of the rows are the head,
    those from `borders[1]` on the tail, the others the torso; those without a training row are cold (Abdollahpouri et
    al., UMAP 2021). Few-shot training rows are judged by the rows they were drawn from.
    """

    borders: tuple[Weight, Weight] = BORDERS

    def __post_init__(self) -> None:
        if self.borders[0] > self.borders[1]:
            raise RequestError(f"borders={list(self.borders)}: the head ends before the tail begins")

    def select(self, source: SliceSource) -> Iterator[AnySliceData]:
        splits = source.splits
        log = splits.train if splits.drawn_from is None else splits.drawn_from
        for test in HeldOutSlice().select(source):
            for level, rows in popularity_rows(test.item, log, self.borders).items():
                yield test.subset(f"{test.name}_{level}", rows)
        for ranking in FullRankingSlice().select(source):
            levels = popularity_levels(log, self.borders)
            by_level = (
                ranking.of_items(f"{ranking.name}_{name}", levels == level) for level, name in enumerate(LEVELS)
            )
            yield from (data for data in by_level if len(data))


def popularity_rows(item: Ints, log: InteractionLog, borders: tuple[float, float] = BORDERS) -> dict[str, Ints]:
    """Return the rows of `item[N]` in each of `LEVELS` that has some, judged by the rows of `log`."""
    levels = popularity_levels(log, borders)
    rows = {name: np.flatnonzero(levels[item] == k) for k, name in enumerate(LEVELS)}
    return {name: chosen for name, chosen in rows.items() if len(chosen)}
