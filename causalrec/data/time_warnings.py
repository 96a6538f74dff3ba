"""What is to be said of a split that goes by time."""

from __future__ import annotations

from collections.abc import Iterator

from causalrec.data.split.base import AbstractSplit
from causalrec.data.split.row_order import tied_rows
from causalrec.data.split.splits import Splits

MOST_TIED = 0.05  # of the test rows, above which ties in time are said
MOST_OVER = 1.5  # times the share asked for, above which a test is said to be larger


def time_warnings(splits: Splits, split: AbstractSplit, dropped: int) -> Iterator[str]:
    """Yield where times do not say which rows are the test, and where a seed draws nothing.

    `dropped`: test rows that a rule has left out.
    """
    rows, seed = len(splits.test), split.rules.seed
    tied = tied_rows(splits.test, [splits.train, splits.validation])
    if tied > MOST_TIED * rows:
        yield (
            f"{tied} of {rows} test rows ({tied / rows:.0%}) have the time of a training or validation row of their "
            f"user: which of these is tested is drawn, or the file's order"
        )
    elif not tied and seed:
        yield f"split.seed={seed} draws nothing: the split goes by time; split=random draws rows"
    share = getattr(split, "test", None) if getattr(split, "cut", "") == "global" else None
    total = rows + dropped + len(splits.train) + len(splits.validation)
    if share is not None and rows + dropped > MOST_OVER * share * total:
        yield (
            f"split.cut=global: rows of one time stay together, so that the test takes "
            f"{(rows + dropped) / total:.0%} of the rows where {share:.0%} were asked for"
        )
