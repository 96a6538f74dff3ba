"""The audit of edges: one that joins a user to an item is a training row, or nothing is trained."""

from __future__ import annotations

import numpy as np

from causalrec.data.dataset import CausalDataset
from causalrec.data.split.splits import Splits
from causalrec.errors import DataError
from causalrec.types import Ints


def audit_knowledge(dataset: CausalDataset, splits: Splits) -> None:
    """Raise DataError where a triple of the data's graph joins a user to an item in a pair without a training row."""
    if dataset.knowledge is not None:
        require_training_edges(dataset.knowledge.name, *dataset.knowledge.user_item_edges(), splits)


def require_training_edges(name: str, user: Ints | None, item: Ints, splits: Splits) -> None:
    """Raise DataError where an edge between a user and an item is no training row.

    Args:
        name: of the graph, in the message.
        user: int64[P], of each edge; None: there are no users.
        item: int64[P].
        splits: whose training rows are allowed; those of validation, test and a randomised sample are named.
    """
    if user is None or not len(user):
        return
    codes = np.asarray(user) * splits.train.num_items + np.asarray(item)
    stray = ~np.isin(codes, splits.train.codes)
    if not stray.any():
        return
    logs = {"validation": splits.validation, "test": splits.test, "randomised": splits.randomised_sample}
    held = {split: int(np.isin(codes, log.codes).sum()) for split, log in logs.items() if log is not None}
    counts = ", ".join(f"{count} of the {split} rows" for split, count in held.items() if count) or "none of any split"
    raise DataError(
        f"{name}: {int(stray.sum())} of {len(codes)} edges between users and items are no training row ({counts}), "
        f"first user {user[stray][0]}, item {item[stray][0]}: such an edge tells what is to be predicted; leave these "
        f"triples out, or train with selection.folds=1"
    )
