"""The support table: cells of a user's and an item's level in which no training row lies, though some were expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.export.levels import CHECKED_KINDS, Levels, column_levels
from causalrec.types import Bools, Ints

EXPECTED_ROWS = 5.0  # where users and items met independently: an empty cell then has a chance below exp(-5) = 0.7 %
MOST_PAIRS = 200  # of columns that are checked


@dataclass(frozen=True, kw_only=True)
class SupportTable:
    """Where a score rests on training rows, by pairs of a user's and an item's level.

    A cell is outside where it holds no training row although at least `EXPECTED_ROWS` were expected of it: rows of the
    user's level times rows of the item's level over all rows. So is a level, or an id, without any training row. A cell
    of fewer expected rows is empty by chance too often to be judged. Where effects are learnt it is outside, too, where
    so many rows of a treatment were expected, by its share of all rows, and none is there. Combinations of three
    columns are not checked.

    Attributes:
        users: the levels of users.
        items: the levels of items.
        outside: bool[Lu,Li], cells outside the support.
        too_rare: bool[Lu,Li], empty cells that are not judged.
        rows: how many training rows there are.
        pairs: the pairs of columns that are checked.
        unchecked: what is not checked, with the reason, by name.
    """

    users: Levels
    items: Levels
    outside: Bools
    too_rare: Bools
    rows: int
    pairs: tuple[tuple[str, str], ...]
    unchecked: dict[str, str]


def support_table(dataset: CausalDataset, log: InteractionLog, view: tuple[str, ...] = ()) -> SupportTable:
    """Return the support of training rows.

    Args:
        dataset: whose columns are checked.
        log: the rows that the model was fitted on; those without an outcome do not count.
        view: the columns that the model reads, whose pairs come first where there are too many.
    """
    columns, arms = dataset.card.columns, _rows_by_arm(log)
    log = arms[0] if len(arms) == 1 else log
    of_user = np.bincount(log.users, minlength=max(log.num_users, 1))
    of_item = np.bincount(log.item, minlength=log.num_items)
    users = column_levels("user", dataset.user_table, [c for c in columns if c.entity == "user"], of_user)
    items = column_levels("item", dataset.item_table, [c for c in columns if c.entity == "item"], of_item)
    pairs = [(u, i) for u in users.columns for i in items.columns]
    pairs.sort(key=lambda pair: -sum(name in view for name in pair))  # stable: else as the card names them
    checked = _checked_cells(users, items, set(pairs[:MOST_PAIRS]))
    outside, too_rare = _judge(_cell_counts(users, items, log), [_cell_counts(users, items, arm) for arm in arms])
    unchecked = {c.name: f"a column of kind {c.kind}" for c in columns if c.kind not in (*CHECKED_KINDS, "id")}
    unchecked |= {c.name: f"a column of the {c.entity}" for c in columns if c.entity in ("pair", "row")}
    unchecked |= {f"{u} x {i}": f"beyond the first {MOST_PAIRS} pairs of columns" for u, i in pairs[MOST_PAIRS:]}
    return SupportTable(
        users=users,
        items=items,
        outside=outside & checked,
        too_rare=too_rare & checked,
        rows=len(log),
        pairs=tuple(pairs[:MOST_PAIRS]),
        unchecked=unchecked,
    )


def _rows_by_arm(log: InteractionLog) -> list[InteractionLog]:
    """Return the rows of each treatment where untreated ones have outcomes, else those of the exposed together."""
    if not log.has_arms:
        return [log.take(log.treatment > 0)]
    return [log.take(log.treatment == arm) for arm in np.unique(log.treatment)]


def _judge(cells: Ints, by_arm: list[Ints]) -> tuple[Bools, Bools]:
    """Return which cells are outside, and which are empty but too rare to be judged.

    Args:
        cells: int64[Lu,Li], the rows of each; the first of either side is the level of all.
        by_arm: the same of each treatment.
    """
    expected = np.outer(cells[:, 0], cells[0]) / max(int(cells[0, 0]), 1)
    outside, too_rare = np.zeros(cells.shape, bool), np.zeros(cells.shape, bool)
    outside[0], outside[:, 0] = cells[0] == 0, cells[:, 0] == 0
    for rows in by_arm:
        judged = expected * (rows[0, 0] / max(int(cells[0, 0]), 1)) >= EXPECTED_ROWS
        outside |= (rows == 0) & judged
        too_rare |= (rows == 0) & ~judged & (expected > 0)
    return outside, too_rare & ~outside


def _cell_counts(users: Levels, items: Levels, log: InteractionLog) -> Ints:
    """Return the rows of each cell, int64[Lu,Li]."""
    met = sparse.csr_matrix((np.ones(len(log), np.int64), (log.users, log.item)), (len(users.held), len(items.held)))
    return np.asarray((_memberships(users).T @ met @ _memberships(items)).todense())


def _memberships(levels: Levels) -> sparse.csr_matrix:
    """Return which levels each id has, [N,L]."""
    ids, count = np.repeat(np.arange(len(levels.held)), levels.held.shape[1]), len(levels.names)
    pairs = np.unique(np.concatenate([ids * count + levels.held.ravel(), np.arange(len(levels.held)) * count]))
    row, level = np.divmod(pairs, count)
    return sparse.csr_matrix((np.ones(len(pairs), np.int64), (row, level)), (len(levels.held), count))


def _checked_cells(users: Levels, items: Levels, pairs: set[tuple[str, str]]) -> Bools:
    """Return the cells that some pair of ids has, of checked pairs of columns and of each level alone, bool[Lu,Li]."""
    checked = np.zeros((len(users.names), len(items.names)), bool)
    checked[0], checked[:, 0] = True, True
    for k, user in enumerate(users.columns):
        for m, item in enumerate(items.columns):
            if (user, item) in pairs:
                checked[np.ix_(users.column == k, items.column == m)] = True
    there: Bools = np.outer(*(np.bincount(side.held.ravel(), minlength=len(side.names)) > 0 for side in (users, items)))
    return checked & there
