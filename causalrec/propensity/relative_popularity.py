"""Relative exposure: an item's count beside that of the most popular item."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.types import Floats, PropensityKind


@dataclass(kw_only=True)
class RelativePopularity(AbstractPropensity):
    """`theta(u, i) = (n_i / max_j n_j) ** power`, float32[N]: exposure relative to the most popular item.

    It is no calibrated probability: it is right up to a factor at best, so the sum of 1/p does not estimate the number
    of pairs. Items never exposed count half a row. Assumption: exposure grows as this power of popularity, and every
    user is equally likely to meet an item. Source: Saito et al. (WSDM 2020, Rel-MF: power 1/2).
    """

    kind: ClassVar[PropensityKind] = "relative exposure"
    power: Annotated[float, Field(gt=0)] = 0.5
    _exposure: Floats = field(init=False, repr=False)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        counts = np.maximum(np.bincount(log.item, minlength=log.num_items), 0.5)
        self._exposure = ((counts / counts.max()) ** self.power).astype(np.float32)

    def predict(self, log: InteractionLog) -> Floats:
        return check_propensity(self._exposure[log.item], "relative_popularity")

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return ("item",)
