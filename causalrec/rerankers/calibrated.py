"""Calibrated lists: genres, or levels of another column, as the user likes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.item_space import LEVELLED, check_column
from causalrec.data.card import DatasetCard
from causalrec.rerankers.base import AbstractReranker, Rerank
from causalrec.rerankers.calibration import calibrate
from causalrec.rerankers.levels import column_levels
from causalrec.types import Floats, Share

TINY = np.float32(1e-30)


@dataclass(frozen=True, kw_only=True)
class CalibratedLists(AbstractReranker):
    """Levels of a column have the shares in a list that they have among the items its user liked.

    Takes `argmax_i (1 - weight) score_i - weight KL(p || q~)`, in nats: `p(l)` is the mean over the user's liked
    training items of the level's share in an item (1 / n of an item of n levels), `q(l)` the same over the list with i,
    and `q~ = (1 - alpha) q + alpha p`. A user who liked none has the shares of all users' likes; an item without a
    level changes no share.
    Source: Steck (RecSys 2018), whose lambda is the weight.

    Attributes:
        column: of items: a category, or a list of several; None: the only one.
        alpha: how much of p is mixed into q, so that what the list lacks costs no infinity (the paper's value).
    """

    column: str | None = None
    alpha: Share = 0.01

    def check(self, card: DatasetCard) -> None:
        check_column(card, self.column, kinds=LEVELLED)

    def bind(self, facts: CatalogueFacts) -> Rerank:
        def divergence(wanted: Floats, share: Floats) -> Floats:
            return kl_divergence(wanted, share, self.alpha)

        return calibrate(self.weight, column_levels(facts, self.column), divergence)


def kl_divergence(wanted: Floats, share: Floats, alpha: float) -> Floats:
    """Return `KL(p || (1 - alpha) q + alpha p)` of shares p and q, `[..,L]` each, in nats, `[..]`.

    >>> round(float(kl_divergence(np.array([0.5, 0.5]), np.array([1.0, 0.0]), 0.01)), 4)
    1.9585
    """
    mixed = (1 - alpha) * share + alpha * wanted
    ratio = np.log(np.maximum(wanted, TINY)) - np.log(np.maximum(mixed, TINY))  # its weight is 0 where a share is
    divergence: Floats = (wanted * ratio).sum(-1)
    return divergence
