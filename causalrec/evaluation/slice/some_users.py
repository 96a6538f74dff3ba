"""The test rows of some users, drawn whole: for models that take too long over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.errors import DataError, RequestError
from causalrec.evaluation.slice.base import (
    AbstractSlice,
    SliceData,
    SliceSource,
    held_out_name,
    outcome_kind,
    slice_of_log,
)
from causalrec.types import Count, Seed


@dataclass(frozen=True, kw_only=True)
class SomeUsersSlice(AbstractSlice):
    """`randomised_users` and its like: all test rows of `users` users of the test, drawn at random.

    The draw follows its seed and the test alone, so that every row of a table is judged on the same users; of users
    drawn at random, means over them estimate those over all test users, with wider intervals.

    Attributes:
        users: how many users are drawn.
        seed: of the draw.
    """

    users: Count = 100
    seed: Seed = 0

    def check(self, card: DatasetCard) -> None:
        if not any(column.entity == "user" for column in card.columns):
            raise RequestError(f"slice=some_users: {card.name} has no users; set slice=[test]")

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        card, test = source.dataset.card, source.splits.test
        if card.feedback == "positive_only" and (test.outcome > 0).all():
            return
        of_test = np.unique(test.users)
        if len(of_test) < self.users:
            raise DataError(
                f"slice=some_users: the test has {len(of_test)} users, fewer than slice.some_users.users={self.users}; "
                f"lower it, or set slice=[test]"
            )
        drawn_users = np.random.default_rng(self.seed).choice(of_test, self.users, replace=False)
        rows = np.flatnonzero(np.isin(test.users, drawn_users))
        data = slice_of_log(test.take(rows), f"{held_out_name(source)}_users", outcome_kind(card))
        note = (
            f"{data.name}: the test rows of {self.users} of its {len(of_test)} users, drawn whole (seed {self.seed})."
        )
        yield replace(data, jackknife=True, note=note)
