"""Scores that a simulation alone knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import Contexts
from causalrec.errors import RequestError
from causalrec.policies.base import PolicySource
from causalrec.policies.scores.base import AbstractScores, ActionScores
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class OracleScores(AbstractScores):
    """The true mean reward of each action: what no policy could know that is deployed, an upper end to compare.

    By the context where the data know it so (`context_oracle`), else by user and item. Raises RequestError where they
    know no truth.
    """

    by_user: ClassVar[bool] = False

    def check(self, card: DatasetCard) -> None:
        if not card.known_truth:
            raise RequestError(f"{card.name}: its true outcomes are not known; choose scores of a run or a baseline")

    def bind(self, source: PolicySource) -> ActionScores:
        oracle, name = source.dataset.oracle, source.dataset.card.name
        if source.dataset.context_oracle is not None:
            return source.dataset.context_oracle
        if oracle is None or source.dataset.logged.user is None:
            raise RequestError(f"{name}: has no true mean reward of actions; choose scores of a run or a baseline")

        def scores(contexts: Contexts) -> Doubles:
            assert contexts.user is not None
            return oracle.rate(contexts.user[:, None], np.arange(contexts.num_actions)[None, :]).astype(np.float64)

        return scores
