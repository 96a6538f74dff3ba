"""What a decomposition of the Brier score into bins leaves within them."""

from __future__ import annotations

from torch import Tensor

from causalrec.metrics.calibration_bins import AbstractBinnedMetric, BinSums, NumBins


class BrierWithinBins(AbstractBinnedMetric):
    """Variance of the predictions within bins, less twice their covariance with the outcome there.

    `mean over rows of var_k(f) - 2 cov_k(f, y)`: 0 where all predictions of a bin are equal, negative where they tell
    rows of one bin apart, which resolution does not see.

    Source: Stephenson, Coelho & Jolliffe (Weather and Forecasting 2008), WBV - WBC.

    Attributes:
        num_bins: of [0, 1].
    """

    labels = frozenset({"binary"})
    higher_is_better = None  # high resolution leaves little to tell apart

    def __init__(self, num_clusters: int, *, num_bins: NumBins = 10) -> None:
        super().__init__(num_clusters, num_bins=num_bins)

    def of_bins(self, bins: BinSums) -> Tensor:
        f, y, f_squared, f_y = bins.means
        return bins.average(f_squared - f.square() - 2 * (f_y - f * y))
