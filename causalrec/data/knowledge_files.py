"""Reading a graph of what is known of items: a file of triples, and a file that links items to its entities."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import polars as pl
from pydantic import ConfigDict

from causalrec.data.card import Column
from causalrec.data.delimited_text import read_delimited
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.readable_paths import require_readable
from causalrec.data.sources import sha256_of
from causalrec.errors import DataError, RequestError
from causalrec.types import Ints

KNOWLEDGE_COLUMN: Final = Column("knowledge", "item", "knowledge")  # the node that lets encoders read the graph
HEADERS: Final = {  # the plain ones; a typed one, `head_id:token`, is known by its colons
    ("head", "relation", "tail"),
    ("item", "entity"),
    ("user", "entity"),
}
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KnowledgeFiles:
    """Where a graph of your own stands; files lie below the data set's folder, `.gz` or not.

    Fields are parted by tabs, in `.csv` by commas. The first line may be a header, plain (`head,relation,tail`) or
    typed (`head_id:token`).

    Attributes:
        triples: File of head, relation and tail.
        links: File of item and entity; None: an entity that is called as an item's id is that item.
        user_links: File of user and entity; None: no user is an entity. A triple may then join a user to an item in
            pairs of training rows alone: the audit fails on any other.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    triples: str
    links: str | None = None
    user_links: str | None = None

    def paths(self, folder: Path, root: Path) -> dict[str, Path]:
        """Return where each file lies, by its key; RequestError where it is none of data (`readable_paths`)."""
        named = {"triples": self.triples, "links": self.links, "user_links": self.user_links}
        return {key: require_readable(folder, file, root) for key, file in named.items() if file is not None}

    def check(self, folder: Path, root: Path) -> None:
        """Raise RequestError where a file is not there; nothing is read."""
        for key, path in self.paths(folder, root).items():
            if not path.is_file():
                raise RequestError(f"dataset.knowledge.{key}: {path}: there is no such file")

    def checksums(self, folder: Path, root: Path) -> dict[str, str]:
        """Return the sha256 of each file that there is, by its name."""
        paths = self.paths(folder, root)
        return {f"knowledge {key}": sha256_of(path) for key, path in paths.items() if path.is_file()}

    def read(
        self, folder: Path, root: Path, name: str, item_ids: Sequence[str], user_ids: Sequence[str]
    ) -> KnowledgeGraph:
        """Return the graph, as `read_knowledge` does.

        Args:
            folder: Of the data set.
            root: `paths.data`.
            name: Of the data set.
            item_ids: The ids of items in order.
            user_ids: The ids of users in order.
        """
        paths = self.paths(folder, root)
        return read_knowledge(name, paths["triples"], paths.get("links"), item_ids, paths.get("user_links"), user_ids)


def read_knowledge(
    name: str,
    triples: Path,
    links: Path | None,
    item_ids: Sequence[str],
    user_links: Path | None = None,
    user_ids: Sequence[str] = (),
) -> KnowledgeGraph:
    """Read a graph; entities and relations are numbered in the order of their names' first occurrence.

    Items and users enter by their links alone: an id of the log and an entity that is called alike are not the same,
    unless there is no file of links. Links of unknown items or users are counted, in the program's log too.

    Args:
        name: Of the data set, in messages.
        triples: File of head, relation and tail.
        links: File of item and entity; None: entities are called as items.
        item_ids: The ids of items in order.
        user_links: File of user and entity.
        user_ids: The ids of users in order.

    Raises:
        DataError: Where a file is no table of these fields, an item has two entities, or nothing is left.
    """
    table = _read(triples, ["head", "relation", "tail"])
    if table.is_empty():
        raise DataError(f"{triples}: holds no triple; name a file of head, relation and tail")
    of_items = _links(links, "item") if links else _same_names(item_ids, table)
    of_users = _links(user_links, "user") if user_links else None
    linked = [of_items["entity"], *([] if of_users is None else [of_users["entity"]])]
    entities = pl.concat([table["head"], table["tail"], *linked]).unique(maintain_order=True)
    relations = table["relation"].unique(maintain_order=True)
    item_entity, unknown = _entity_of(of_items, "item", item_ids, entities, links or triples)
    user_entity, unknown_users = None, 0
    if of_users is not None and user_links is not None:
        user_entity, unknown_users = _entity_of(of_users, "user", user_ids, entities, user_links)
    for count, side in ((unknown, "items"), (unknown_users, "users")):
        if count:
            LOGGER.warning("%s: %d links name %s that the log does not have; they are left out", name, count, side)
    if (item_entity < 0).all():
        raise DataError(f"{links or triples}: names no item of {name}; check that its ids are those of the log")
    return KnowledgeGraph(
        name=f"the graph of {name}",
        head=_numbers(table["head"], entities),
        relation=_numbers(table["relation"], relations),
        tail=_numbers(table["tail"], entities),
        item_entity=item_entity,
        entities=tuple(entities.to_list()),
        relations=tuple(relations.to_list()),
        left_out=unknown + unknown_users,
        user_entity=user_entity,
    )


def _read(path: Path, names: list[str]) -> pl.DataFrame:
    separator = "," if ".csv" in path.suffixes else "\t"
    table = read_delimited(path, separator, names, header=False)
    first = () if table.is_empty() else table.row(0)
    is_header = first in HEADERS or all(":" in str(field) and "_id" in str(field) for field in first)
    return table[1:] if is_header else table


def _links(path: Path, side: str) -> pl.DataFrame:
    table = _read(path, [side, "entity"]).unique(maintain_order=True)
    if (twice := table[side].is_duplicated()).any():
        raise DataError(f"{path}: {side} {table[side].filter(twice)[0]!r} has two entities; give each {side} one")
    return table


def _same_names(item_ids: Sequence[str], table: pl.DataFrame) -> pl.DataFrame:
    names = pl.concat([table["head"], table["tail"]]).unique()
    ids = pl.DataFrame({"item": list(item_ids)}, schema={"item": pl.String})
    return ids.filter(pl.col("item").is_in(names.implode())).with_columns(entity="item")


def _entity_of(table: pl.DataFrame, side: str, ids: Sequence[str], entities: pl.Series, path: Path) -> tuple[Ints, int]:
    """Return the entity of each id, int64[N], -1 for none, and how many links name no id."""
    order = pl.DataFrame({side: list(ids)}, schema={side: pl.String})
    numbered = table.with_columns(pl.Series("number", _numbers(table["entity"], entities)))
    joined = order.join(numbered, on=side, how="left", maintain_order="left")
    return joined["number"].fill_null(-1).to_numpy().astype(np.int64), len(table.join(order, on=side, how="anti"))


def _numbers(names: pl.Series, order: pl.Series) -> Ints:
    return names.replace_strict(order, pl.Series(range(len(order)), dtype=pl.Int64)).to_numpy().astype(np.int64)
