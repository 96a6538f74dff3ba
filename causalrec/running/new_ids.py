"""Users and items that the data of a run do not have, predicted by their columns alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from causalrec.data.card import Column
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.read_only import read_only
from causalrec.data.tabular.entities import EntityFile, read_entities
from causalrec.data.tabular.plain_copy import prepare_file
from causalrec.data.tabular.rawfile import RawFile
from causalrec.errors import RequestError
from causalrec.features.views import extend_features
from causalrec.prepared import PreparedData
from causalrec.running.trained_run import TrainedRun
from causalrec.types import Entity

SIDES: tuple[Entity, ...] = ("user", "item")
FILLS: Mapping[str, object] = {"numeric": 0.0, "text": "", "multi_hot": [], "category": "unknown"}  # where nobody reads


def read_new_ids(run: TrainedRun, side: Entity, path: Path | None) -> pl.DataFrame | None:
    """Return a table of new users or items, typed: `side`, the ids, and the columns of theirs that the file has.

    None where there is no file. Raises RequestError, in one line, where the model reads no column of that side, or one
    that no table holds, where the file lacks a column that it reads or has a cell that is none, and where an id is
    there already.
    """
    if path is None:
        return None
    setting, dataset = f"--new-{side}s {path}", run.prepared.dataset
    needed = _columns_read(run, side, setting)
    raw = RawFile(path=path)
    with TemporaryDirectory() as scratch:
        raw, _, problems = prepare_file(raw, Path(scratch))
        if problems:
            raise RequestError(f"{setting}: {problems[0].message}")
        given = set(raw.header())
        kinds = {c.name: c.kind for c in _of_tables(dataset, side) if c in needed or c.name in given}
        if missing := [name for name in (side, *(c.name for c in needed)) if name not in given]:
            raise RequestError(f"{setting}: has no column {missing[0]}; it needs {', '.join([side, *_names(needed)])}")
        if raw.scan([side]).head(1).collect().is_empty():
            raise RequestError(f"{setting}: has no row; write one for each new {side}")
        table, problems = read_entities(EntityFile(raw=raw, id=side, columns=kinds), [raw], side)
    errors = [problem for problem in problems if problem.severity == "error"]
    if table is None or errors:
        more = f" ({len(errors)} such problems)" if len(errors) > 1 else ""
        raise RequestError(f"--new-{side}s {errors[0]}{more}")
    present = [raw_id for raw_id in table[side] if run.ids.has(side, raw_id)]
    if present:
        raise RequestError(
            f"{setting}: {dataset.card.name} has the {side} {present[0]} ({len(present)} such ids); leave it out"
        )
    return table


def with_new_ids(run: TrainedRun, users: pl.DataFrame | None, items: pl.DataFrame | None) -> TrainedRun:
    """Return the run with new users and items behind the others; each is predicted by its columns, as an average id.

    Args:
        run: opened.
        users: as `read_new_ids` returns them; None: no new ones.
        items: likewise.

    Raises:
        RequestError: Where a row has a level that the data lack, and where the model cannot predict new ids.
    """
    new: dict[Entity, pl.DataFrame] = {
        side: table for side, table in zip(SIDES, (users, items), strict=True) if table is not None
    }
    prepared, learner = run.prepared, run.config.components.learner
    assert learner is not None  # an opened run has one
    dataset = _extend_dataset(prepared.dataset, new)
    try:
        extended = _extend(prepared, dataset, new)
        with read_only():
            predictor = learner.extend(run.config, prepared, extended, run.predictor, run.record.selection)
    except RequestError as error:
        names = " and ".join(f"--new-{side}s" for side in new)
        raise RequestError(f"{names}: {error}") from error
    return replace(run, prepared=extended, predictor=predictor)


def _extend(prepared: PreparedData, dataset: CausalDataset, new: Mapping[Entity, pl.DataFrame]) -> PreparedData:
    view = prepared.plan.views.outcome
    return replace(
        prepared,
        dataset=dataset,
        placebo_data=None if prepared.placebo_data is None else _extend_dataset(prepared.placebo_data, new),
        train=_resize(prepared.train, dataset.logged),
        validation=_resize(prepared.validation, dataset.logged),
        features=extend_features(prepared.features, prepared.dataset, view, new),
        _selected={},
    )


def _resize(log: InteractionLog, larger: InteractionLog) -> InteractionLog:
    return replace(log, num_users=larger.num_users, num_items=larger.num_items)


def _extend_dataset(dataset: CausalDataset, new: Mapping[Entity, pl.DataFrame]) -> CausalDataset:
    """Return the data set with further rows in its tables, and their ids; its log has no row of them."""
    changes: dict[str, object] = {}
    counts = {"user": dataset.logged.num_users, "item": dataset.logged.num_items}
    for side, table in new.items():
        old, ids = dataset.tables[side], getattr(dataset, f"{side}_ids")
        present_ids = pl.Series(range(counts[side]), dtype=pl.Int64) if ids is None else ids
        counts[side] += len(table)
        changes[f"{side}_table"] = pl.concat([old, _as_rows_of(old, dataset, side, table)])
        changes[f"{side}_ids"] = pl.concat(
            [present_ids.cast(pl.String), table[side].cast(pl.String).alias(present_ids.name)]
        )
        nothing = {
            name: np.full((len(table), v.shape[1]), np.nan, v.dtype) for name, v in dataset.vectors_of(side).items()
        }
        changes[f"{side}_vectors"] = {
            name: np.concatenate([vectors, nothing[name]]) for name, vectors in dataset.vectors_of(side).items()
        }
    if dataset.knowledge is not None:
        changes["knowledge"] = dataset.knowledge.resize(counts["user"], counts["item"])
    logged = replace(dataset.logged, num_users=counts["user"], num_items=counts["item"])
    return replace(dataset, logged=logged, **changes)  # type: ignore[arg-type]


def _as_rows_of(old: pl.DataFrame, dataset: CausalDataset, side: Entity, table: pl.DataFrame) -> pl.DataFrame:
    """Return new rows with the columns and types of a table."""
    kinds, columns = {column.name: column.kind for column in _of_tables(dataset, side)}, []
    for name, dtype in old.schema.items():
        if name in table.columns:
            series = table[name].cast(dtype, strict=False)
        else:
            fill = FILLS.get(kinds.get(name, ""))
            series = pl.Series(name, [fill] * len(table)).cast(dtype, strict=False)
        columns.append(series)
    return pl.DataFrame(columns)


def _columns_read(run: TrainedRun, side: Entity, setting: str) -> list[Column]:
    """Return the columns of a side that the model reads; RequestError where there is none, or one that is no cell."""
    learner, card = run.config.components.learner, run.prepared.dataset.card
    names = learner.columns_read(run.prepared.plan.views) if learner is not None else ()
    read = [column for column in card.columns if column.name in names]
    if pairs := [column.name for column in read if column.entity == "pair"]:
        raise RequestError(f"{setting}: the model reads {pairs[0]}, which pairs have, and new {side}s are in none")
    reads_text = run.config.encoder.target.reads_text or run.config.encoder.target.reads_pair_text
    unread = {"id", "knowledge"} if reads_text else {"id", "knowledge", "text"}  # a new item is no entity
    of_side = [column for column in read if column.entity == side and column.kind not in unread]
    if vectors := [column.name for column in of_side if column.kind == "vector"]:
        raise RequestError(
            f"{setting}: the model reads the vectors {vectors[0]}, which a table does not hold; add them and the "
            f"{side}s to the data, and train again"
        )
    if side == "user":
        run.ids.require_users()
    if not of_side:
        raise RequestError(
            f"{setting}: the model knows {side}s by their id alone, so that nothing tells new ones apart; train one "
            f"that reads columns of {side}s (graph: COLUMN -> outcome)"
        )
    return of_side


def _of_tables(dataset: CausalDataset, side: Entity) -> list[Column]:
    columns, table = dataset.card.columns, dataset.tables[side]
    return [c for c in columns if c.entity == side and c.kind not in ("id", "vector") and c.name in table]


def _names(columns: list[Column]) -> list[str]:
    return [column.name for column in columns]
