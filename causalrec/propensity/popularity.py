"""Item popularity as a propensity: the share of users an item was exposed to."""

from dataclasses import dataclass, field

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.types import Floats


@dataclass(kw_only=True)
class PopularityPropensity(AbstractPropensity):
    """`p(u, i) = n_i / U`: a probability, not the max-normalised count of much public code.

    U counts the users that the log stands for (`split=sampled_ids`: those drawn). Items never exposed get half a user
    (no logged row of the training part is one). Assumption: every user is equally likely to meet an item, so it reads
    the item alone, whatever the adjustment set.
    """

    _share: Floats = field(init=False, repr=False)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        counts = np.maximum(np.bincount(log.item, minlength=log.num_items), 0.5)
        self._share = np.minimum(counts / len(log.pool_users), 1.0).astype(np.float32)

    def predict(self, log: InteractionLog) -> Floats:
        return check_propensity(self._share[log.item], "popularity")

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return ("item",)
