"""Popularity-calibrated lists: popular and less popular items in the proportions that the user is used to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.data.card import DatasetCard
from causalrec.data.popularity import BORDERS
from causalrec.errors import RequestError
from causalrec.rerankers.base import AbstractReranker, Rerank
from causalrec.rerankers.calibration import calibrate
from causalrec.rerankers.levels import head_torso_tail
from causalrec.types import Floats, Weight


@dataclass(frozen=True, kw_only=True)
class PopularityCalibrated(AbstractReranker):
    """Head, torso and tail of the catalogue have the shares in a list that they have among the items its user met.

    Takes `argmax_i (1 - weight) score_i - weight JS(p, q)`, the Jensen-Shannon divergence to base 2, within 0..1: `p`
    are the shares of head, torso and tail among the user's exposed training items, `q` those of the list with i. Items
    by falling count of their exposed training rows up to the first `borders[0]` of the rows are the head, those from
    `borders[1]` on the tail, with items that have no row. A user without rows has the shares of all users. Source:
    Abdollahpouri et al. (UMAP 2021; Calibrated Popularity), whose lambda is the weight.

    Attributes:
        borders: shares of the training rows at which head and torso end (the paper's values).
    """

    borders: tuple[Weight, Weight] = BORDERS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.borders[0] > self.borders[1]:
            raise RequestError(f"borders={[*self.borders]}: the head ends before the tail begins")

    def check(self, card: DatasetCard) -> None:
        """Nothing is lacking: every log has popular items."""

    def bind(self, facts: CatalogueFacts) -> Rerank:
        return calibrate(self.weight, head_torso_tail(facts, self.borders), jensen_shannon)


def jensen_shannon(wanted: Floats, share: Floats) -> Floats:
    """Return the Jensen-Shannon divergence of shares, `[..,L]` each, to base 2, `[..]`.

    >>> jensen_shannon(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]])).tolist()
    [1.0, 0.0]
    """
    middle: Floats = (wanted + share) * np.float32(0.5)
    divergence: Floats = (_terms(wanted, middle) + _terms(share, middle)).sum(-1) / 2
    return divergence


def _terms(share: Floats, middle: Floats) -> Floats:
    ratio = np.divide(share, middle, out=np.ones_like(middle), where=share > 0)
    terms: Floats = share * np.log2(ratio)
    return terms
