"""Macro F1: the mean over classes of how well each is found."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractMetric, Scored, Subsets


def macro_f1(hits: Tensor, chosen: Tensor, true: Tensor) -> Tensor:
    """Return the mean over classes of `2 hits / (chosen + true)`, `[...]`, from counts of rows by class `[...,C]`.

    `hits`: chosen rightly. A class that is neither chosen nor true is left out; nan without any.

    >>> macro_f1(torch.tensor([1.0, 1.0, 0.0]), torch.tensor([2.0, 1.0, 0.0]), torch.tensor([1.0, 2.0, 0.0]))
    tensor(0.6667)
    """
    both = chosen + true
    return (2 * hits / both.clamp_min(1e-30)).sum(-1) / (both > 0).sum(-1)


class MacroF1(AbstractMetric):
    """Unweighted mean of the F1 of each class, so that rare classes count as much; classes as for `accuracy`."""

    labels = frozenset({"binary", "graded"})
    higher_is_better = True
    under_affine = "undefined"
    chosen: list[Tensor]
    true: list[Tensor]
    cluster: list[Tensor]

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        self.num_clusters = num_clusters
        for state in ("chosen", "true", "cluster"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, scored: Scored) -> None:
        for state, values in zip((self.chosen, self.true), scored.classes, strict=True):
            state.append(values)
        self.cluster.append(scored.cluster)

    def compute(self) -> Tensor:
        return macro_f1(*self._counts().sum(1))

    def replicates(self, weights: Tensor) -> Tensor:
        return macro_f1(*(weights @ self._counts()))

    def on_subsets(self, subsets: Subsets) -> Tensor:
        rows = subsets.rows
        return macro_f1(*counts(*rows.classes, rows.cluster // subsets.num_clusters, len(subsets)))

    def _counts(self) -> Tensor:
        chosen, true, cluster = (torch.cat(list(state)) for state in (self.chosen, self.true, self.cluster))
        return counts(chosen, true, cluster, self.num_clusters)


def counts(chosen: Tensor, true: Tensor, group: Tensor, groups: int) -> Tensor:
    """Return how many rows of each group are hits, chosen and true, by class: float64[3,groups,C].

    Args:
        chosen: int64[N], predicted classes.
        true: int64[N], true classes.
        group: int64[N], the group of each row.
        groups: number of groups.
    """
    classes, class_index = torch.unique(torch.cat([chosen, true]), return_inverse=True)
    of_chosen, of_true = (group * len(classes) + index for index in class_index.view(2, -1))
    cells = (of_true[chosen == true], of_chosen, of_true)
    return torch.stack([torch.bincount(cell, minlength=groups * len(classes)).double() for cell in cells]).view(
        3, groups, len(classes)
    )
