"""The test rows, named by what makes them unbiased."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from causalrec.evaluation.slice.base import (
    AbstractSlice,
    SliceData,
    SliceSource,
    held_out_name,
    outcome_kind,
    slice_of_log,
)


@dataclass(frozen=True, kw_only=True)
class HeldOutSlice(AbstractSlice):
    """`randomised`, `fully_observed` or `logged`: the test rows with their outcomes.

    A log of positives alone has none where every test outcome is 1 too (`full_ranking` judges it).
    """

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        card, test = source.dataset.card, source.splits.test
        if card.feedback == "positive_only" and (test.outcome > 0).all():
            return
        yield replace(slice_of_log(test, held_out_name(source), outcome_kind(card)), jackknife=True)
