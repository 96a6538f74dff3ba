"""Knowledge graph attention: what neighbours say is passed along the edges (KGAT: Wang et al., KDD 2019)."""

from collections.abc import Mapping
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from causalrec.encoders.base import EncoderInputs, IdTable, user_ids, with_item_bias, with_user_bias
from causalrec.encoders.knowledge.attention import Attention
from causalrec.encoders.knowledge.base import AbstractKnowledgeEncoder
from causalrec.encoders.knowledge.nodes import Nodes
from causalrec.encoders.knowledge.transr import TransR
from causalrec.encoders.knowledge.triples import GraphChoice, add_interactions, choose_triples
from causalrec.types import Batch, Count


class KGAT(AbstractKnowledgeEncoder):
    """Node vector = `[e_0, e_1/|e_1|, ..]`, layer by layer `e = LeakyReLU(W1(e + Ae)) + LeakyReLU(W2(e * Ae))`.

    A is the attention of `encoders/knowledge/attention.py`, without gradient, taken anew in each forward pass (in the
    paper once an epoch). The graph is the chosen one with the liked training rows as further triples, as in the
    paper: `interactions` is these alone. Biases as `mf`; `graph=none` is `mf`. Energy of a triple:
    `|h W_r + r - t W_r|^2`.

    Args:
        inputs: what the run hands it.
        width: number of factors of `e_0`.
        graph: which triples (`encoders/knowledge/triples.py`).
        graph_seed: of a corrupted graph.
        layers: width of each layer; the paper's 64, 32, 16 follow on 64 factors.
        dropout: share of a layer's numbers that are zeroed in training; .1 in the paper.
    """

    def __init__(
        self,
        inputs: EncoderInputs,
        *,
        width: Count = 16,
        graph: GraphChoice = "declared",
        graph_seed: Annotated[int, Field(ge=0)] = 0,
        layers: Annotated[tuple[Count, ...], Field(min_length=1)] = (16,),
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        self.user_table = IdTable("user", inputs.num_users, width)
        self.item_table = IdTable("item", inputs.num_items, width)
        triples = choose_triples(inputs, graph, graph_seed)
        if triples is not None and graph != "interactions":
            triples = add_interactions(triples, inputs)
        self.hold_triples(triples)
        self.dropout = nn.Dropout(dropout)
        if triples is not None:
            self.nodes = Nodes(triples, self.user_table, self.item_table, width)
            self.relations = TransR(triples.relations, width)
            ends = self.nodes.get_buffer("node_of_entity")
            heads, tails = (ends[self.get_buffer(name)] for name in ("triple_heads", "triple_tails"))
            count = self.nodes.first_item + len(self.item_table.bias)
            self.attention = Attention(heads, tails, self.get_buffer("size_of_relation").tolist(), count)
            widths = list(zip((width, *layers), layers, strict=False))
            self.sums, self.products = (nn.ModuleList(nn.Linear(into, out) for into, out in widths) for _ in range(2))

    @classmethod
    def reads_training_rows(cls, settings: Mapping[str, object]) -> bool:
        return settings["graph"] != "none"

    def users(self, batch: Batch) -> Tensor:
        ids = user_ids(batch)
        return with_user_bias(self._embed(self.user_table, ids, self.nodes.first_user if self.num_relations else 0))

    def items(self, ids: Tensor) -> Tensor:
        return with_item_bias(self._embed(self.item_table, ids, self.nodes.first_item if self.num_relations else 0))

    def _embed(self, table: IdTable, ids: Tensor, first: int) -> Tensor:
        if not self.num_relations:
            return cast(Tensor, table(ids))
        _, bias = table.vectors_and_bias(ids)
        rows = ids if table.has_ids else torch.zeros_like(ids)
        return torch.cat([functional.embedding(first + rows, self.node_vectors()), bias], -1)

    def node_vectors(self) -> Tensor:
        """Return the vectors of all nodes after all layers, float32[N,sum of widths]."""
        vectors = self.nodes.every()
        layers, passed = [vectors], self.attention.matrix(vectors, self.relations)
        for of_sum, of_product in zip(self.sums, self.products, strict=True):
            around = torch.sparse.mm(passed, vectors)
            vectors = functional.leaky_relu(of_sum(vectors + around))
            vectors = self.dropout(vectors + functional.leaky_relu(of_product(layers[-1] * around)))
            layers.append(vectors)
        return torch.cat([layers[0], *(functional.normalize(layer, dim=-1) for layer in layers[1:])], -1)

    def triple_energies(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        return self.relations.energies(self.nodes(head), relation, self.nodes(tail), normalise=False)
