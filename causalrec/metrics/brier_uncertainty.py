"""Uncertainty: the Brier score of the best constant."""

from __future__ import annotations

from torch import Tensor

from causalrec.metrics.calibration_bins import AbstractBinnedMetric, BinSums


class BrierUncertainty(AbstractBinnedMetric):
    """Variance of the outcomes, which no prediction moves: `y (1 - y)`, y being the mean outcome.

    Source: Murphy (1973); debiased: Ferro & Fricker (2012).

    Attributes:
        debias: as in `brier_reliability`: `y (1 - y) n / (n - 1)` of n rows.
    """

    labels = frozenset({"binary"})
    higher_is_better = None

    def __init__(self, num_clusters: int, *, debias: bool = False) -> None:
        super().__init__(num_clusters, num_bins=1)
        self.debias = debias

    def of_bins(self, bins: BinSums) -> Tensor:
        plain = bins.rate * (1 - bins.rate)
        return plain + bins.noise() if self.debias else plain
