"""Which levels of a column, or entities of a relation, each user or item has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from causalrec.data.dataset import CausalDataset
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.rules.checks import GRAPH
from causalrec.types import Doubles, Entity, Ints

MAX_CELLS = 50_000_000  # of a table of users or items by levels
MAX_NAMED = 100  # levels that an error lists


@dataclass(frozen=True)
class Memberships:
    """The levels of each user or item, as pairs.

    Attributes:
        source: the column or relation, for messages.
        entity: whose.
        count: number of users or items.
        row: int64[M], the user or item of each pair.
        level: int64[M], its level, an index of `levels`.
        levels: sorted names.
    """

    source: str
    entity: Entity
    count: int
    row: Ints
    level: Ints
    levels: tuple[str, ...]

    def table(self) -> Doubles:
        """Return float64[count,levels], 1 where a user or item has the level; RequestError where it is too large."""
        if self.count * len(self.levels) > MAX_CELLS:
            raise RequestError(
                f"penalty=rules: {self.source} has {len(self.levels):,} levels x {self.count:,} {self.entity}s, above "
                f"{MAX_CELLS:,}; merge rare levels"
            )
        table = np.zeros((self.count, len(self.levels)))
        table[self.row, self.level] = 1.0
        return table

    def slots(self) -> Ints:
        """Return int64[count,K], the levels of each, -1 where there are fewer than K (at least 1)."""
        sizes = np.bincount(self.row, minlength=self.count)
        order = np.argsort(self.row, kind="stable")
        slot = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        slots = np.full((self.count, max(int(sizes.max(initial=0)), 1)), -1)
        slots[self.row[order], slot] = self.level[order]
        return slots

    def require_level(self, name: str, rule: int) -> int:
        """Return the index of a level; RequestError, with the nearest, where there is none of that name."""
        if name not in self.levels:
            nearest = did_you_mean(name, self.levels[:MAX_NAMED])
            raise RequestError(f"penalty=rules: rule {rule}: {self.source} has no level {name!r}; {nearest}")
        return self.levels.index(name)


def read_memberships(dataset: CausalDataset, source: str) -> Memberships:
    """Return the levels of a column, or the entities of a relation (`knowledge.NAME`), that users or items have.

    Raises RequestError where the data set has no such relation.
    """
    if source.startswith(GRAPH):
        return _of_relation(dataset.card.name, dataset.knowledge, source.removeprefix(GRAPH))
    entity: Entity = "user" if dataset.card.column(source).entity == "user" else "item"
    series = dataset.tables[entity][source]
    return _from_names(source, entity, len(series), *_level_pairs(series))


def _level_pairs(series: pl.Series) -> tuple[Ints, list[str]]:
    lists = [
        sorted({str(level) for level in (value if isinstance(value, list) else [value]) if level is not None})
        for value in series.to_list()
    ]
    return np.repeat(np.arange(len(lists)), [len(names) for names in lists]), [
        name for names in lists for name in names
    ]


def _from_names(source: str, entity: Entity, count: int, row: Ints, names: list[str]) -> Memberships:
    levels, level = np.unique(np.array(names, dtype=str), return_inverse=True)
    return Memberships(source, entity, count, row, level.astype(np.int64), tuple(levels.tolist()))


def _of_relation(dataset: str, graph: KnowledgeGraph | None, name: str) -> Memberships:
    if graph is None:
        raise RequestError(f"penalty=rules: reads the relation {name!r}, but {dataset} comes without a knowledge graph")
    if name not in graph.relations:
        raise RequestError(
            f"penalty=rules: {graph.name} has no relation {name!r}; {did_you_mean(name, graph.relations)}"
        )
    of_relation = np.flatnonzero(graph.relation == graph.relations.index(name))
    head, tail = graph.head[of_relation], graph.tail[of_relation]
    order = np.argsort(head, kind="stable")
    head, tail = head[order], tail[order]
    first, last = (np.searchsorted(head, graph.item_entity, side) for side in ("left", "right"))
    sizes = np.where(graph.item_entity >= 0, last - first, 0)
    item = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(item)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    pairs = np.unique(np.stack([item, tail[first[item] + within]], axis=1), axis=0)
    names = [graph.entities[entity] for entity in pairs[:, 1]]
    return _from_names(f"{GRAPH}{name}", "item", len(graph.item_entity), pairs[:, 0], names)
