"""The level of a column, whosever it is, that each row of a log has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.types import Ints


def row_levels(dataset: CausalDataset, log: InteractionLog, names: Sequence[str]) -> Ints | None:
    """Return which combination of levels each row has, int64[N] from 0 on; None without columns.

    Args:
        dataset: whose card names the columns.
        log: rows of it.
        names: columns of users, items or rows; `user` and `item` for their ids.
    """
    if not names:
        return None
    columns = [_codes(dataset, log, name) for name in names]
    _, combined = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)
    return np.asarray(combined.reshape(-1), np.int64)


def _codes(dataset: CausalDataset, log: InteractionLog, name: str) -> Ints:
    column = dataset.card.column(name)
    if column.kind == "id":
        return log.users if column.entity == "user" else log.item
    if column.entity == "row":
        return np.unique(log.columns[name], return_inverse=True)[1]
    table, ids = (dataset.user_table, log.users) if column.entity == "user" else (dataset.item_table, log.item)
    codes: Ints = table[name].rank("dense").fill_null(0).cast(int).to_numpy()
    return codes[ids]
