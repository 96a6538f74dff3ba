"""What a slice reads, without a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from causalrec.data.dataset import CausalDataset
from causalrec.data.split.splits import Splits
from causalrec.propensity.base import AbstractPropensity
from causalrec.propensity.logged import Logged
from causalrec.types import Floats


@dataclass(frozen=True)
class Source:
    """A data set and its splits, with the propensities of its test rows where effects are judged."""

    dataset: CausalDataset
    splits: Splits
    propensity: AbstractPropensity = field(default_factory=Logged)
    adjusts: bool = True

    @property
    def test_probabilities(self) -> Floats:
        return self.propensity.treatment_probabilities(self.splits.test, len(self.dataset.card.arms))
