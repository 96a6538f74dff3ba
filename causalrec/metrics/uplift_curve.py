"""Curves of what treating the best rows first is worth, and the area between them and a random order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from causalrec.metrics.uplift_rows import Block, UpliftRows


@dataclass(frozen=True)
class Sums:
    """Sums along B steps of a curve, float64, under R rows of weights.

    The last four are the sums at the start and after each step.

    Attributes:
        width: `[R,B]`, the weight of the rows of each step.
        before: `[R,1]`, the weight of the rows before the first step.
        treated: `[R,B+1]`, inverse propensity weights of treated rows so far.
        treated_outcome: `[R,B+1]`, their weighted outcomes.
        control: `[R,B+1]`, inverse propensity weights of control rows so far.
        control_outcome: `[R,B+1]`, their weighted outcomes.
    """

    width: Tensor
    before: Tensor
    treated: Tensor
    treated_outcome: Tensor
    control: Tensor
    control_outcome: Tensor

    @property
    def rows(self) -> Tensor:
        """The rows so far, `[R,B+1]`."""
        return torch.cat([self.before, self.width], 1).cumsum_(1)

    @property
    def both_arms(self) -> Tensor:
        """Whether rows of both arms have weight, bool[R]."""
        return (self.treated[:, -1] > 0) & (self.control[:, -1] > 0)


@dataclass(frozen=True)
class Area:
    """Areas between a curve and that of a random order, under R rows of weights.

    Attributes:
        gained: `[R]`, the areas, in rows x the curve's unit.
        totals: the sums over all rows, as a single step.
        cells: `[R,4]`, the weight of the rows in each of `CELLS` (of outcomes 0 and 1).
        propensity: `[R]`, the weighted sum of propensities.
    """

    gained: Tensor
    totals: Sums
    cells: Tensor
    propensity: Tensor


Height = Callable[[Sums], Tensor]  # of a curve, [R,B+1]


def steps(rows: UpliftRows, weight: Tensor, blocks: list[Block]) -> Iterator[Sums]:
    """Yield the sums of each block in turn, under row weights float64[R,N]; a step is a run of equal predictions."""
    before = weight.new_zeros(len(weight), 1)
    last = [before] * len(rows.columns)
    for block in blocks:
        block_weight = weight[:, block.first : block.end]
        points = [
            running_sum(block, block_weight, start, column) for start, column in zip(last, rows.columns, strict=True)
        ]
        width = (
            block_weight
            if block.runs is None
            else running_sum(block, block_weight, torch.zeros_like(before)).diff(dim=1)
        )
        yield Sums(width, before, *points)
        last, before = [point[:, -1:] for point in points], before + width.sum(1, keepdim=True)


def running_sum(block: Block, weight: Tensor, start: Tensor, column: Tensor | None = None) -> Tensor:
    """Return a start and what it grows to after each run of a block, `[R,B+1]`.

    Args:
        block: the rows.
        weight: `[R,M]`, the weights of these rows.
        start: `[R,1]`, the sum before the block.
        column: `[N]`, what is summed, of all rows; None: 1.
    """
    total = weight.new_empty(len(weight), weight.shape[1] + 1)
    total[:, :1] = start
    if column is None:
        total[:, 1:] = weight
    else:
        torch.mul(weight, column[block.first : block.end], out=total[:, 1:])
    total.cumsum_(1)
    return total if block.runs is None else total.index_select(1, block.runs)


def sums_of(rows: UpliftRows, weight: Tensor) -> Sums:
    """Return the sums of a whole curve, under row weights float64[R,N]."""
    return next(steps(rows, weight, rows.blocks(len(rows.order))))


def area_of(rows: UpliftRows, weight: Tensor, height: Height) -> Area:
    """Return the areas under row weights float64[R,N]."""
    under: Tensor | float = 0.0
    for sums in steps(rows, weight, rows.blocks()):
        heights = height(sums)
        under = under + area_below(sums.width, heights)
    count = sums.before + sums.width.sum(1, keepdim=True)
    columns = (sums.treated, sums.treated_outcome, sums.control, sums.control_outcome)
    last = Sums(count, torch.zeros_like(count), *(each[:, -1:] for each in columns))
    return Area(under - count[:, 0] * heights[:, -1] / 2, last, weight @ rows.cells.T, weight @ rows.propensity)


def cells_of(totals: Sums, counts: Tensor, order: tuple[int, ...]) -> Sums:
    """Return the sums of a curve whose steps are `CELLS` in an order, from the sums over all rows, of outcomes 0 and 1,
    and the number of rows in each cell `[R,4]`.
    """
    treated, treated_outcome, control, control_outcome = (
        totals.treated,
        totals.treated_outcome,
        totals.control,
        totals.control_outcome,
    )
    none = torch.zeros_like(treated_outcome)
    columns = (
        (treated_outcome, treated - treated_outcome, none, none),
        (treated_outcome, none, none, none),
        (none, none, control - control_outcome, control_outcome),
        (none, none, none, control_outcome),
    )
    points = (pad(torch.cat(column, 1)[:, order], (1, 0)).cumsum(1) for column in columns)
    return Sums(counts[:, order], none, *points)


def area_below(width: Tensor, height: Tensor) -> Tensor:
    """Return the area `[R]` below a curve in steps of `width[R,B]` between heights `[R,B+1]`, in rows x their unit.

    >>> area_below(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 1.0, 1.0]]))
    tensor([1.5000])
    """
    before: Tensor = torch.linalg.vecdot(width, height[:, :-1])
    after: Tensor = torch.linalg.vecdot(width, height[:, 1:])
    return (before + after) / 2


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return part / whole, where that is 0 a number that times 0 is 0: an arm yet without rows counts nothing."""
    return numerator / denominator.clamp_min(1e-200)
