"""What a slice reads, without a run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity
from causalrec.propensity.logged import Logged
from causalrec.types import Floats, Ints


def without_columns() -> FeatureMatrix:
    return FeatureMatrix((), (), np.zeros((1, 0), np.float32), np.zeros((1, 0), np.float32))


@dataclass(frozen=True)
class Source:
    """A data set and its splits, with the propensities of its test rows where effects are judged."""

    dataset: CausalDataset
    splits: Splits
    propensity: AbstractPropensity = field(default_factory=Logged)
    adjusts: bool = True
    test_clusters: tuple[Ints, ...] = ()
    features: FeatureMatrix = field(default_factory=without_columns)

    @property
    def train(self) -> InteractionLog:
        return self.splits.train

    @property
    def test_probabilities(self) -> Floats:
        return self.propensity.treatment_probabilities(self.splits.test, len(self.dataset.card.arms))
