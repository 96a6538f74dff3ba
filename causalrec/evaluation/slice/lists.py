"""The lists that test users are shown: the best items of the whole catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.data.pair_lists import PairLists, sort_distinct
from causalrec.evaluation.list_gains import list_gains
from causalrec.evaluation.slice.base import AbstractSlice, SliceSource, arm_name
from causalrec.evaluation.slice.catalogue import CatalogueData, ListRequest
from causalrec.types import Count

NOTE = (
    "{name}: each test user's first {k} of all items{by}, but those of the user's training and validation rows; ties "
    "in random order. A gain is {gain}. Of the catalogue's numbers (coverage, exposure) the interval leaves groups of "
    "users out, and the bias beside it is by how much they are estimated to lie above those of many more users."
)


@dataclass(frozen=True, kw_only=True)
class ListsSlice(AbstractSlice):
    """`lists`: for each test user the first `k` of all items, but those of the user's training and validation rows.

    Where the task asks for effects, items are ranked by that of an arm, each arm apart: `lists`, `lists_arm2` and so
    on. Scores that tie are put in a random order, the same for every model. None in a log without users, or of one
    item.

    Attributes:
        k: items of a list.
    """

    k: Count = 10
    makes_lists: ClassVar[bool] = True

    def select(self, source: SliceSource) -> Iterator[CatalogueData]:
        splits = source.splits
        test = splits.test
        if test.user is None or test.num_items < 2:
            return
        facts = CatalogueFacts(source.dataset, splits.train, source.cache, splits.drawn_from)
        met = PairLists.of(
            np.concatenate([splits.train.codes, splits.validation.codes]), test.num_users, test.num_items
        )
        arms = source.dataset.card.arms
        for arm in range(1, len(arms) + 1) if arms else (0,):
            gains = list_gains(source, arm)
            name = arm_name("lists", max(arm, 1))
            by = f" by the effect of arm {arm}" if arm else ""
            yield CatalogueData(
                name=name,
                kind="lists",
                users=sort_distinct(test.user),
                num_users=test.num_users,
                num_items=test.num_items,
                excluded=met,
                lists=ListRequest(k=self.k, facts=facts, gains=gains.gains, key=gains.key),
                arm=arm,
                jackknife=True,
                note=NOTE.format(name=name, k=self.k, by=by, gain=gains.words),
            )
