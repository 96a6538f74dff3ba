"""A few training rows of another split, whose test it leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import RowAssignment
from causalrec.data.split.of_base import AbstractOfBase
from causalrec.errors import DataError, RequestError
from causalrec.types import Count, Ints

LEAST_VALIDATION = 16  # rows


@dataclass(frozen=True, kw_only=True)
class FewShot(AbstractOfBase):
    """So many of the training rows of the split `base`, and as many validation rows.

    A smaller draw of the same `subsample_seed` is among the rows of a larger one. The validation has as many rows, but
    16 at least (all of the base's, where these are fewer). Raises RequestError on more rows than there are, DataError
    where histories shall read all rows of a log without times.

    Attributes:
        base: the split that rows are drawn from; the test is its test.
        train_size: training rows to draw; None takes all, so that only histories change.
        subsample_seed: of the draw; jobs that differ in it are replicates.
        history_rows: what histories may read besides training rows: `none`, the `rest` of the base's training rows, or
            `all` logged rows, of the test too; only rows strictly older than the predicted row are read.
    """

    no_folds = "so many training rows are what is studied, and folds would add the validation's"

    train_size: Count | None = 64
    history_rows: Literal["none", "rest", "all"] = "none"

    def __post_init__(self) -> None:
        if self.history_rows == "rest" and self.train_size is None:
            raise RequestError(
                "split.history_rows=rest: is what split.train_size left out; set split.train_size, or history_rows=all"
            )

    @property
    def description(self) -> str:
        return f"{self.base.description}, few to train on"

    @property
    def history_reads_test(self) -> bool:
        return self.history_rows == "all" or self.base.history_reads_test

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        rows = self.base.assign(logged, randomised)
        subset = rows if self.train_size is None else self._subsample(rows, self.train_size)
        return subset if self.history_rows == "none" else replace(subset, context=self._context(logged, rows, subset))

    def _subsample(self, rows: RowAssignment, size: int) -> RowAssignment:
        held = min(max(size, LEAST_VALIDATION), len(rows.validation))
        train = subsample(rows.train, size, [self.subsample_seed, 2])
        validation = subsample(rows.validation, held, [self.subsample_seed, 3])
        return replace(rows, train=train, validation=validation, drawn_from=rows.train)

    def _context(self, logged: InteractionLog, rows: RowAssignment, subset: RowAssignment) -> Ints:
        if self.history_rows == "rest":
            return np.setdiff1d(rows.train, subset.train)
        if logged.time is None:
            raise DataError(
                f"{logged.name}: split.history_rows=all needs the time of each row and it has none; leave it"
            )
        return np.setdiff1d(np.arange(len(logged)), subset.train)


def subsample(candidates: Ints, count: int, seed: int | Sequence[int]) -> Ints:
    """Return `count` of the rows in row order, drawn so that a smaller draw of the same seed is among a larger one's
    rows.

    Raises RequestError where there are fewer.
    """
    if count > len(candidates):
        raise RequestError(f"split.train_size: asks for {count} training rows of {len(candidates)}; take fewer")
    rows: Ints = np.sort(np.random.default_rng(seed).permutation(candidates)[:count])
    return rows
