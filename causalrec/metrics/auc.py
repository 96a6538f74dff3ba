"""Area under the ROC curve, pooled over all rows, ties counted half."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractMetric, Scored, Subsets

AT_ONCE = 16  # resamples looked at together


def weighted_auc(prediction: Tensor, label: Tensor, weight: Tensor, cluster: Tensor | None = None) -> Tensor:
    """Return P(score of a positive > score of a negative) + half the ties, under row weights, `[R]`.

    The scores are sorted once for all R. nan where a class has no weight.

    Args:
        prediction: `[N]`, scores.
        label: `[N]`, 0 or 1.
        weight: weights of rows `[R,N]`, or of clusters `[R,U]` where `cluster` is given.
        cluster: int64[N], whose weight in `weight` each row has.

    >>> weighted_auc(torch.tensor([0.1, 0.5, 0.5]), torch.tensor([0.0, 1.0, 0.0]), torch.ones(1, 3))
    tensor([0.7500], dtype=torch.float64)
    """
    order = torch.argsort(prediction)
    _, counts = torch.unique_consecutive(prediction[order], return_counts=True)
    ends, sorted_label = counts.cumsum(0) - 1, label[order].double()
    weight_column = order if cluster is None else cluster[order]
    chunks = torch.split(weight, AT_ONCE)
    return torch.cat(
        [_auc_of_sorted(sorted_label, ends, chunk.index_select(1, weight_column).double()) for chunk in chunks]
    )


def _auc_of_sorted(label: Tensor, ends: Tensor, weight: Tensor) -> Tensor:
    """AUC under weights `[R,N]` of rows sorted by score; `ends`: the last row of each run of equal scores."""
    positive, negative = _sums_at(weight * label, ends), _sums_at(weight * (1 - label), ends)
    area_below = negative - torch.diff(negative, dim=1, prepend=negative.new_zeros(len(weight), 1)) / 2
    gained = torch.diff(positive, dim=1, prepend=positive.new_zeros(len(weight), 1))
    return (gained * area_below).sum(1) / (positive[:, -1] * negative[:, -1])


def _sums_at(rows: Tensor, ends: Tensor) -> Tensor:
    return rows.cumsum(1).index_select(1, ends)


class AUC(AbstractMetric):
    """Pooled AUC in [0, 1]; 0.5 for a constant. Labels must be 0 or 1."""

    labels = frozenset({"binary"})
    higher_is_better = True
    under_affine = "undefined"
    prediction: list[Tensor]
    label: list[Tensor]
    cluster: list[Tensor]

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        for state in ("prediction", "label", "cluster"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, scored: Scored) -> None:
        self.prediction.append(scored.prediction)
        self.label.append(scored.label)
        self.cluster.append(scored.cluster)

    def compute(self) -> Tensor:
        label = torch.cat(list(self.label))
        return weighted_auc(torch.cat(list(self.prediction)), label, torch.ones(1, len(label)))[0]

    def replicates(self, weights: Tensor) -> Tensor:
        prediction, label, cluster = (torch.cat(list(s)) for s in (self.prediction, self.label, self.cluster))
        return weighted_auc(prediction, label, weights, cluster)

    def on_subsets(self, subsets: Subsets) -> Tensor:
        return weighted_auc(subsets.scored.prediction, subsets.scored.label, subsets.mask)
