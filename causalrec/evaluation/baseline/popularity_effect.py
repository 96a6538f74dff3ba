"""Popularity as if it were an effect: the mean outcome of an item's rows, exposed or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.types import Estimand, Floats, Ints


@dataclass(kw_only=True)
class PopularityEffect(AbstractBaseline):
    """Ranks by what is chosen anyway, `[N]`: the naive order that an order by effect must beat. Its unit is none."""

    tells_users_apart: ClassVar[bool] = False
    estimand: ClassVar[Estimand] = "effect"
    _mean: Floats = field(init=False, repr=False)

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        total = np.bincount(log.item, weights=log.outcome, minlength=log.num_items)
        count = np.bincount(log.item, minlength=log.num_items)
        self._mean = (total / np.maximum(count, 1)).astype(np.float32)

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        return self._mean[item]
