"""Collaborative knowledge base embedding: an item's own factors plus those of its entity (Zhang et al., KDD 2016)."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from causalrec.encoders.base import EncoderInputs, IdTable, user_ids
from causalrec.encoders.knowledge.base import AbstractKnowledgeEncoder
from causalrec.encoders.knowledge.transr import TransR
from causalrec.encoders.knowledge.triples import GraphChoice, choose_triples
from causalrec.types import Batch, Count


class CKE(AbstractKnowledgeEncoder):
    """Item vector `v_i + k_e(i)`, with `k` of the entity that the item is; user vector `p_u`; biases as `mf`.

    Energy of a triple: `|h W_r + r - t W_r|^2` of the `k` of its entities. `v` starts at 0 for an item that is an
    entity: what its own rows say is learnt beside what the graph says. Without `penalty=triples` nothing joins the
    entities, and the model is `mf`; with `graph=none` it is `mf` number for number. CKE's texts and images are
    `encoder=hybrid`.

    Args:
        inputs: what the run hands it.
        width: number of factors.
        graph: which triples (`encoders/knowledge/triples.py`).
        graph_seed: of a corrupted graph.
        normalise: the three terms of an energy at unit length, as RecBole has them; the paper's eq. 2 has not.
    """

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        width: Count = 16,
        graph: GraphChoice = "declared",
        graph_seed: Annotated[int, Field(ge=0)] = 0,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.user_table = IdTable("user", inputs.num_users, width)
        self.item_table = IdTable("item", inputs.num_items, width)
        triples = choose_triples(inputs, graph, graph_seed)
        self.hold_triples(triples)
        if triples is not None:
            self.entities = nn.Parameter(0.1 * torch.randn(triples.entities, width))
            self.relations = TransR(triples.relations, width)
            self._start_at_entities()

    def _start_at_entities(self) -> None:
        with torch.no_grad():
            for vectors in self.item_table.id_rows()[:1]:  # none without ids
                vectors[self.get_buffer("item_entity") >= 0] = 0

    def users(self, batch: Batch) -> Tensor:
        return self.user_table.users(user_ids(batch))

    def items(self, ids: Tensor) -> Tensor:
        vectors = self.item_table.items(ids)
        if not self.num_relations:
            return vectors
        entity = self.get_buffer("item_entity")[ids]
        knowledge = functional.embedding(entity.clamp_min(0), self.entities) * (entity >= 0)[..., None]
        return vectors + functional.pad(knowledge, (0, 2))

    def triple_energies(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        return self.relations.energies(self.entities[head], relation, self.entities[tail], normalise=self.normalise)
