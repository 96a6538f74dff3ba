"""Constant effect: the difference in mean outcome between an arm's training rows and those without treatment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.types import Estimand, Floats, Ints


@dataclass(kw_only=True)
class ConstantEffect(AbstractBaseline):
    """`mean(y | T=a) - mean(y | T=0)` for everybody, `[N,A]`: it ranks nothing, and any ranking must beat it."""

    tells_users_apart: ClassVar[bool] = False
    estimand: ClassVar[Estimand] = "effect"
    _effects: Floats = field(init=False, repr=False)

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        total = np.bincount(log.treatment, weights=log.outcome)
        means = total / np.maximum(np.bincount(log.treatment), 1)
        self._effects = (means[1:] - means[0]).astype(np.float32)

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        return np.tile(self._effects, (len(item), 1))
