"""From the adjustment set to inputs: which columns the propensity and the outcome model read, and as which numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.errors import RequestError
from causalrec.features.expand import expand_table
from causalrec.features.feature_matrix import FeatureMatrix
from causalrec.features.row_columns import AbstractRowColumn, row_column
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.identify import Adjustment
from causalrec.types import Entity, Floats, Ints

__all__ = ["FeatureMatrix", "Views", "choose_views", "extend_features", "feature_matrix", "may_say_treatment"]


@dataclass(frozen=True)
class Views:
    """The columns that models read, as sorted names; controls, instruments and mediators are of a learner from a table.

    Attributes:
        propensity: what the propensity model reads.
        outcome: what the outcome model reads.
        modifiers: X, by which the effect may vary.
        controls: W, the rest of the adjustment set.
        instruments: Z, by which the effect is identified where adjusting does not.
        mediators: M, the same.
    """

    propensity: tuple[str, ...]
    outcome: tuple[str, ...]
    modifiers: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    mediators: tuple[str, ...] = ()


def choose_views(graph: CausalGraph, card: DatasetCard, adjustment: Adjustment) -> Views:
    """Return the views: propensity = the adjustment set; outcome = it and every observed cause of the outcome."""
    training = adjustment.training
    causes, adjusted = graph.causes_of_outcome() & graph.observed_nodes(card), set(training.columns)
    causes -= set(training.instruments)  # they reach the outcome by exposure alone
    modifiers = causes if graph.modifiers is None else set(graph.modifiers)
    return Views(
        propensity=training.columns,
        outcome=tuple(sorted(causes | adjusted)),
        modifiers=tuple(sorted(modifiers)),
        controls=tuple(sorted(adjusted - modifiers)),
        instruments=training.instruments,
        mediators=() if training.mediator is None else (training.mediator,),
    )


def may_say_treatment(views: Views, card: DatasetCard) -> tuple[str, ...]:
    """Return the columns that treatment must not follow: those adjusted for; of a claimed draw, all causes of the
    outcome, for there nothing is adjusted for.
    """
    return views.outcome if card.randomised_training else views.propensity


def feature_matrix(
    dataset: CausalDataset, view: tuple[str, ...], represented: Mapping[str, Floats] | None = None
) -> FeatureMatrix:
    """Expand a view's columns: numbers standardised over their table (of a row: over the logged rows), categories
    one-hot, lists multi-hot.

    `represented`: text and vector columns that are numbers already, float32[rows,K] by name.
    """
    columns, given = [dataset.card.column(name) for name in view], represented or {}
    user = expand_table(dataset.user_table, [c for c in columns if c.entity == "user"], given)
    item = expand_table(dataset.item_table, [c for c in columns if c.entity == "item"], given)
    pair_names = [c.name for c in columns if c.entity == "pair"]
    rows = tuple(row_column(c, dataset.logged.columns[c.name]) for c in columns if c.entity == "row")
    before_pairs = len(user.names) + len(item.names)
    before_rows = before_pairs + len(pair_names)
    dense = [
        user.dense,
        item.dense + len(user.names),
        np.arange(before_pairs, before_rows),
        _dense_rows(rows, before_rows),
    ]
    names = (*user.names, *item.names, *pair_names, *(name for row in rows for name in row.names))
    every = np.concatenate(dense)
    item_levels = np.where(item.levels >= 0, item.levels + len(user.names), item.levels)
    return FeatureMatrix(
        names=names,
        ids=tuple(c.name for c in columns if c.kind == "id"),
        user_block=user.numbers,
        item_block=item.numbers,
        pairs=tuple(dataset.pair_features[name] for name in pair_names),
        rows=rows,
        dense=None if len(every) == len(names) else every,
        user_levels=user.levels if user.levels.shape[1] else None,
        item_levels=item_levels if item.levels.shape[1] else None,
    )


def extend_features(
    features: FeatureMatrix, dataset: CausalDataset, view: tuple[str, ...], new: Mapping[Entity, pl.DataFrame]
) -> FeatureMatrix:
    """Return the numbers of a view for further users and items, behind those that there are; these set the means,
    deviations and levels.

    Args:
        features: of the view.
        dataset: that they were made of.
        view: names of columns.
        new: by side, a table of the columns of the view.

    Raises:
        RequestError: Where a row has a level that the data lack, and where texts or vectors are read as numbers.
    """
    columns = [dataset.card.column(name) for name in view]
    if as_numbers := [name for name in view if f"{name}[0]" in features.names]:
        raise RequestError(f"{as_numbers[0]}: is read by its principal components, which new rows have none of")
    first = len(expand_table(dataset.user_table, [c for c in columns if c.entity == "user"], {}).names)
    for side, table in new.items():
        of_side = [column for column in columns if column.entity == side]
        more = expand_table(table, of_side, {}, reference=dataset.tables[side])
        shifted = np.where(more.levels >= 0, more.levels + (first if side == "item" else 0), more.levels)
        block = np.concatenate([getattr(features, f"{side}_block"), more.numbers])
        levels = getattr(features, f"{side}_levels")
        levels = None if levels is None else _stack_levels(levels, shifted)
        if side == "user":
            features = replace(features, user_block=block, user_levels=levels)
        else:
            features = replace(features, item_block=block, item_levels=levels)
    return features


def _stack_levels(levels: Ints, more: Ints) -> Ints:
    """Stack int64[N,K] and int64[M,L], -1 where a row has fewer levels than the others."""
    width = max(levels.shape[1], more.shape[1])
    padded = [np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=-1) for each in (levels, more)]
    return np.concatenate(padded)


def _dense_rows(rows: Sequence[AbstractRowColumn], start: int) -> Ints:
    """Return which names of columns of rows are numbers, int64, the first of them at `start`."""
    dense: list[int] = []
    for row in rows:
        dense += [] if row.is_wide else range(start, start + len(row.names))
        start += len(row.names)
    return np.array(dense, np.int64)
