"""The first users and items of a data set: enough to try a run, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog

LEAST_ROWS = 50  # of a log: a part that would have fewer is not worth splitting


def corner(dataset: CausalDataset, users: int, items: int) -> CausalDataset:
    """Return the rows of the first users and items, whose ids stay as they are.

    The data set as it is, where a part of it would be left with hardly a row. Of a log without users, the first
    `users * items` rows of these items.

    Args:
        dataset: of U users and I items.
        users: how many users are kept.
        items: how many items are kept.
    """
    log = dataset.logged
    users, items = min(users, log.num_users), min(items, log.num_items)
    logged, randomised = _cut(log, users, items), None
    if dataset.randomised is not None:
        randomised = _cut(dataset.randomised, users, items)
    logs = [logged, *([randomised] if randomised is not None else [])]
    if min(map(len, logs)) < LEAST_ROWS or (users, items) == (log.num_users, log.num_items):
        return dataset
    rule = "drop" if dataset.card.unseen == "error" else dataset.card.unseen  # some ids are left without a training row
    return replace(
        dataset,
        card=replace(dataset.card, unseen=rule),
        logged=logged,
        randomised=randomised,
        user_table=dataset.user_table.head(users),
        item_table=dataset.item_table.head(items),
        item_vectors={name: vectors[:items] for name, vectors in dataset.item_vectors.items()},
        user_vectors={name: vectors[:users] for name, vectors in dataset.user_vectors.items()},
        knowledge=None if dataset.knowledge is None else dataset.knowledge.resize(users, items),
        user_ids=None if dataset.user_ids is None else dataset.user_ids.head(users),
        item_ids=None if dataset.item_ids is None else dataset.item_ids.head(items),
    )


def _cut(log: InteractionLog, users: int, items: int) -> InteractionLog:
    inside = np.asarray(log.item) < items
    if log.user is not None:
        inside &= np.asarray(log.user) < users
    rows = np.flatnonzero(inside)
    taken = log.take(rows if log.user is not None else rows[: max(users, 1) * items])
    return replace(taken, num_users=users, num_items=items)
