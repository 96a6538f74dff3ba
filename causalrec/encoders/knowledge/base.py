"""The contract of encoders that hold a graph: two towers, and the energy of each triple."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.encoders.base import AbstractEncoder, Submodel
from causalrec.encoders.knowledge.triples import TripleSet
from causalrec.encoders.mf import BIASES, MF
from causalrec.types import CORRUPTED, TRIPLE, Batch, ModelSource, Role


class AbstractKnowledgeEncoder(AbstractEncoder):
    """Two towers over ids and triples. The lower the energy of a triple, the likelier the encoder holds it.

    Its settings `graph` and `width` say which triples it reads and which matrix factorisation it contains.
    """

    def hold_triples(self, triples: TripleSet | None) -> None:
        """Keep the triples, sorted by relation, and whose entities are whose, as buffers outside checkpoints."""
        self.num_relations = 0 if triples is None else triples.relations
        if triples is None:
            return
        order = np.argsort(triples.relation, kind="stable")
        counts = np.bincount(triples.relation, minlength=triples.relations)
        columns = {
            "triple_heads": triples.head[order],
            "triple_relations": triples.relation[order],
            "triple_tails": triples.tail[order],
            "first_of_relation": np.cumsum(counts) - counts,
            "size_of_relation": counts,
            "item_entity": triples.item_entity,
            "user_entity": triples.user_entity,
        }
        for name, values in columns.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values, np.int64)), persistent=False)

    @abstractmethod
    def triple_energies(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Return float32[B], of entities and relations int64[B]."""

    def sampled_energies(self, triple: Tensor, corrupted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the energies `[B]` of triples, and of the same with a tail of another triple of their relation.

        Args:
            triple: int64[B], any numbers from 0: the triple is the remainder by how many there are.
            corrupted: int64[B], likewise, of the triples of its relation. Tails of the same relation are the negatives
                that say something (type-constrained: Krompass et al., ISWC 2015).
        """
        which = triple % len(self.get_buffer("triple_heads"))
        head, relation, tail = (
            self.get_buffer(name)[which] for name in ("triple_heads", "triple_relations", "triple_tails")
        )
        first, size = (self.get_buffer(f"{what}_of_relation")[relation] for what in ("first", "size"))
        other = self.get_buffer("triple_tails")[first + corrupted % size]
        return self.triple_energies(head, relation, tail), self.triple_energies(head, relation, other)

    @classmethod
    def has_energies(cls, settings: Mapping[str, object]) -> bool:
        return settings["graph"] != "none"

    @classmethod
    def reads_knowledge(cls, settings: Mapping[str, object]) -> bool:
        return settings["graph"] not in ("none", "interactions")

    @classmethod
    def reads_training_rows(cls, settings: Mapping[str, object]) -> bool:
        return settings["graph"] == "interactions"

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        no_graph = {} if settings["graph"] == "none" else {"mf": Submodel(MF, {"width": settings["width"]})}
        return {"biases": BIASES, **no_graph}

    @classmethod
    def item_sources(
        cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]
    ) -> Mapping[ModelSource, Submodel]:
        reads = cls.reads_knowledge(settings) and "knowledge" in columns["item"]
        return {"knowledge": Submodel(settings={"graph": "none"})} if reads else {}


def triple_energies(networks: nn.ModuleDict, batch: Batch) -> dict[Role, tuple[Tensor, Tensor]]:
    """Return by role the energies of the triples of a batch and of their negatives, of networks that hold a graph."""
    columns = batch.columns[TRIPLE], batch.columns[CORRUPTED]
    encoders = {Role(role): cast(Any, network).encoder for role, network in networks.items()}
    return {
        role: encoder.sampled_energies(*columns)
        for role, encoder in encoders.items()
        if isinstance(encoder, AbstractKnowledgeEncoder) and encoder.num_relations
    }


Distance = Literal["dot", "transe"]
