"""The contract of metrics that are an area below a curve of uplift: by tensors, or compiled where there is much."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from causalrec.metrics.compiled_uplift import kernel
from causalrec.metrics.uplift_curve import Area, Height, Sums, area_of
from causalrec.metrics.uplift_rows import AbstractUplift, Clip, UpliftRows

MANY = 1 << 24  # rows times replicates: a compiled pass is worth its import


class AbstractArea(AbstractUplift):
    """Area between a curve and that of a random order.

    `height`: of the curve; `by_arm`: which of the two curves the compiled pass computes.

    Args:
        num_clusters: number of users (of rows, in userless logs).
        normalise: divide by the area of a perfect order (outcomes 0 and 1).
        weights: weigh rows by inverse propensity.
        clip: propensities are clipped to [clip, 1 - clip].
    """

    by_arm: ClassVar[bool]

    def __init__(self, num_clusters: int, *, normalise: bool = False, weights: bool = True, clip: Clip = 0.01) -> None:
        super().__init__(num_clusters, weights=weights, clip=clip)
        self.normalise = normalise

    @property
    @abstractmethod
    def height(self) -> Height:
        """Return the height of the curve from sums so far."""

    @abstractmethod
    def perfect(self, area: Area) -> Tensor:
        """Return the area `[R]` of the order called perfect, of outcomes 0 and 1."""

    @abstractmethod
    def per_row(self, area: Area) -> Tensor:
        """Return the area `[R]` with both axes in shares of the rows, in the outcome's unit."""

    def finish(self, area: Area, rows: UpliftRows) -> Tensor:
        """Return the metric `[R]` of an area; nan where an arm has no rows, or where there is no perfect order."""
        if self.normalise and not rows.binary:
            return torch.full_like(area.gained, float("nan"))
        value = area.gained / self.perfect(area) if self.normalise else self.per_row(area)
        return torch.where(area.totals.both_arms, value, float("nan"))

    def value(self, rows: UpliftRows, weight: Tensor) -> Tensor:
        return self.finish(area_of(rows, weight, self.height), rows)

    def _values(self, rows: UpliftRows, weights: Tensor, column: Tensor) -> Tensor:
        if len(weights) * len(column) < MANY:
            return super()._values(rows, weights, column)
        return self.finish(compiled_area(rows, weights, column, self.by_arm), rows)


def compiled_area(rows: UpliftRows, weights: Tensor, column: Tensor, by_arm: bool) -> Area:
    """Return what `area_of` does, by a compiled pass.

    Args:
        rows: sorted rows.
        weights: `[R,U]`, weights of clusters.
        column: int64[N], which column of `weights` each row has.
        by_arm: the curve of AUUC (each arm's mean), else that of Qini.
    """
    last = np.zeros(len(rows.order), np.bool_)
    last[rows.ends.numpy()] = True
    columns = torch.stack([*rows.columns, rows.propensity], 1).numpy()
    cell = rows.cells.argmax(0).numpy()
    stands_for = np.ones(len(column)) if rows.weight is None else rows.weight.numpy()
    under, sums = kernel()(weights.double().numpy(), column.numpy(), stands_for, columns, cell, last, by_arm)
    count, treated, treated_outcome, control, control_outcome, probability = torch.from_numpy(sums[:, :6]).T[..., None]
    totals = Sums(count, torch.zeros_like(count), treated, treated_outcome, control, control_outcome)
    return Area(torch.from_numpy(under), totals, torch.from_numpy(sums[:, 6:]), probability[:, 0])
