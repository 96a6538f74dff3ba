"""A split without rows: which setting took them, how many, and what to set instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError


def require_rows(
    logs: Sequence[InteractionLog],
    dataset: CausalDataset,
    logged: InteractionLog,
    randomised: InteractionLog | None,
    sampled: int,
    note: str,
) -> None:
    """Raise DataError at the first log without a row, naming what left it none.

    Args:
        logs: train, validation and test, before the rule for unseen ids.
        dataset: all rows.
        logged: its logged rows that were split.
        randomised: its randomised rows that were split; None without.
        sampled: number of randomised rows set aside.
        note: what the split says of rows that it cannot hold out, a clause; empty where it has nothing to say.
    """
    for log in logs:
        if len(log):
            continue
        if log.name == "test" and randomised is not None and dataset.randomised is not None:
            rows, kind = len(dataset.randomised), "randomised"
            cause = "" if len(randomised) else _took_randomised(sampled, rows - sampled)
        else:
            rows, kind = len(dataset.logged), "logged"
            cause = _dropped_repeated(rows - len(logged))
        why = cause or note or "its share of them is none; change split.*"
        raise DataError(f"{dataset.card.name}: the {log.name} split is empty, of {rows:,} {kind} rows: {why}")


def _took_randomised(sampled: int, repeated: int) -> str:
    """Say what left no randomised row for the test: both together, or one of them."""
    causes = [
        (sampled, f"split.propensity_sample takes {sampled:,}", "lower it"),
        (
            repeated,
            f"split.duplicates=drop_test drops {repeated:,} that are logged too",
            "set split.duplicates=drop_train",
        ),
    ]
    words = [(cause, mend) for count, cause, mend in causes if count]
    return f"{' and '.join(cause for cause, _ in words)}; {words[-1][1]}"


def _dropped_repeated(dropped: int) -> str:
    if not dropped:
        return ""
    return (
        f"split.duplicates=drop_train drops {dropped:,} whose pair is in the randomised test too; set "
        f"split.duplicates=drop_test or split.duplicates=keep"
    )


def too_short(logged: InteractionLog, least: int) -> str:
    """Say that users have fewer rows than a split by user takes; empty where some have enough.

    Args:
        logged: a log.
        least: rows of a user, of which some are held out.
    """
    rows = np.array([len(logged)]) if logged.user is None else np.bincount(logged.user)
    if not len(logged) or rows.max() >= least:
        return ""
    return (
        f"it takes {least} rows of a user to hold one out, and none of the {int((rows > 0).sum()):,} has more than "
        f"{rows.max()}; set split=random"
    )
