"""The semi-synthetic MovieLens-100K of MRDR, as a log to train on, with the truth of every pair.

Source: Guo et al. (SIGIR 2021), whose population UPO (AAAI 2026) trains on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.completion import factorise, rank_into_levels
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.simulated_ml100k import (
    LEVELS,
    LICENCE,
    SIMULATED_COLUMNS,
    URLS,
    AbstractSimulatedML100K,
    frozen_columns,
)
from causalrec.errors import RequestError
from causalrec.types import Count, Doubles, Ints, Share

SHARES: Final = {"text": (0.53, 0.24, 0.14, 0.06, 0.03), "code": (0.53, 0.24, 0.14, 0.07, 0.02)}
EXPONENTS: Final = (4, 4, 3, 2, 1)  # of p, by true rate .1 .3 .5 .7 .9
ROUNDING: Final = 1e-9  # of shares that are written in decimals


@dataclass(frozen=True, kw_only=True)
class ML100KMRDR(AbstractSimulatedML100K):
    """Conversions of all 943 x 1,682 pairs at true rates .1 .3 .5 .7 .9, by rank of the completed rating matrix.

    A pair is exposed with probability `p ** k`, k = 4, 4, 3, 2, 1: who would convert is shown more, and no column says
    so. The completed matrix is the same in every draw; exposure and outcomes are drawn afresh by `draw`. The log holds
    the true probabilities, where the source hands its estimators perturbed ones: what a run divides by is
    its `propensity`. Source: Guo et al. (SIGIR 2021) with p = .5; UPO (AAAI 2026, Table 1) with p = .4 .5 .6. Raises
    RequestError on shares that do not sum to 1.

    Attributes:
        p: base of the probabilities of exposure.
        shares: of the five rates among all pairs, those of the paper's text; its public code has .07 and .02 at last.
        rank: width of the factorisation that completes the ratings.
        ridge: its L2 weight; the best 0/1 accuracy on a random tenth, of those that `choose_factorisation` tries, is
            that of rank 5 and ridge 6.
        test_items: uniformly drawn items per user whose outcomes are drawn afresh as the randomised test.
    """

    p: Share = 0.4
    shares: tuple[Share, ...] = SHARES["text"]
    rank: Count = 5
    ridge: Annotated[float, Field(gt=0)] = 6.0
    test_items: Count = 100

    def __post_init__(self) -> None:
        total = sum(self.shares)
        if len(self.shares) == len(LEVELS) and abs(total - 1) <= ROUNDING:
            return
        shown, rates = (", ".join(f"{value:g}" for value in values) for values in (self.shares, LEVELS))
        raise RequestError(
            f"dataset.shares=[{shown}]: {len(self.shares)} shares that sum to {total:g}; give five that sum to 1, of "
            f"the rates {rates}"
        )

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="ml100k_mrdr",
            domain="video",
            size="943 users, 1,682 movies, every pair known",
            licence=LICENCE,
            urls=URLS,
            sha256=self.real.card.sha256,
            columns=SIMULATED_COLUMNS,
            outcome="click",
            feedback="explicit",
            randomised="items drawn uniformly per user, outcomes drawn afresh from the true rate",
            logged_propensity=True,
            known_truth=True,
            fresh_test_labels=True,
            unseen="keep",
            self_selected=True,
            resampled_by=("draw",),
        )

    def load(self, root: Path) -> CausalDataset:
        real = self.real.load(root)
        every = np.ones(len(real.logged), bool)
        level = rank_into_levels(factorise(real.logged, every, self.rank, self.ridge), self.shares)
        rate = np.asarray(LEVELS)[level]
        return self.draw_dataset(
            real, frozen_columns(real), rate, exposure_probabilities(level, self.p), self.test_items
        )


def exposure_probabilities(level: Ints, p: float) -> Doubles:
    """Return `p ** k` of pairs by the level 0..4 of their true rate, k = 4, 4, 3, 2, 1; float64 of its shape.

    >>> exposure_probabilities(np.array([0, 1, 2, 3, 4]), 0.5).tolist()
    [0.0625, 0.0625, 0.125, 0.25, 0.5]
    """
    probability: Doubles = p ** np.asarray(EXPONENTS, np.float64)[level]
    return probability
