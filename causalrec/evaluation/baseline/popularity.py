"""Popularity: how many users an item has pleased."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.types import Floats, Ints


@dataclass(kw_only=True)
class Popularity(AbstractBaseline):
    """`sum of outcomes / U`: the chance that a random user was exposed *and* liked it, so it ranks by popularity.

    As a mean outcome under exposure it is far too low wherever exposure is rare; its squared error says so.
    """

    tells_users_apart: ClassVar[bool] = False
    in_outcome_unit: ClassVar[bool] = False
    _share: Floats = field(init=False, repr=False)

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        total = np.bincount(log.item, weights=log.outcome, minlength=log.num_items)
        self._share = (total / max(log.num_users, 1)).astype(np.float32)

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        return self._share[item]
