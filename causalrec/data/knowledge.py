"""What is known of items beside the log: triples of entities, some of which are items."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from causalrec.errors import DataError
from causalrec.types import Ints


@dataclass(frozen=True, kw_only=True)
class KnowledgeGraph:
    """Triples `(head, relation, tail)` over entities, and which entity each item is.

    Attributes:
        name: Of the graph, in messages and in the record.
        head: int64[T], entities.
        relation: int64[T], relations.
        tail: int64[T], entities.
        item_entity: int64[I], the entity that an item is; -1: none.
        entities: Names of the entities, E.
        relations: Names of the relations.
        left_out: Links of the files that name no item of the log, so that nothing could read them.
        user_entity: int64[U], the entity that a user is, likewise; None where no user is one.
    """

    name: str
    head: Ints
    relation: Ints
    tail: Ints
    item_entity: Ints
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    left_out: int = 0
    user_entity: Ints | None = None

    def __post_init__(self) -> None:
        if not len(self.head):
            raise DataError(f"{self.name}: the graph has no triple left; name files whose triples meet the items")
        if not (self.item_entity >= 0).any():
            raise DataError(f"{self.name}: no item is an entity of the graph; name the file that links items to it")
        counts = (len(self.entities), len(self.relations), len(self.entities))
        for what, ids, count in zip(
            ("head", "relation", "tail"), (self.head, self.relation, self.tail), counts, strict=True
        ):
            if ids.min() < 0 or ids.max() >= count:
                raise DataError(
                    f"{self.name}: a {what} is no number below {count}; number entities and relations from 0"
                )
        for side, linked in (("an item", self.item_entity), ("a user", self.user_entity)):
            if linked is not None and linked.max(initial=-1) >= len(self.entities):
                raise DataError(f"{self.name}: {side} is entity {linked.max()} of {len(self.entities)}")

    def __len__(self) -> int:
        return len(self.head)

    @property
    def linked_items(self) -> int:
        """Number of items that are an entity."""
        return int(np.count_nonzero(self.item_entity >= 0))

    def resize(self, users: int, items: int) -> KnowledgeGraph:
        """Return the graph for so many users and items: the first of them, further ones without an entity."""
        user_entity = None if self.user_entity is None else _resize(self.user_entity, users)
        return replace(self, item_entity=_resize(self.item_entity, items), user_entity=user_entity)

    def deal_items(self, order: Ints) -> KnowledgeGraph:
        """Return the graph in which each item is the entity of the item that `order`, int64[I], names."""
        return replace(self, item_entity=self.item_entity[order])

    def user_item_edges(self) -> tuple[Ints, Ints]:
        """Return users and items, int64[P] each, that a triple joins in either direction."""
        if self.user_entity is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        pairs = [
            _pairs_of(self.user_entity, self.item_entity, *ends)
            for ends in ((self.head, self.tail), (self.tail, self.head))
        ]
        return np.concatenate([users for users, _ in pairs]), np.concatenate([items for _, items in pairs])


def _resize(linked: Ints, count: int) -> Ints:
    first = linked[:count]
    return np.pad(first, (0, count - len(first)), constant_values=-1)


def _pairs_of(user_entity: Ints, item_entity: Ints, users: Ints, items: Ints) -> tuple[Ints, Ints]:
    """Return (user, item) of each edge whose first end is a user's entity and whose second an item's, all that share
    an entity."""
    left = pl.DataFrame({"edge": np.arange(len(users)), "entity": users}).join(
        _members(user_entity, "user"), on="entity"
    )
    right = pl.DataFrame({"edge": np.arange(len(items)), "entity": items}).join(
        _members(item_entity, "item"), on="entity"
    )
    joined = left.join(right, on="edge", maintain_order="left")
    return joined["user"].to_numpy(), joined["item"].to_numpy()


def _members(linked: Ints, name: str) -> pl.DataFrame:
    return pl.DataFrame({"entity": linked, name: np.arange(len(linked))}).filter(pl.col("entity") >= 0)
