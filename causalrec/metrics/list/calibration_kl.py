"""How far the genres of a list are from those of what its user liked."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import sparse

from causalrec.catalogue.item_space import LEVELLED, check_column
from causalrec.catalogue.lists import NO_ITEM, Lists
from causalrec.data.card import DatasetCard
from causalrec.metrics.list.list_mean import AbstractListMean
from causalrec.types import Doubles, Floats, Ints

NUMBERS_AT_ONCE = 1 << 20  # of levels of users, that are held


class CalibrationKL(AbstractListMean):
    """Divergence of a list's genres from those of the training items that its user liked, averaged over users: 0 where
    they are alike.

    `KL(p || q~) = sum over genres g of p(g) log(p(g) / q~(g))` in nats, `q~ = (1 - alpha) q + alpha p`, p(g) the mean
    over the user's liked items of p(g | item), q(g) that over the list's; p(g | item) is equal among its genres. Liked:
    the outcome is above the mean of the training rows. Items without genres are left out, and users who liked, or are
    shown, no others.
    Source: Steck (RecSys 2018), eqs. 1, 2, 5 and 6.

    Args:
        num_clusters: of users.
        column: of the items, a category or a list of several; None: the only one.
        alpha: share of p that is mixed into q, so that a genre missing in the list is no infinite distance.
    """

    higher_is_better = False
    left_out = "liked no training item, or are shown none, that the column says something of"

    def __init__(
        self,
        num_clusters: int,
        *,
        column: str | None = None,
        alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01,
    ) -> None:
        super().__init__(num_clusters)
        self.column, self.alpha = column, alpha

    def check(self, card: DatasetCard) -> None:
        check_column(card, self.column, kinds=LEVELLED)

    def by_list(self, lists: Lists) -> Doubles:
        column = check_column(lists.facts.dataset.card, self.column, kinds=LEVELLED).name
        shares = lists.facts.level_shares(column)
        size = max(1, NUMBERS_AT_ONCE // max(shares.shape[1], 1))
        blocks = [slice(start, start + size) for start in range(0, len(lists.user), size)]
        return np.concatenate([self._divergence(lists, rows, shares) for rows in blocks] or [np.zeros(0)])

    def _divergence(self, lists: Lists, rows: slice, shares: Floats) -> Doubles:
        user, (row, position) = lists.user[rows], np.nonzero(lists.item[rows] != NO_ITEM)
        liked = _mean_shares(*lists.facts.liked.of_users(user), shares, len(user))
        shown = _mean_shares(row, lists.item[rows][row, position], shares, len(user))
        mixed = (1 - self.alpha) * shown + self.alpha * liked
        with np.errstate(divide="ignore", invalid="ignore"):  # genres that the user liked none of add 0
            terms = np.where(liked > 0, liked * np.log(liked / mixed), 0.0)
        defined = (liked.sum(1) > 0) & (shown.sum(1) > 0)
        return np.where(defined, terms.sum(1), np.nan)


def _mean_shares(row: Ints, item: Ints, shares: Floats, count: int) -> Doubles:
    """Return the mean shares of levels of each row's items, float64[count,L]; 0 throughout where none has a level."""
    rows = sparse.csr_matrix((np.ones(len(row)), (row, item)), shape=(count, len(shares)))
    total: Doubles = rows @ shares.astype(np.float64)
    mean: Doubles = total / np.maximum(total.sum(1, keepdims=True), 1e-300)
    return mean
