"""The vectors of the nodes of a graph in which users and items are nodes themselves."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.encoders.base import IdTable
from causalrec.encoders.knowledge.triples import TripleSet
from causalrec.types import Ints


class Nodes(nn.Module):
    """The nodes `[other entities, users, items]`: a user's or an item's vector is that of its table of ids.

    An entity is the node of the first user or item that is it; a further item that is the same entity stays a node of
    its own, without triples.

    Args:
        triples: that the nodes are of.
        users: the table of users, vectors and biases.
        items: the table of items.
        width: D.
    """

    def __init__(self, triples: TripleSet, users: IdTable, items: IdTable, width: int) -> None:
        super().__init__()
        self.tables = [users, items]  # a list hides them: they are the encoder's
        node, free = number_nodes(triples, len(users.bias))
        self.register_buffer("node_of_entity", torch.from_numpy(node), persistent=False)
        self.vectors = nn.Parameter(0.1 * torch.randn(free, width))

    @property
    def first_user(self) -> int:
        """The node of user 0."""
        return len(self.vectors)

    @property
    def first_item(self) -> int:
        """The node of item 0."""
        return self.first_user + len(self.tables[0].bias)

    def forward(self, entity: Tensor) -> Tensor:
        """Return the vectors `[B,D]` of entities `[B]`."""
        node = self.get_buffer("node_of_entity")[entity]
        padded = torch.cat([self.vectors, self.vectors.new_zeros(1, self.vectors.shape[1])])
        result = padded[node.clamp_max(self.first_user)]
        starts = (self.first_user, self.first_item)
        ends = (self.first_item, self.first_item + len(self.tables[1].bias))
        for table, start, end in zip(self.tables, starts, ends, strict=True):
            inside = (node >= start) & (node < end)
            if inside.any():
                vectors, _ = table.vectors_and_bias((node - start)[inside])
                result = result.index_put((inside,), vectors[0])
        return result

    def every(self) -> Tensor:
        """Return the vectors of all nodes, `[N,D]`."""
        blocks: list[Tensor] = [self.vectors]
        for table in self.tables:
            ids = torch.arange(len(table.bias), device=self.vectors.device)
            blocks += table.vectors_and_bias(ids)[0]
        return torch.cat(blocks)


def number_nodes(triples: TripleSet, users: int) -> tuple[Ints, int]:
    """Return the node of each entity, int64[E], and how many entities are neither a user nor an item.

    >>> import numpy as np
    >>> none = np.zeros(0, np.int64)
    >>> number_nodes(TripleSet(head=none, relation=none, tail=none, entities=3, relations=1,
    ...     item_entity=np.array([2, -1]), user_entity=np.array([-1])), users=1)
    (array([0, 1, 3]), 2)
    """
    node = np.full(triples.entities, -1, np.int64)
    for linked, start in ((triples.item_entity, users), (triples.user_entity, 0)):
        for_each = np.flatnonzero(linked >= 0)[::-1]  # the first comes last, and stays
        node[linked[for_each]] = start + for_each
    is_free = node < 0
    free = max(int(is_free.sum()), 1)  # a table without rows has no gradient
    node[~is_free] += free
    node[is_free] = np.arange(free)
    return node, free
