"""Triples of what is known of items: every number is checked where the graph is made."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.data.knowledge import KnowledgeGraph
from causalrec.errors import DataError
from causalrec.types import Ints


def graph(head: list[int], tail: list[int], item_entity: list[int]) -> KnowledgeGraph:
    arrays: list[Ints] = [np.array(ids, np.int64) for ids in (head, [0] * len(head), tail, item_entity)]
    return KnowledgeGraph(
        name="toy",
        head=arrays[0],
        relation=arrays[1],
        tail=arrays[2],
        item_entity=arrays[3],
        entities=("a", "b", "c"),
        relations=("likes",),
    )


def test_it_counts_triples_and_linked_items() -> None:
    toy = graph([0, 1], [2, 2], [0, -1, 1])
    assert (len(toy), toy.linked_items) == (2, 2)


@pytest.mark.parametrize(
    ("head", "tail", "item_entity", "reason"),
    [
        ([], [], [0], "no triple left"),
        ([0], [1], [-1, -1], "no item is an entity"),
        ([3], [1], [0], "a head is no number below 3"),
        ([0], [-1], [0], "a tail is no number below 3"),
        ([0], [1], [5], "an item is entity 5 of 3"),
    ],
)
def test_an_empty_or_misnumbered_graph_is_one_line(
    head: list[int], tail: list[int], item_entity: list[int], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        graph(head, tail, item_entity)
