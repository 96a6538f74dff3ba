"""Expected calibration error over equally wide bins."""

from __future__ import annotations

from torch import Tensor

from causalrec.metrics.calibration_bins import AbstractBinnedMetric, BinSums, NumBins


class ECE(AbstractBinnedMetric):
    """Mean gap between mean prediction and mean outcome of equally wide bins of the prediction.

    `ECE = sum over bins of (share of the rows) x |mean prediction - mean outcome|`, bins of [0, 1]; predictions beyond
    count in the bins at the ends. It is biased upwards: the mean outcome of a bin strays from its rate by chance, which
    counts as a gap, of `sqrt(2 / pi)` of its standard error where predictions are right: 15 bins of 100 rows each then
    have an ECE of 0.03. Resampled users add to that again, so that the interval is reflected (the basic one,
    `2 v - v*`) and may lie below the value: in 60 draws of 900 to 18,000 rows intervals for 95 % held true gaps of
    0.03 and 0.12 in 82 to 93 %, but right predictions' 0 in 45 to 65 % only (percentiles: in none, and that of 0.03 in
    12 to 90 %). Whether predictions are right, `brier_reliability` tells. Of true rates the gap has no such bias.

    Source: Naeini, Cooper & Hauskrecht (AAAI 2015); 15 bins: Guo, Pleiss, Sun & Weinberger (ICML 2017); interval:
    Davison & Hinkley (Bootstrap Methods and their Application 1997), eq. 5.6.

    Attributes:
        num_bins: of [0, 1].

    >>> import torch
    >>> from causalrec.metrics.base import Scored
    >>> metric = ECE(1)
    >>> metric.update(Scored(torch.tensor([0.7, 0.7]), torch.tensor([1.0, 0.0]), torch.tensor([0, 0]), 0.5))
    >>> round(float(metric.compute()), 4)
    0.2
    """

    labels = frozenset({"binary", "rate"})
    reflects = True

    def __init__(self, num_clusters: int, *, num_bins: NumBins = 15) -> None:
        super().__init__(num_clusters, num_bins=num_bins)

    def of_bins(self, bins: BinSums) -> Tensor:
        prediction, outcome, *_ = bins.means
        return bins.average((prediction - outcome).abs())
