"""Area under the ROC curve, pooled over all rows, ties counted half."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractMetric, Parts, Scored


def weighted_auc(prediction: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Return P(score of a positive > score of a negative) + half the ties, under row weights [R,N]: `[R]`.

    `prediction[N]`, `label[N]` in {0, 1}; nan where a class has no weight. The scores are sorted once for all R.

    >>> weighted_auc(torch.tensor([0.1, 0.5, 0.5]), torch.tensor([0.0, 1.0, 0.0]), torch.ones(1, 3))
    tensor([0.7500], dtype=torch.float64)
    """
    order = torch.argsort(prediction)
    _, counts = torch.unique_consecutive(prediction[order], return_counts=True)
    ends = counts.cumsum(0) - 1
    sorted_label = label[order].double()
    sorted_weight = weight[:, order].double()
    positive = _at(sorted_weight * sorted_label, ends)
    negative = _at(sorted_weight * (1 - sorted_label), ends)
    below = negative - torch.diff(negative, dim=1, prepend=negative.new_zeros(len(weight), 1)) / 2
    gained = torch.diff(positive, dim=1, prepend=positive.new_zeros(len(weight), 1))
    return (gained * below).sum(1) / (positive[:, -1] * negative[:, -1])


def _at(rows: Tensor, ends: Tensor) -> Tensor:
    return rows.cumsum(1)[:, ends]


class AUC(AbstractMetric):
    """Pooled AUC in [0, 1]; 0.5 for a constant. Labels must be 0 or 1."""

    labels = frozenset({"binary"})
    higher_is_better = True
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
        return torch.cat([weighted_auc(prediction, label, part[:, cluster]) for part in torch.split(weights, 16)])

    def on_parts(self, parts: Parts) -> Tensor:
        whole = parts.whole
        return torch.cat(
            [weighted_auc(whole.prediction, whole.label, part.double()) for part in torch.split(parts.kept, 16)]
        )
