"""Whole rankings of users, judged by outcomes of a sample of their candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.pair_lists import PairLists
from causalrec.data.pair_sample import PairSample
from causalrec.data.split.splits import Splits
from causalrec.estimators.effect.overlap_warnings import effective_rows
from causalrec.evaluation.inclusion import (
    check_sample,
    eligible_items,
    inclusion_probabilities,
    met_codes,
    pair_ratios,
)
from causalrec.evaluation.slice.base import AbstractSlice, SliceSource
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.types import Doubles, Ints

NOTE = (
    "weighted_ranking: {candidates:,} candidates of {users:,} users (all items but those of the user's training and "
    "validation rows), judged by {rows:,} test rows, each weighted by one over its probability of being in the test "
    "({origin}); the greatest weight is {greatest:.3g}, and all weigh as much as {effective:,.0f} alike."
)


@dataclass(frozen=True, kw_only=True)
class WeightedRankingSlice(AbstractSlice):
    """`weighted_ranking`: all items of each user but those of the user's training and validation rows, of which test
    rows have outcomes, with the probability of being in the test.

    Its users are those with test rows where these were drawn apart from the log, else those with training rows: who has
    no test row by chance counts too.
    """

    def check(self, card: DatasetCard) -> None:
        check_sample(card)

    def select(self, source: SliceSource) -> Iterator[CatalogueData]:
        probability, splits = inclusion_probabilities(source), source.splits
        eligible, test, users = eligible_items(source), splits.test, ranked_users(splits)
        rows = ~np.isnan(probability) & np.isin(test.users, users)
        sample, probability = test.take(rows), probability[rows]
        data = CatalogueData(
            name="weighted_ranking",
            kind="sampled",
            users=users,
            num_users=test.num_users,
            num_items=test.num_items,
            excluded=PairLists.of(met_codes(splits), test.num_users, test.num_items).where(eligible),
            candidate_items=None if eligible.all() else eligible,
            sample=PairSample.of(sample, probability, pair_ratios(source, sample.users, probability)),
            jackknife=True,
        )
        yield replace(data, note=_note(data, 1 / probability, _origin(source)))


def ranked_users(splits: Splits) -> Ints:
    """Return whose rankings are judged, int64[M], rising: whoever the draw of the test could have given a row."""
    return np.unique((splits.test if splits.test_is_randomised else splits.train).users)


def _origin(source: SliceSource) -> str:
    """Say where the probabilities come from, a few words."""
    splits = source.splits
    if splits.test_is_randomised and source.dataset.card.unbiased == "fully_observed":
        return "1 of a block observed whole"
    if splits.test.propensity is not None:
        return "as logged"
    if splits.test_is_randomised:
        return "the user's test rows over the user's items without a logged row"
    return "by the fitted propensity, whose errors no interval holds"


def _note(data: CatalogueData, weight: Doubles, origin: str) -> str:
    return NOTE.format(
        candidates=int(data.list_lengths.sum()),
        users=len(data.users),
        rows=len(data),
        origin=origin,
        greatest=weight.max(initial=0.0),
        effective=effective_rows(weight),
    )
