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
    """Sums along B steps of a curve, float64: `width[R,B]`, the rows of each step; `before[R,1]`, those before; at its
    start and after each step, `[R,B+1]`, the inverse propensity weights and weighted outcomes of the treated so far,
    and those of controls.
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
    """Areas `gained[R]` between a curve and that of a random order; `totals`: the sums over all rows, as one step; how
    many rows are in each of `CELLS`, `cells[R,4]` (of outcomes 0 and 1), and the sum of their `propensity[R]`.
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
        part = weight[:, block.first : block.end]
        points = [running(block, part, start, column) for start, column in zip(last, rows.columns, strict=True)]
        width = part if block.runs is None else running(block, part, torch.zeros_like(before)).diff(dim=1)
        yield Sums(width, before, *points)
        last, before = [point[:, -1:] for point in points], before + width.sum(1, keepdim=True)


def running(block: Block, weight: Tensor, start: Tensor, column: Tensor | None = None) -> Tensor:
    """Return a start `[R,1]` and what it grows to after each run of a block, `[R,B+1]`, by weights x a column."""
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
        under = under + below(sums.width, heights)
    count = sums.before + sums.width.sum(1, keepdim=True)
    whole = (sums.treated, sums.treated_outcome, sums.control, sums.control_outcome)
    last = Sums(count, torch.zeros_like(count), *(each[:, -1:] for each in whole))
    return Area(under - count[:, 0] * heights[:, -1] / 2, last, weight @ rows.cells.T, weight @ rows.propensity)


def cells_of(whole: Sums, counts: Tensor, order: tuple[int, ...]) -> Sums:
    """Return the sums of a curve whose steps are `CELLS` in an order, from the sums over all rows, of outcomes 0 and 1,
    and the number of rows in each cell `[R,4]`.
    """
    treated, one, control, control_one = whole.treated, whole.treated_outcome, whole.control, whole.control_outcome
    none = torch.zeros_like(one)
    columns = (
        (one, treated - one, none, none),
        (one, none, none, none),
        (none, none, control - control_one, control_one),
        (none, none, none, control_one),
    )
    points = (pad(torch.cat(column, 1)[:, order], (1, 0)).cumsum(1) for column in columns)
    return Sums(counts[:, order], none, *points)


def below(width: Tensor, height: Tensor) -> Tensor:
    """Return the area `[R]` below a curve in steps of `width[R,B]` between heights `[R,B+1]`, in rows x their unit.

    >>> below(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 1.0, 1.0]]))
    tensor([1.5000])
    """
    before: Tensor = torch.linalg.vecdot(width, height[:, :-1])
    after: Tensor = torch.linalg.vecdot(width, height[:, 1:])
    return (before + after) / 2


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Return part / whole, where that is 0 a number that times 0 is 0: an arm yet without rows counts nothing."""
    return part / whole.clamp_min(1e-200)
