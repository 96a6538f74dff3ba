"""An augmentation that repeats every row at half its weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from causalrec.data.augmentation.base import AbstractAugmentation
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog


@dataclass(frozen=True, kw_only=True)
class Doubled(AbstractAugmentation):
    """Each training row twice, each half as heavy: the weighted mean of the loss stays."""

    own_propensity: ClassVar[bool] = False

    def augment(self, train: InteractionLog, dataset: CausalDataset, seed: int) -> InteractionLog:
        twice = train.take(np.tile(np.arange(len(train)), 2))
        return replace(twice, weight=np.tile(train.row_weights / 2, 2))
