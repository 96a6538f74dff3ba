"""Users, items and entities in one space, to like being a relation (CFKG: Ai et al., Algorithms 2018)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from causalrec.encoders.base import EncoderInputs, IdTable, user_ids
from causalrec.encoders.knowledge.base import AbstractKnowledgeEncoder, Distance
from causalrec.encoders.knowledge.nodes import Nodes
from causalrec.encoders.knowledge.triples import GraphChoice, choose_triples
from causalrec.types import Batch, Count


class CFKG(AbstractKnowledgeEncoder):
    """Score `e_u . e_i` and biases; the energy of a triple is `-(h + r) . t` of the same vectors.

    With `distance=transe` the energy is `|h + r - t|^2`, and the score `-|e_u - e_i|^2`. The paper's user vector is
    `e_u + r`, r of liking: users that head no triple hold it already, and as a parameter that all rows share it learns
    popularity before any taste, where fits stop. An item's vector is that of its entity, so that `penalty=triples`
    moves it; without that penalty, or with `graph=none`, `distance=dot` is `mf`.

    Args:
        inputs: what the run hands it.
        width: number of factors.
        graph: which triples (`encoders/knowledge/triples.py`).
        graph_seed: of a corrupted graph.
        distance: `dot`, or `transe` as published (its margin of 1 is left to the penalty's logistic loss).
    """

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        width: Count = 16,
        graph: GraphChoice = "declared",
        graph_seed: Annotated[int, Field(ge=0)] = 0,
        distance: Distance = "dot",
    ) -> None:
        super().__init__()
        self.distance = distance
        self.user_table = IdTable("user", inputs.num_users, width)
        self.item_table = IdTable("item", inputs.num_items, width)
        triples = choose_triples(inputs, graph, graph_seed)
        self.hold_triples(triples)
        if triples is not None:
            self.nodes = Nodes(triples, self.user_table, self.item_table, width)
            self.relations = nn.Parameter(0.1 * torch.randn(triples.relations, width))

    def users(self, batch: Batch) -> Tensor:
        (vectors,), bias = self.user_table.vectors_and_bias(user_ids(batch))
        if self.distance == "dot":
            return torch.cat([vectors, bias, torch.ones_like(bias)], -1)
        return torch.cat([2 * vectors, bias - vectors.square().sum(-1, keepdim=True), torch.ones_like(bias)], -1)

    def items(self, ids: Tensor) -> Tensor:
        (vectors,), bias = self.item_table.vectors_and_bias(ids)
        less = 0 if self.distance == "dot" else vectors.square().sum(-1, keepdim=True)
        return torch.cat([vectors, torch.ones_like(bias), bias - less], -1)

    def triple_energies(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        moved: Tensor = self.nodes(head) + self.relations[relation]
        end: Tensor = self.nodes(tail)
        return -(moved * end).sum(-1) if self.distance == "dot" else (moved - end).square().sum(-1)
