"""Resolution: how far predictions tell rows of different rates apart."""

from __future__ import annotations

from torch import Tensor

from causalrec.metrics.calibration_bins import AbstractBinnedMetric, BinSums, NumBins


class BrierResolution(AbstractBinnedMetric):
    """Variance of the mean outcome between equally wide bins of the prediction.

    `RES = mean over rows of (y_k - y)^2`, y_k being the mean outcome of a row's bin and y that of all. Plainly it is
    biased upwards; `debias` as in `brier_reliability`, less what the mean of all rows varies.

    Source: Murphy (1973); debiased: Ferro & Fricker (2012).

    Attributes:
        num_bins: of [0, 1].
        debias: assumes that outcomes are independent given the predictions, and two rows or more in a bin.
    """

    labels = frozenset({"binary"})
    higher_is_better = True

    def __init__(self, num_clusters: int, *, num_bins: NumBins = 10, debias: bool = False) -> None:
        super().__init__(num_clusters, num_bins=num_bins)
        self.debias = debias

    def of_bins(self, bins: BinSums) -> Tensor:
        plain = bins.average((bins.means[1] - bins.rate[..., None]).square())
        return plain - bins.noise() + bins.join().noise() if self.debias else plain
