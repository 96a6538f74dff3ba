"""Which rows of the interactions stay: those without a gap, one of each pair, those of users and items with enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from causalrec.data.table_problems import Problem
from causalrec.data.tabular.ingest import StreamedFile, last_of_repeats
from causalrec.data.tabular.request import Repeats, Request
from causalrec.types import Bools, Ints


def unrepeated_rows(streamed: StreamedFile, num_items: int, rule: Repeats) -> Bools:
    """Return the mask of rows that stay, bool[N]: those not dropped, and of repeated pairs those that the rule leaves.

    Args:
        streamed: The table, ids final; under `error` repeats are noted in its bad rows.
        num_items: Items of the data set.
        rule: What becomes of repeated pairs.
    """
    mask: Bools = np.ones(streamed.rows, bool)
    if "dropped" in streamed.column_names:
        mask &= ~streamed.array("dropped")
    if rule == "allowed" or "user" not in streamed.column_names or not mask.any():
        return mask
    codes: Ints = streamed.array("user") * num_items + streamed.array("item")
    if "randomised" in streamed.column_names:
        codes = codes * 2 + streamed.array("randomised")
    rows = np.flatnonzero(mask)
    time = streamed.array("time")[rows] if "time" in streamed.column_names else None
    last = last_of_repeats(codes[rows], time)
    if last is None:
        return mask
    if rule == "error":
        what = "a later row has the same user and item; remove one, or set repeats=keep_last or allowed"
        streamed.bad_rows.add_rows(what, None, rows[~last])
    mask[rows[~last]] = False
    return mask


def k_core(user: Ints, item: Ints, fewest_of_user: int, fewest_of_item: int) -> Bools:
    """Return the rows left once users and items with too few rows are taken out, again and again, bool[N].

    Args:
        user: User of each row, int64[N].
        item: Item of each row, int64[N].
        fewest_of_user: Rows that a user must have.
        fewest_of_item: Rows that an item must have.

    >>> k_core(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1]), 2, 2).tolist()
    [True, True, True, True, False]
    """
    left: Bools = np.ones(len(user), bool)
    while True:
        enough = np.bincount(user[left], minlength=int(user.max(initial=0)) + 1)[user] >= fewest_of_user
        enough &= np.bincount(item[left], minlength=int(item.max(initial=0)) + 1)[item] >= fewest_of_item
        if not (left & ~enough).any():
            return left
        left &= enough


@dataclass
class RemainingRows:
    """Which rows stay, and which users and items they leave.

    Attributes:
        masks: Of each table, bool[N].
        used: Which ids stay, by entity; an entity whose ids all stay is not among them.
        dropped: Rows with a gap that leave.
        repeated: Rows whose user and item a row that stays has too.
        too_few: Rows whose user or item has too few.
    """

    masks: list[Bools]
    used: dict[str, Bools]
    dropped: int
    repeated: int
    too_few: int

    def ids(self, entity: str, names: Mapping[str, pl.Series]) -> pl.Series:
        """Return the ids that stay."""
        return names[entity].filter(self.used[entity]) if entity in self.used else names[entity]

    def filter(self, table: pl.DataFrame, entity: str) -> pl.DataFrame:
        """Return the rows of a table of users or items that stay."""
        return table.filter(self.used[entity]) if entity in self.used else table

    def renumber(self, done: Sequence[StreamedFile]) -> None:
        """Number the ids that stay without a gap, in place; those of rows that leave are undefined."""
        for entity, used in self.used.items():
            numbers = np.cumsum(used) - 1
            for streamed in done:
                codes = streamed.array(entity, "r+")
                codes[:] = numbers[codes]

    def reasons(self, request: Request) -> list[str]:
        """Say how many rows left before the split, and why: warned of, and read below every result."""
        fewest, total = request.k_core, sum(len(mask) for mask in self.masks)
        columns = ", ".join(column for column, fill in request.roles.fill.items() if fill == "drop")
        counts = {
            f"dropped, as a cell is missing or its table lacks the id (dataset.fill: {columns})": self.dropped,
            "left out, as another row of the same user and item is kept (dataset.repeats=keep_last)": self.repeated,
            f"left out before the split, as their user has under {fewest[0]} rows or their item under {fewest[1]} "
            "(dataset.k_core)": self.too_few,
        }
        return [
            f"{count:,} of {total:,} rows {'is' if count == 1 else 'are'} {why}"
            for why, count in counts.items()
            if count
        ]

    def problems(self, request: Request) -> list[Problem]:
        """Warn of the rows that left."""
        path = str(request.interactions[0].path)
        return [Problem("warning", path, None, None, reason) for reason in self.reasons(request)]


def choose_rows(done: Sequence[StreamedFile], request: Request, names: Mapping[str, pl.Series]) -> RemainingRows:
    """Apply the rules for gaps and repeats to each table, then the one for users and items with few logged rows.

    Args:
        done: The table of interactions, then that of random rows, where it is one of its own; ids final.
        request: What is asked for.
        names: Ids by entity.
    """
    masks = [unrepeated_rows(streamed, len(names["item"]), request.repeats) for streamed in done]
    dropped = sum(int(np.count_nonzero(t.array("dropped"))) for t in done if "dropped" in t.column_names)
    before = sum(int(mask.sum()) for mask in masks)
    if any(request.k_core):
        masks = _take_core(done, masks, request.k_core)
    used: dict[str, Bools] = {}
    for entity, table in (("user", request.users), ("item", request.items)):
        follows_rows = table is None or table.raw is None or any(request.k_core)
        if entity not in done[0].column_names or not follows_rows or all(mask.all() for mask in masks):
            continue
        present = np.zeros(len(names[entity]), bool)
        for streamed, mask in zip(done, masks, strict=True):
            present[streamed.array(entity)[mask]] = True
        used |= {} if present.all() else {entity: present}
    repeated = sum(len(mask) for mask in masks) - dropped - before
    return RemainingRows(masks, used, dropped, repeated, before - sum(int(mask.sum()) for mask in masks))


def _take_core(done: Sequence[StreamedFile], masks: Sequence[Bools], fewest: tuple[int, int]) -> list[Bools]:
    """Keep the core of the logged rows, and the random rows of users and items that are in it."""
    logged, mask = done[0], masks[0]
    if "randomised" in logged.column_names:
        mask = mask & ~np.asarray(logged.array("randomised"))
    rows = np.flatnonzero(mask)
    rows = rows[k_core(logged.array("user")[rows], logged.array("item")[rows], *fewest)]
    inside = {entity: np.unique(logged.array(entity)[rows]) for entity in ("user", "item")}
    return [
        stays & np.isin(table.array("user"), inside["user"]) & np.isin(table.array("item"), inside["item"])
        for table, stays in zip(done, masks, strict=True)
    ]
