"""Qini: the area between the curve of outcomes gained by treating the best rows first and a random order."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.uplift_area import AbstractArea
from causalrec.metrics.uplift_curve import Area, Height, Sums, area_below, cells_of, ratio
from causalrec.metrics.uplift_rows import uplift_rows


def qini_height(sums: Sums) -> Tensor:
    """Return the outcomes gained among the best rows, `[R,B]`, with no control among them yet: those of the treated.

    `Y_treated - Y_control * N_treated / N_control` of running sums. Source: Radcliffe (2007), as in scikit-uplift.
    """
    share = ratio(sums.treated, sums.control)
    return torch.addcmul(sums.treated_outcome, sums.control_outcome, share, value=-1)


def perfect_qini(totals: Sums, counts: Tensor) -> Tensor:
    """Return the area `[R]` of the best order of outcomes 0 and 1: treated rows with 1 first, controls with 1 last, so
    that it holds negative effects too; the order of the others between changes nothing.
    """
    height = qini_height(best := cells_of(totals, counts, (0, 1, 2, 3)))
    return area_below(best.width, height) - counts.sum(1) * height[:, -1] / 2


def qini(
    prediction: Tensor,
    outcome: Tensor,
    treatment: Tensor,
    propensity: Tensor | None = None,
    *,
    normalise: bool = False,
    clip: float = 0.01,
) -> Tensor:
    """Return the Qini coefficient, a scalar in the outcome's unit, per row.

    `Q = integral over s in [0, 1] of (g(s) - s g(1))`, with `g(s) = (Y_1 - Y_0 N_1 / N_0) / N` of the `s N` rows with
    the highest predictions: outcomes `Y` and numbers `N` of treated and control rows. Where the propensity varies, rows
    count 1 / propensity of their arm times its mean, so that a constant one changes nothing. Equal predictions are one
    step of the curve, linear within: a constant scores 0. nan where an arm has no rows.

    Args:
        prediction: `[N]`, predicted effects.
        outcome: `[N]`, observed outcomes.
        treatment: `[N]`, 1 where treated, else 0.
        propensity: `[N]`, the probability of treatment 1; None: the same for all rows.
        normalise: divide by the area of the best order (outcomes 0 and 1 only, else nan), as `qini_auc_score` of
            scikit-uplift.
        clip: propensities are clipped to [clip, 1 - clip].

    Assumption: treatment is random given the propensity. Source: Radcliffe (2007).

    >>> best = torch.tensor([4.0, 3.0, 2.0, 1.0])
    >>> qini(best, torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([1, 0, 1, 0]), normalise=True)
    tensor(1., dtype=torch.float64)
    """
    rows = uplift_rows(prediction, outcome, treatment, propensity, clip)
    return Qini(1, normalise=normalise).value(rows, torch.ones(1, len(prediction), dtype=torch.float64))[0]


class Qini(AbstractArea):
    """Area between the Qini curve and that of a random order, per row; `normalise`: over the best order's."""

    by_arm = False
    under_affine = "scales"

    @property
    def height(self) -> Height:
        return qini_height

    def perfect(self, area: Area) -> Tensor:
        return perfect_qini(area.totals, area.cells)

    def per_row(self, area: Area) -> Tensor:
        count = area.totals.width[:, 0]
        return area.gained * area.propensity / count**3  # the weights' scale, 1 / mean e, taken out
