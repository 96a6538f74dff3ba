"""The gap between two groups' mean predictions, held small while the outcome is learnt (demographic parity)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from causalrec.errors import RequestError
from causalrec.estimators.penalty.base import AbstractPenalty
from causalrec.estimators.pointwise_error import mean_of
from causalrec.estimators.reduction import batch_sum
from causalrec.features.batch_columns import BatchColumn
from causalrec.types import OUTCOME, Batch, Outputs, Term


def group_ratios(predicted: Tensor, group: Tensor, weight: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return value and normaliser `[B]` of each group's mean prediction; `group[B]` is 1 or 0, `weight[B]` at least 0.

    Where the batch has no row of a group, both means are 0: it says nothing of the gap.

    >>> parts = group_ratios(torch.tensor([0.9, 0.5, 0.1]), torch.tensor([1, 1, 0]), torch.ones(3))
    >>> [round(float(value.sum() / count.sum()), 2) for value, count in parts.values()]
    [0.7, 0.1]
    """
    masks = {"first": (group == 1).to(predicted.dtype), "second": (group != 1).to(predicted.dtype)}
    present = torch.stack([batch_sum(weight * mask) > 0 for mask in masks.values()]).all(0)
    unit_normaliser = torch.ones_like(predicted)
    return {
        name: (mask * predicted * present, torch.where(present, mask, unit_normaliser)) for name, mask in masks.items()
    }


@dataclass(frozen=True, kw_only=True)
class Gap(AbstractPenalty):
    """`|mean of the predicted outcome in one group - in the other|`, over the rows that the objective averages over.

    In the outcome's unit (a probability for clicks). It bounds how unlike predictions are, not how wrong they are:
    where the groups' outcomes truly differ, a gap of 0 is bought with error. Source: the "non-parity" of Yao & Huang
    (NIPS 2017).

    Args:
        column: A user's or item's category of two levels, or a number that is 0 or 1.
        weight: What the gap is multiplied by.
    """

    vectorizable: ClassVar[bool] = True

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        predicted = mean_of(outputs[OUTCOME], outputs.link)
        groups = group_ratios(predicted, batch.columns[self.column], batch.weight)
        return {name: Term(value, OUTCOME, normaliser=count) for name, (value, count) in groups.items()}

    def combine(self, values: Mapping[str, Tensor]) -> Tensor:
        return (values["first"] - values["second"]).abs()

    def check_columns(self, name: str, columns: Mapping[str, BatchColumn]) -> None:
        column = columns[self.column]
        if column.is_binary:
            return
        had = f"has {len(column.levels)} levels" if column.levels else "is a number other than 0 or 1"
        raise RequestError(
            f"penalty.{name}.column={self.column!r}: compares two groups, but this column {had}; name one of two levels"
        )
