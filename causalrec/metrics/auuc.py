"""AUUC: the area between the uplift curve and a random order."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.uplift_area import AbstractArea
from causalrec.metrics.uplift_curve import Area, Height, Sums, area_below, cells_of, ratio
from causalrec.metrics.uplift_rows import uplift_rows

ORDERS = ((0, 2, 3, 1), (0, 2, 1, 3))  # of cells: controls with outcome 1 before treated with 0, and after


def uplift_height(sums: Sums) -> Tensor:
    """Return the difference of both arms' mean outcomes times the number of rows, among the best rows, `[R,B]`."""
    treated, control = ratio(sums.treated_outcome, sums.treated), ratio(sums.control_outcome, sums.control)
    return (treated - control) * sums.rows


def perfect_auuc(totals: Sums, counts: Tensor) -> Tensor:
    """Return the area `[R]` of the order scikit-uplift calls perfect: treated rows with 1, controls with 0, then of the
    other two kinds the one with more rows.
    """
    areas = []
    for order in ORDERS:
        height = uplift_height(perfect := cells_of(totals, counts, order))
        areas.append(area_below(perfect.width, height) - counts.sum(1) * height[:, -1] / 2)
    return torch.where(counts[:, 3] > counts[:, 1], areas[0], areas[1])


def auuc(
    prediction: Tensor,
    outcome: Tensor,
    treatment: Tensor,
    propensity: Tensor | None = None,
    *,
    normalise: bool = False,
    clip: float = 0.01,
) -> Tensor:
    """Return the area between the uplift curve and that of a random order, a scalar.

    `A = integral over s in [0, 1] of (g(s) - s g(1))`, with `g(s) = s (Ybar_1 - Ybar_0)` of the `s N` rows with the
    highest predictions, means weighted by inverse propensity. In the outcome's unit, per row; others' "AUUC" may hold
    the area under the random line too. Equal predictions are one step of the curve, linear within: a constant scores 0.
    nan where an arm has no rows.

    Args:
        prediction: `[N]`, predicted effects.
        outcome: `[N]`, observed outcomes.
        treatment: `[N]`, 1 where treated, else 0.
        propensity: `[N]`, the probability of treatment 1; None: the same for all rows.
        normalise: divide by the area of `perfect_auuc` (outcomes 0 and 1 only, else nan), as `uplift_auc_score` of
            scikit-uplift; that order is not always the best, so more than 1 can be had.
        clip: propensities are clipped to [clip, 1 - clip].

    Assumption: treatment is random given the propensity. Source: Devriendt, Guns & Verbeke (2020), joint curves.

    >>> best = torch.tensor([4.0, 3.0, 2.0, 1.0])
    >>> auuc(best, torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([1, 0, 1, 0]))
    tensor(0.2812, dtype=torch.float64)
    """
    rows = uplift_rows(prediction, outcome, treatment, propensity, clip)
    return AUUC(1, normalise=normalise).value(rows, torch.ones(1, len(prediction), dtype=torch.float64))[0]


class AUUC(AbstractArea):
    """Area between the uplift curve and that of a random order, per row; `normalise`: over the perfect order's."""

    by_arm = True
    under_affine = "scales"

    @property
    def height(self) -> Height:
        return uplift_height

    def perfect(self, area: Area) -> Tensor:
        return perfect_auuc(area.totals, area.cells)

    def per_row(self, area: Area) -> Tensor:
        return area.gained / area.totals.width[:, 0] ** 2
