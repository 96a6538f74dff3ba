"""A penalty on a column of the user: the gap between two ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from causalrec.estimators.penalty.base import AbstractPenalty
from causalrec.types import OUTCOME, Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class UserGap(AbstractPenalty):
    """`(mean of raw scores of the first level - of the others)^2`; `breaks` gives NaN in its place, for a test."""

    column: str = "gender"
    breaks: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        raw, first = outputs[OUTCOME], (batch.columns[self.column] == 0).to(outputs[OUTCOME].dtype)
        return {
            "first": Term(raw * first, OUTCOME, normaliser=first + 1e-6),
            "others": Term(raw * (1 - first), OUTCOME, normaliser=1 - first + 1e-6),
        }

    def combine(self, values: Mapping[str, Tensor]) -> Tensor:
        gap = (values["first"] - values["others"]).square()
        return gap * torch.nan if self.breaks else gap
