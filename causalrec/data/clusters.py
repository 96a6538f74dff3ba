"""Along which axes the rows of a log depend on each other: by whom intervals of effects are clustered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
import polars as pl

from causalrec.data.card import Column, ColumnKind, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog, RowValues
from causalrec.errors import RequestError, did_you_mean
from causalrec.types import Ints

ROW, USER, ITEM = "row", "user", "item"
ENTITIES = (USER, ITEM)
MAX_AXES = 2  # by more, a variance is a sum of many terms of either sign
CLUSTER_KINDS: tuple[ColumnKind, ...] = ("id", "category", "numeric")
CHANCE = 0.01  # of a test of homogeneity, below which treatment differs between items
KEY = "evaluation.cluster"

Requested = Literal["auto"] | tuple[str, ...]


class RowsOfIds(Protocol):
    """Anything whose rows have a user, an item and columns of their own: a log, a slice."""

    @property
    def user(self) -> Ints | None: ...
    @property
    def item(self) -> Ints: ...
    @property
    def columns(self) -> Mapping[str, RowValues]: ...


def check_clusters(card: DatasetCard, requested: Requested) -> None:
    """Raise RequestError where what is asked to cluster rows is no user, item or fit column; no file is read."""
    if requested == "auto":
        return
    if not card.arms:
        raise RequestError(f"{KEY}: clusters intervals of effects, and {card.name} has no arms; leave it out")
    columns = {column.name: column for column in card.columns}
    fit = {name for name, column in columns.items() if column.entity != "pair" and column.kind in CLUSTER_KINDS}
    entities = {column.entity for column in card.columns}
    allowed = fit | {name for name in ENTITIES if name == ITEM or name in entities}
    for name in requested:
        if name in allowed:
            continue
        if name not in columns:
            what = "has no users" if name == USER else f"has no column {name!r}"
            raise RequestError(f"{KEY}: {card.name} {what}; {did_you_mean(name, allowed)}")
        column = columns[name]
        kind = "pair" if column.entity == "pair" else column.kind
        raise RequestError(
            f"{KEY}: {name!r} is a {kind} column, which names no clusters of rows; give a category, an id or whole "
            f"numbers ({', '.join(sorted(allowed))})"
        )


def cluster_axes(dataset: CausalDataset, log: InteractionLog, requested: Requested, unit_level: str) -> tuple[str, ...]:
    """Return the axes along which rows of a log depend, at most two; `("row",)` where each row is by itself.

    `auto`: the unit of assignment; users where they have several rows; items where several have several rows and
    treatment differs between them by more than chance. A request that rows of one unit do not share is completed by
    that unit.

    Args:
        dataset: whose columns are named.
        log: the rows, of training.
        requested: `auto`, or `user`, `item` and columns by name.
        unit_level: of the unit of assignment; empty or `row` where each row is its own.

    Raises RequestError on a column that makes no clusters, and where the unit is a third axis.
    """
    if not log.has_arms:
        return (ROW,)
    if requested == "auto":
        return _automatic_axes(dataset, log, unit_level)
    for name in requested:
        _check_axis(dataset, log, name)
    if unit_level in ("", ROW) or _covers(dataset, log, requested, unit_level):
        return requested
    if len(requested) == MAX_AXES:
        raise RequestError(
            f"{KEY}=[{','.join(requested)}]: treatment is constant within {one_of(unit_level)}, whose rows must be "
            f"clustered too, and {MAX_AXES} axes are the most; name {unit_level} and one other"
        )
    return (*requested, unit_level)


def _automatic_axes(dataset: CausalDataset, log: InteractionLog, unit_level: str) -> tuple[str, ...]:
    axes = [unit_level] if unit_level not in ("", ROW) else []
    for name, ids in ((USER, log.user), (ITEM, log.item)):
        if ids is None or len(axes) == MAX_AXES or _covers(dataset, log, axes, name):
            continue
        clusters = count_ids(ids)
        if name == USER and clusters < len(ids):
            axes.append(name)
        if name == ITEM and clusters > count_ids(log.treatment) and treatment_differs(log.treatment, ids):
            axes.append(name)
    return tuple(axes) or (ROW,)


def _covers(dataset: CausalDataset, log: InteractionLog, axes: Sequence[str], level: str) -> bool:
    """Whether all rows of each unit of a level are in one cluster of one of the axes."""
    ids = cluster_ids(dataset, log, level)
    return any(axis == level or _is_nested(ids, cluster_ids(dataset, log, axis)) for axis in axes)


def _is_nested(inner: Ints, outer: Ints) -> bool:
    last = np.zeros(int(inner.max()) + 1, np.int64)
    last[inner] = outer  # of one unit, whichever row comes last
    return bool((last[inner] == outer).all())


def one_of(level: str) -> str:
    """Return the name of a level with its article.

    >>> one_of("item"), one_of("user"), one_of("household")
    ('an item', 'a user', 'a household')
    """
    return f"{'an' if level[:1].lower() in 'aeio' else 'a'} {level}"


def count_ids(ids: Ints) -> int:
    """Return how many different ids there are, which are not negative.

    >>> count_ids(np.array([4, 0, 4]))
    2
    """
    return int(np.count_nonzero(np.bincount(ids)))


def _check_axis(dataset: CausalDataset, log: InteractionLog, name: str) -> None:
    """Raise RequestError where a named axis has one cluster, or a column one for each row."""
    clusters = count_ids(cluster_ids(dataset, log, name))
    if clusters == 1:
        raise RequestError(f"{KEY}: {name} has one value in {len(log)} rows, and makes no clusters; leave it out")
    if clusters == len(log) and name not in ENTITIES:
        raise RequestError(f"{KEY}: {name} has another value in each row, so that no two are together; leave it out")


def treatment_differs(treatment: Ints, ids: Ints) -> bool:
    """Whether arms are shared out between units (of two rows or more) otherwise than by chance, at a level of 0.01.

    Pearson's statistic, whose mean and variance are those of small expectations: a scaled chi-square has both. Source:
    Haldane (Biometrika 1940), the mean and variance of chi-square as a test of homogeneity.
    """
    arms = int(treatment.max()) + 1
    counts = np.bincount(ids * arms + treatment, minlength=(int(ids.max()) + 1) * arms).reshape(-1, arms)
    counts = counts[counts.sum(axis=1) > 1]
    counts = counts[:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        return False
    from scipy.special import chdtrc

    arms, rows, share = counts.shape[1], counts.sum(axis=1), counts.sum(axis=0) / counts.sum()
    expected = rows[:, None] * share
    statistic, mean = ((counts - expected) ** 2 / expected).sum(), (len(rows) - 1) * (arms - 1)
    excess = (1 / share).sum() - arms**2 - 2 * arms + 2
    scale = (2 * mean + excess * (1 / rows).sum()) / (2 * mean)
    return bool(chdtrc(mean / scale, statistic / scale) < CHANCE)


def cluster_ids(dataset: CausalDataset, rows: RowsOfIds, axis: str) -> Ints:
    """Return the cluster of each row along an axis, int64[N] and not negative; one id means one cluster in every log.

    Args:
        dataset: whose column the axis may be.
        rows: of a log or a slice.
        axis: `user`, `item`, `row`, or a column of users, items or rows.
    """
    column = next((column for column in dataset.card.columns if column.name == axis), None)
    entity = axis if axis in ENTITIES else column.entity if column is not None and column.kind == "id" else None
    if axis == ROW or (entity == USER and rows.user is None):
        return np.arange(len(rows.item))
    users = np.zeros(len(rows.item), np.int64) if rows.user is None else rows.user
    if entity is not None:
        return users if entity == USER else rows.item
    assert column is not None, "check_clusters has refused other names"
    if column.entity == "row":
        return _codes_of_rows(dataset, rows, column)
    table = dataset.user_table if column.entity == USER else dataset.item_table
    codes = _codes(_texts(column, table[column.name]))
    return codes[users if column.entity == USER else rows.item]


def _codes_of_rows(dataset: CausalDataset, rows: RowsOfIds, column: Column) -> Ints:
    logs = [log for log in (dataset.logged, dataset.randomised) if log is not None]
    levels = pl.concat([_texts(column, pl.Series(log.columns[column.name])) for log in logs])
    return _codes(_texts(column, pl.Series(rows.columns[column.name])), levels)


def _codes(values: pl.Series, among: pl.Series | None = None) -> Ints:
    """Return a number for each value, from 1 on in the order of the values as text, `among` which they are; 0: null."""
    levels = (values if among is None else among).drop_nulls().unique().sort()
    codes = values.cast(pl.Enum(levels)).to_physical().cast(pl.Int64) + 1
    return codes.fill_null(0).to_numpy()


def _texts(column: Column, values: pl.Series) -> pl.Series:
    """Return the values of a column as text, of whole numbers; raise RequestError where they are not whole."""
    if column.kind != "numeric" or not values.dtype.is_float():
        return values.cast(pl.String)
    values = values.fill_nan(None)
    if not ((values.round() == values) | values.is_null()).all():
        raise RequestError(
            f"{KEY}: {column.name} holds numbers that are not whole, and makes no clusters; leave it out"
        )
    return values.cast(pl.Int64).cast(pl.String)
