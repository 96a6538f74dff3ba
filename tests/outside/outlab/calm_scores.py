"""A penalty with rows of its own: raw scores of rows drawn again stay near zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import SampledRows
from causalrec.estimators.penalty.base import AbstractPenalty, AbstractPenaltyRows
from causalrec.types import OUTCOME, Batch, Outputs, Term


class LoggedAgain(AbstractPenaltyRows):
    """Logged rows drawn with replacement, `size` a step: they have every column that rows have."""

    def __init__(self, size: int) -> None:
        self.size = size

    def draw(self, log: InteractionLog, generator: np.random.Generator, count: int) -> SampledRows:
        rows = generator.integers(len(log), size=(count, self.size))
        return SampledRows(rows, log.users[rows], log.item[rows], np.ones(rows.shape, np.float32))


@dataclass(frozen=True, kw_only=True)
class CalmScores(AbstractPenalty):
    """The mean square of raw scores over rows of its own."""

    size: int = 16

    @property
    def rows(self) -> AbstractPenaltyRows:
        return LoggedAgain(self.size)

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return {"square": Term(outputs[OUTCOME].square(), OUTCOME)}
