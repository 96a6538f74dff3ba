"""Item effect: the difference in mean outcome between an item's treated rows and its others, shrunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.types import Estimand, Floats, Ints


@dataclass(kw_only=True)
class ItemEffect(AbstractBaseline):
    """`m_a(i) - m_0(i)`, `[N,A]`, `m_a(i) = (sum of y + prior * m_a) / (n + prior)` over the rows of item i under a;
    `prior` in rows. Where there is one item it is the constant effect.
    """

    tells_users_apart: ClassVar[bool] = False
    estimand: ClassVar[Estimand] = "effect"
    prior: Annotated[float, Field(ge=0)] = 20.0
    _effects: Floats = field(init=False, repr=False)

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        arms = int(log.treatment.max()) + 1
        cells, size = log.treatment * log.num_items + log.item, arms * log.num_items
        total = np.bincount(cells, weights=log.outcome, minlength=size).reshape(arms, -1)
        count = np.bincount(cells, minlength=size).reshape(arms, -1)
        overall = total.sum(1, keepdims=True) / np.maximum(count.sum(1, keepdims=True), 1)
        means = (total + self.prior * overall) / np.maximum(count + self.prior, 1e-9)
        self._effects = (means[1:] - means[:1]).T.astype(np.float32)

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        return self._effects[item]
