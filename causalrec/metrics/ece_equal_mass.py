"""Expected calibration error over equally filled bins."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractMetric, Scored, Subsets
from causalrec.metrics.calibration_bins import NumBins

AT_ONCE = 16  # resamples looked at together


def equal_mass_ece(
    prediction: Tensor, label: Tensor, weight: Tensor, num_bins: int, cluster: Tensor | None = None
) -> Tensor:
    """Return the ECE over equally filled bins under row weights, `[R]`; nan without weight.

    The rows sorted by prediction are cut where `1/B, 2/B, ..` of the weight lies below. Rows of equal prediction stay
    together, in the bin of their middle, so that their order does not matter, and fewer bins may be filled.

    Args:
        prediction: `[N]`.
        label: `[N]`, outcomes.
        weight: weights of rows `[R,N]`, or of clusters `[R,U]` where `cluster` is given.
        num_bins: B.
        cluster: int64[N], whose weight in `weight` each row has.

    >>> equal_mass_ece(torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0.0, 1.0, 1.0]), torch.ones(1, 3), 3)
    tensor([0.3000], dtype=torch.float64)
    """
    order = torch.argsort(prediction)
    value, run = torch.unique_consecutive(prediction[order], return_inverse=True)
    column = order if cluster is None else cluster[order]
    gap = (prediction - label)[order].double()
    return torch.cat(
        [
            _ece_of_runs(run, len(value), gap, chunk.index_select(1, column).double(), num_bins)
            for chunk in torch.split(weight, AT_ONCE)
        ]
    )


def _ece_of_runs(run: Tensor, runs: int, gap: Tensor, weight: Tensor, num_bins: int) -> Tensor:
    """ECE under weights `[R,N]` of rows sorted by prediction; `run`: which of the distinct predictions each has."""
    sums = weight.new_zeros(2, len(weight), runs)
    sums.index_add_(2, run, torch.stack([weight, weight * gap]))
    mass, total = sums[0], sums[0].sum(1, keepdim=True)
    middle = 2 * mass.cumsum(1) - mass  # twice the weight below, and half of the run's: whole where weights are
    bins = (num_bins * middle / (2 * total)).floor().nan_to_num().clamp(0, num_bins - 1).long()
    gaps = weight.new_zeros(len(weight), num_bins).scatter_add_(1, bins, sums[1])
    return gaps.abs().sum(1) / total[:, 0]


class EqualMassECE(AbstractMetric):
    """Mean gap between mean prediction and mean outcome of equally filled bins of the prediction.

    As `ece`, biased upwards and with an interval as it is, with bins that all predictions decide: each resample has
    bins of its own. Where predictions crowd in few bins of equal width it sees what these average away.

    Source: Nixon, Dusenberry, Zhang, Jerfel & Tran (CVPR Workshops 2019).

    Attributes:
        num_bins: of equally many rows, but for ties.
    """

    labels = frozenset({"binary"})
    higher_is_better = False
    reflects = True
    under_affine = "scales"
    prediction: list[Tensor]
    label: list[Tensor]
    cluster: list[Tensor]

    def __init__(self, num_clusters: int, *, num_bins: NumBins = 15) -> None:
        super().__init__()
        self.num_bins = num_bins
        for state in ("prediction", "label", "cluster"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, scored: Scored) -> None:
        self.prediction.append(scored.prediction)
        self.label.append(scored.label)
        self.cluster.append(scored.cluster)

    def compute(self) -> Tensor:
        prediction, label = torch.cat(list(self.prediction)), torch.cat(list(self.label))
        return equal_mass_ece(prediction, label, torch.ones(1, len(label)), self.num_bins)[0]

    def replicates(self, weights: Tensor) -> Tensor:
        prediction, label, cluster = (torch.cat(list(s)) for s in (self.prediction, self.label, self.cluster))
        return equal_mass_ece(prediction, label, weights, self.num_bins, cluster)

    def on_subsets(self, subsets: Subsets) -> Tensor:
        scored = subsets.scored
        return equal_mass_ece(scored.prediction, scored.label, subsets.mask, self.num_bins)
