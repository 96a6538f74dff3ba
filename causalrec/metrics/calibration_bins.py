"""Sums of predictions and outcomes by bins of the prediction, of which measures of calibration are made."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from causalrec.metrics.base import AbstractMetric, Scored, Subsets

NumBins = Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class BinSums:
    """Sums over the rows of each bin of the prediction f, outcomes y.

    Attributes:
        sums: float64[5,...,B], rows and the sums of f, y, f squared and f y.
    """

    sums: Tensor

    @property
    def rows(self) -> Tensor:
        """The rows of each bin, `[...,B]`."""
        return self.sums[0]

    @property
    def means(self) -> Tensor:
        """The means of f, y, f squared and f y by bin, `[4,...,B]`; 0 in an empty bin."""
        return self.sums[1:] / self.rows.clamp_min(torch.finfo(torch.float64).tiny)

    @property
    def rate(self) -> Tensor:
        """The mean outcome of all rows, `[...]`."""
        return self.sums[2].sum(-1) / self.rows.sum(-1)

    def average(self, value: Tensor) -> Tensor:
        """Return the mean over rows of what is given by bin `[...,B]`, `[...]`; nan without any row."""
        return (self.rows * value).sum(-1) / self.rows.sum(-1)

    def join(self) -> BinSums:
        """Return the sums of all rows, as one bin."""
        return BinSums(self.sums.sum(-1, keepdim=True))

    def noise(self) -> Tensor:
        """Return how much the variance of each bin's mean outcome adds to a squared gap on average, `[...]`.

        `mean over rows of y_k (1 - y_k) / (n_k - 1)`, outcomes 0 or 1 and independent given f; a bin of one row has
        none to be judged by, and adds 0. Source: Brocker (Climate Dynamics 2012); Ferro & Fricker (QJRMS 2012).
        """
        rate = self.means[1]
        return self.average(rate * (1 - rate) / (self.rows - 1).clamp_min(1))


def bins_of_equal_width(prediction: Tensor, num_bins: int) -> Tensor:
    """Return the bin of each prediction among equally wide ones of [0, 1], int64[N]; what lies beyond is at the end.

    Bin k holds `[k / B, (k+1) / B)`, the last one 1 too.

    >>> bins_of_equal_width(torch.tensor([0.0, 0.55, 1.0, -3.0]), 10)
    tensor([0, 5, 9, 0])
    """
    return (prediction * num_bins).floor().clamp(0, num_bins - 1).long()


def row_values(prediction: Tensor, label: Tensor) -> Tensor:
    """Return what a row adds to `BinSums.sums`, float64[5,N]."""
    f, y = prediction.double(), label.double()
    return torch.stack([torch.ones_like(f), f, y, f * f, f * y])


def sum_by(group: Tensor, values: Tensor, count: int) -> Tensor:
    """Sum `values[5,N]` by `group[N]`: float64[5,count]."""
    return values.new_zeros(len(values), count).index_add_(1, group, values)


class AbstractBinnedMetric(AbstractMetric):
    """A function of sums over fixed bins of [0, 1], equally wide, by which users are resampled exactly.

    Of each user and bin that has a row the sums are kept, and no rows.
    """

    higher_is_better: bool | None = False
    under_affine = "undefined"
    streams = True
    cell: list[Tensor]
    sums: list[Tensor]

    def __init__(self, num_clusters: int, *, num_bins: NumBins) -> None:
        super().__init__()
        self.num_clusters, self.num_bins = num_clusters, num_bins
        for state in ("cell", "sums"):
            self.add_state(state, [], dist_reduce_fx="cat")

    @abstractmethod
    def of_bins(self, bins: BinSums) -> Tensor:
        """Return the metric, `[...]`, of sums by bin."""

    def update(self, scored: Scored) -> None:
        cell, row_cell = torch.unique(self._cells(scored), return_inverse=True)
        self.cell.append(cell)
        self.sums.append(sum_by(row_cell, row_values(scored.prediction, scored.label), len(cell)).T)

    @property
    def bins(self) -> BinSums:
        """The sums of all rows by bin."""
        bin_of_cell = torch.cat(list(self.cell)) % self.num_bins
        return BinSums(sum_by(bin_of_cell, torch.cat(list(self.sums)).T, self.num_bins))

    def compute(self) -> Tensor:
        return self.of_bins(self.bins)

    def replicates(self, weights: Tensor) -> Tensor:
        cell, sums = torch.cat(list(self.cell)), torch.cat(list(self.sums)).T
        row = torch.arange(len(sums))[:, None] * self.num_bins + cell % self.num_bins
        user = (cell // self.num_bins).expand_as(row)
        index = torch.stack([row.reshape(-1), user.reshape(-1)])
        size = (len(sums) * self.num_bins, self.num_clusters)
        by_user = torch.sparse_coo_tensor(index, sums.reshape(-1), size, check_invariants=False)  # said, or it warns
        resampled = torch.sparse.mm(by_user, weights.T.double())
        return self.of_bins(BinSums(resampled.view(len(sums), self.num_bins, -1).transpose(1, 2)))

    def on_subsets(self, subsets: Subsets) -> Tensor:
        rows = subsets.rows
        group = rows.cluster // subsets.num_clusters * self.num_bins + bins_of_equal_width(
            rows.prediction, self.num_bins
        )
        sums = sum_by(group, row_values(rows.prediction, rows.label), len(subsets) * self.num_bins)
        return self.of_bins(BinSums(sums.view(len(sums), len(subsets), self.num_bins)))

    def _cells(self, scored: Scored) -> Tensor:
        """Return the user and bin of each row as one number, int64[N]."""
        return scored.cluster * self.num_bins + bins_of_equal_width(scored.prediction, self.num_bins)
