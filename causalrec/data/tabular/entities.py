"""Tables of users or items, read whole: one row per id, columns typed as the graph's nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from causalrec.data.table_problems import Problem
from causalrec.data.tabular.bad_rows import BadRows
from causalrec.data.tabular.cells import parse_column
from causalrec.data.tabular.file_problems import header_problems, row_problems
from causalrec.data.tabular.line_checks import line_problems
from causalrec.data.tabular.rawfile import RawFile
from causalrec.data.tabular.roles import FillValue
from causalrec.types import Ints

ROW = "\0row"  # of the table, a name that no column has


@dataclass(frozen=True, kw_only=True)
class EntityFile:
    """A table of users or items.

    Attributes:
        raw: Its file; None where its columns stand in the interactions, the same in every row of an id.
        id: The column of ids; None where each row is one.
        columns: Kind of each column, by name (`cells.kind_of`).
        fill: What stands for a missing cell, by column.
    """

    raw: RawFile | None
    id: str | None
    columns: Mapping[str, str]
    fill: Mapping[str, FillValue] = field(default_factory=dict)


def read_entities(table: EntityFile, raws: Sequence[RawFile], entity: str) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return the table with its ids as strings, and every problem; None where it cannot be read.

    Args:
        table: What is read.
        raws: Its files, ready to scan.
        entity: Name of the ids in the table returned: user or item.
    """
    columns = [*([table.id] if table.id else []), *table.columns]
    for raw in raws:
        if wrong := header_problems(raw, columns) or line_problems(raw):
            return None, wrong
    try:
        frames = [raw.scan(columns).collect() for raw in raws]
    except pl.exceptions.PolarsError as error:
        return None, [problem for raw in raws for problem in row_problems(raw, error)]
    bad_rows = BadRows(raws[0])
    for raw, start in zip(raws[1:], np.cumsum([len(frame) for frame in frames])[:-1], strict=True):
        bad_rows.begin_file(raw, int(start))
    frame = pl.concat(frames, how="vertical_relaxed").with_row_index(ROW)
    if table.id is None:
        frame = frame.with_columns((pl.col(ROW) + 1).cast(pl.String).alias(entity))
    else:
        frame = frame.with_columns(pl.col(table.id).cast(pl.String).alias(entity))
    frame = (
        _first_rows(frame, table, entity, bad_rows) if table.raw is None else _check_ids(frame, table, entity, bad_rows)
    )
    rows = frame[ROW].cast(pl.Int64).to_numpy()
    typed = [frame[entity]]
    for name, kind in table.columns.items():
        typed += parse_column(frame[name], kind, bad_rows, rows, raws[0].numbers, table.fill.get(name))
    return pl.DataFrame(typed), bad_rows.problems()


def _check_ids(frame: pl.DataFrame, table: EntityFile, entity: str, bad_rows: BadRows) -> pl.DataFrame:
    ids = frame[entity]
    missing = (ids.is_null() | (ids == "")).to_numpy()
    again = (~ids.is_first_distinct()).to_numpy() & ~missing
    bad_rows.add("no id", table.id, missing)
    bad_rows.add("the id {value} stands in an earlier row already", table.id, again)
    return frame


def _first_rows(frame: pl.DataFrame, table: EntityFile, entity: str, bad_rows: BadRows) -> pl.DataFrame:
    """Return the first row of each id, warning of columns that are not the same in all of them."""
    frame = frame.filter(pl.col(entity).is_not_null() & (pl.col(entity) != ""))
    if table.id is None:
        return frame
    first = frame.unique(entity, keep="first", maintain_order=True)
    for name in table.columns:
        differs = frame.select(ROW, differs=pl.col(name).ne_missing(pl.col(name).first().over(entity)))
        rows: Ints = differs.filter("differs")[ROW].cast(pl.Int64).to_numpy()
        if len(rows):
            what = f"{{value}} is not what an earlier row of this {entity} says, which is taken"
            bad_rows.add_rows(what, name, rows, "warning")
    return first
