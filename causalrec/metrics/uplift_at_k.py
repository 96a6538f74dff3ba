"""Uplift at k: the effect among the share of rows with the highest predictions."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from causalrec.metrics.uplift_curve import sums_of
from causalrec.metrics.uplift_rows import AbstractUplift, Clip, UpliftRows, uplift_rows


def uplift_at_k_of(rows: UpliftRows, weight: Tensor, share: float = 0.3) -> Tensor:
    """Return uplift at k `[R]` of sorted rows under row weights float64[R,N]."""
    sums = sums_of(rows, weight)
    count = sums.rows
    end = torch.floor(share * count[:, -1:])
    point = torch.searchsorted(count, end).clamp(1, count.shape[1] - 1)  # the first with so many rows
    low, high = count.gather(1, point - 1), count.gather(1, point)
    inside = (end - low) / (high - low)

    def up_to(column: Tensor) -> Tensor:
        return torch.lerp(column.gather(1, point - 1), column.gather(1, point), inside)[:, 0]

    treated = up_to(sums.treated_outcome) / up_to(sums.treated)
    return treated - up_to(sums.control_outcome) / up_to(sums.control)


def uplift_at_k(
    prediction: Tensor,
    outcome: Tensor,
    treatment: Tensor,
    propensity: Tensor | None = None,
    *,
    share: float = 0.3,
    clip: float = 0.01,
) -> Tensor:
    """Return the difference of both arms' mean outcomes among the `floor(share N)` rows with the highest predictions.

    A scalar in the outcome's unit. Means are weighted by inverse propensity; both arms are cut at the same rank
    (scikit-uplift's strategy "overall"). Of equal predictions at the cut each row counts as a fraction. nan where an
    arm has no row so high.

    Args:
        prediction: `[N]`, predicted effects.
        outcome: `[N]`, observed outcomes.
        treatment: `[N]`, 1 where treated, else 0.
        propensity: `[N]`, the probability of treatment 1; None: the same for all rows.
        share: of the rows that are looked at.
        clip: propensities are clipped to [clip, 1 - clip].

    Assumption: treatment is random given the propensity.

    >>> best = torch.tensor([4.0, 3.0, 2.0, 1.0])
    >>> uplift_at_k(best, torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([1, 0, 1, 0]), share=0.5)
    tensor(1., dtype=torch.float64)
    """
    rows = uplift_rows(prediction, outcome, treatment, propensity, clip)
    return uplift_at_k_of(rows, torch.ones(1, len(prediction), dtype=torch.float64), share)[0]


class UpliftAtK(AbstractUplift):
    """The effect among the rows with the highest predictions.

    Args:
        num_clusters: number of users (of rows, in userless logs).
        share: of the rows that are looked at.
        weights: weigh rows by inverse propensity.
        clip: propensities are clipped to [clip, 1 - clip].
    """

    under_affine = "scales"

    def __init__(
        self,
        num_clusters: int,
        *,
        share: Annotated[float, Field(gt=0, le=1)] = 0.3,
        weights: bool = True,
        clip: Clip = 0.01,
    ) -> None:
        super().__init__(num_clusters, weights=weights, clip=clip)
        self.share = share

    def value(self, rows: UpliftRows, weight: Tensor) -> Tensor:
        return uplift_at_k_of(rows, weight, self.share)
