"""RATE: the rank-weighted average effect, how much more the rows ranked first gain than all do."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from causalrec.metrics.base import Scored
from causalrec.metrics.uplift_curve import area_below, running_sum
from causalrec.metrics.uplift_rows import AbstractUplift, Clip, UpliftRows, uplift_rows

Weighting = Literal["autoc", "qini"]


def rank_weighted_effect_of(rows: UpliftRows, weight: Tensor, weighting: Weighting = "autoc") -> Tensor:
    """Return RATE `[R]` of sorted rows under row weights float64[R,N]."""
    score, none = rows.outcome * (rows.treated - rows.control), weight.new_zeros(len(weight), 1)
    (block,) = rows.blocks(len(rows.order))
    reached, total = running_sum(block, weight, none), running_sum(block, weight, none, score)
    count = weight.sum(1)
    if weighting == "qini":
        value = area_below(reached.diff(dim=1), total) / count - total[:, -1] / 2
    else:
        value = _autoc(reached, total)
    both = (weight @ (rows.treated > 0).double() > 0) & (weight @ (rows.control > 0).double() > 0)
    return torch.where(both, value / count, float("nan"))


def _autoc(reached: Tensor, total: Tensor) -> Tensor:
    """Return the integral over rows of the mean score so far, above that of all: exact, with each run's mean spread
    over the run, so that it is the same where one row stands twice.
    """
    width, sums, before, earlier = reached.diff(dim=1), total.diff(dim=1), reached[:, :-1], total[:, :-1]
    mean = torch.where(width > 0, sums / width, 0.0)
    grown = torch.where(before > 0, torch.log1p(width / before), 0.0)
    return (sums + (earlier - mean * before) * grown).sum(1) - total[:, -1]


def rank_weighted_effect(
    prediction: Tensor,
    outcome: Tensor,
    treatment: Tensor,
    propensity: Tensor,
    *,
    weighting: Weighting = "autoc",
    clip: float = 0.01,
) -> Tensor:
    """Return RATE, a scalar in the outcome's unit.

    `TOC(s)` = mean score of the `s N` rows with the highest predictions, less that of all rows. The score of a row is
    its inverse propensity weighted outcome, `T Y / e - (1 - T) Y / (1 - e)`, whose mean is the effect where `e` is the
    true propensity. Equal predictions share their mean score. nan where an arm has no rows. Whatever is subtracted from
    `Y` that the treatment does not move, `m(x)`, changes no expectation, and a good guess of the outcome makes it vary
    less: raw outcomes y + c move the value with c.

    Args:
        prediction: `[N]`, predicted effects.
        outcome: `[N]`, observed outcomes, best less a guess of them that was not made from the same row.
        treatment: `[N]`, 1 where treated, else 0.
        propensity: `[N]`, `e`, the probability of treatment 1.
        weighting: `autoc`: the integral of `TOC(s)` over s in [0, 1], taken exactly, not as a sum over rows, from which
            it differs by O(log(N) / N); `qini`: that of `s TOC(s)`.
        clip: propensities are clipped to [clip, 1 - clip].

    Source: Yadlowsky et al. (JASA 2025), section 2.

    >>> best, half = torch.tensor([2.0, 1.0]), torch.tensor([0.5, 0.5])
    >>> rank_weighted_effect(best, torch.tensor([1.0, 1.0]), torch.tensor([1, 0]), half, weighting="qini")
    tensor(0.5000, dtype=torch.float64)
    """
    rows = uplift_rows(prediction, outcome, treatment, propensity, clip)
    return rank_weighted_effect_of(rows, torch.ones(1, len(prediction), dtype=torch.float64), weighting)[0]


class RankWeightedEffect(AbstractUplift):
    """Rank-weighted average effect by inverse propensity scores: AUTOC, or with the weighting of Qini.

    The outcomes are centred where the slice says by what: an added constant, and what a row's columns tell, are then in
    no score, and its mean is the same.

    Args:
        num_clusters: number of users (of rows, in userless logs).
        weighting: `autoc` or `qini`.
        clip: propensities are clipped to [clip, 1 - clip].
    """

    under_affine = "scales"

    def __init__(self, num_clusters: int, *, weighting: Weighting = "autoc", clip: Clip = 0.01) -> None:
        super().__init__(num_clusters, clip=clip)
        self.weighting = weighting

    def outcome(self, scored: Scored) -> Tensor:
        return scored.label if scored.centred_label is None else scored.centred_label

    def value(self, rows: UpliftRows, weight: Tensor) -> Tensor:
        return rank_weighted_effect_of(rows, weight, self.weighting)
