"""From the adjustment set to inputs: which columns the propensity and the outcome model read, and as which numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.features.expand import expand_table
from causalrec.features.feature_matrix import FeatureMatrix
from causalrec.features.row_columns import AbstractRowColumn, row_column
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.identify import Adjustment
from causalrec.types import Floats, Ints

__all__ = ["FeatureMatrix", "Views", "choose_views", "feature_matrix", "may_say_treatment"]


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


def _dense_rows(rows: Sequence[AbstractRowColumn], start: int) -> Ints:
    """Return which names of columns of rows are numbers, int64, the first of them at `start`."""
    dense: list[int] = []
    for row in rows:
        dense += [] if row.is_wide else range(start, start + len(row.names))
        start += len(row.names)
    return np.array(dense, np.int64)
