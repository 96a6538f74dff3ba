"""Thompson sampling: an action as often as it is the best, by what might have been learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import ActionDistribution
from causalrec.errors import RequestError
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.policies.best_actions import best_shares
from causalrec.policies.scores.base import AbstractScores, distribution_by
from causalrec.types import Count, Doubles


@dataclass(frozen=True, kw_only=True)
class Thompson(AbstractPolicy):
    """`pi(a | x) = (n(x, a) + prior / A) / (R + prior)`, n the number of R draws of the scores in which a is best.

    The draws are bootstrap heads: the same baseline learnt from R resamples of the training rounds, or the runs of a
    row, which differ by their seed. Actions that tie for the best of a draw split it evenly. The prior, in draws, keeps
    an action possible that no draw prefers, so that a log of this policy can judge others. Assumption: the draws vary
    as the posterior does; seeds alone vary by less. Source: Chapelle & Li (NeurIPS 2011); bootstrap heads, Osband & Van
    Roy (2015).

    Attributes:
        scores: what is drawn.
        draws: R; None: 100 resamples of a baseline, all runs of a row.
        prior: draws that are spread evenly over all actions.
    """

    scores: AbstractScores
    draws: Count | None = None
    prior: Annotated[float, Field(ge=0)] = 1.0

    def check(self, card: DatasetCard) -> None:
        if not self.scores.can_draw:
            raise RequestError(
                f"thompson: {type(self.scores).__name__} has no draws; give it a baseline, or the run of a row of "
                f"several seeds"
            )
        self.scores.check(card)

    def bind(self, source: PolicySource) -> ActionDistribution:
        heads = self.scores.draws(source, self.draws)
        return distribution_by(heads, source, self._choose, self.scores.by_user)

    def _choose(self, scores: Sequence[Doubles]) -> Doubles:
        best: Doubles = np.sum([best_shares(head, 1) for head in scores], axis=0)
        shares: Doubles = (best + self.prior / best.shape[1]) / (len(scores) + self.prior)
        return shares
