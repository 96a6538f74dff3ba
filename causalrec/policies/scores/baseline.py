"""Scores of a baseline, learnt from the training rounds."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from causalrec.data.contexts import Contexts
from causalrec.errors import RequestError
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.policies.base import PolicySource
from causalrec.policies.scores.base import AbstractScores, ActionScores
from causalrec.types import Doubles

DRAWS = 100  # where nobody says how many


@dataclass(frozen=True, kw_only=True)
class BaselineScores(AbstractScores):
    """What a baseline predicts of each item, learnt from the training rounds alone; times are not read.

    A draw is the baseline learnt from as many rounds, drawn with replacement (the bootstrap of Efron, 1979).

    Attributes:
        baseline: popularity, item_mean or another that predicts a mean outcome.
    """

    can_draw: ClassVar[bool] = True
    baseline: AbstractBaseline

    def bind(self, source: PolicySource) -> ActionScores:
        if not len(source.train):
            raise RequestError(f"{source.dataset.card.name}: no training rounds to learn a baseline from; split them")
        name = type(self.baseline).__name__
        baseline = deepcopy(self.baseline)  # its fit is of these rounds, the component of all
        baseline.fit(source.train)

        def scores(contexts: Contexts) -> Doubles:
            users = np.zeros(len(contexts), np.int64) if contexts.user is None else contexts.user
            of_catalogue = baseline.predict_catalogue(users, contexts.num_actions)
            if of_catalogue is None:
                items = np.tile(np.arange(contexts.num_actions), len(users))
                of_catalogue = baseline.predict(np.repeat(users, contexts.num_actions), items)
            if of_catalogue.size != len(users) * contexts.num_actions:
                raise RequestError(f"{name}: predicts effects of arms, not the mean reward of actions; choose another")
            return of_catalogue.reshape(len(users), contexts.num_actions).astype(np.float64)

        return scores

    def draws(self, source: PolicySource, count: int | None) -> Sequence[ActionScores]:
        rng, rounds = np.random.default_rng(source.seed), len(source.train)
        resamples = [rng.integers(max(rounds, 1), size=rounds) for _ in range(count or DRAWS)]
        return [self.bind(replace(source, train=source.train.take(rows))) for rows in resamples]
