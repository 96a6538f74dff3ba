"""The test rows, named by what makes them unbiased."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource, held_out_name


@dataclass(frozen=True, kw_only=True)
class HeldOutSlice(AbstractSlice):
    """`randomised`, `fully_observed` or `logged`: the test rows with their outcomes.

    A log of positives alone has none: every outcome there is 1 (`full_ranking` judges it).
    """

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        card, test = source.dataset.card, source.splits.test
        if card.feedback == "positive_only":
            return
        yield SliceData(
            name=held_out_name(source),
            kind="binary" if card.outcome == "click" else "graded",
            user=test.users,
            item=test.item,
            label=test.outcome,
            num_users=test.num_users,
            time=test.time,
            columns=test.columns,
            jackknife=True,
        )
