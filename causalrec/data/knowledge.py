"""What is known of items beside the log: triples of entities, some of which are items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        left_out: Triples and links of the files that name no item or entity, so that nothing could read them.
    """

    name: str
    head: Ints
    relation: Ints
    tail: Ints
    item_entity: Ints
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    left_out: int = 0

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
        if self.item_entity.max() >= len(self.entities):
            raise DataError(f"{self.name}: an item is entity {self.item_entity.max()} of {len(self.entities)}")

    def __len__(self) -> int:
        return len(self.head)

    @property
    def linked_items(self) -> int:
        """Number of items that are an entity."""
        return int(np.count_nonzero(self.item_entity >= 0))
