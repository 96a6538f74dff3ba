"""The triples that an encoder holds: those of the data, corrupted ones, or the training interactions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.log import InteractionLog
from causalrec.encoders.base import EncoderInputs
from causalrec.errors import RequestError
from causalrec.types import Ints

GraphChoice = Literal["declared", "relations_shuffled", "random", "items_permuted", "interactions", "none"]


@dataclass(frozen=True, kw_only=True)
class TripleSet:
    """Triples over E entities, and which entity each item and each user is.

    Attributes:
        head: int64[T].
        relation: int64[T].
        tail: int64[T].
        entities: E.
        relations: how many relations there are.
        item_entity: int64[I], -1: none.
        user_entity: int64[U], -1: none.
    """

    head: Ints
    relation: Ints
    tail: Ints
    entities: int
    relations: int
    item_entity: Ints
    user_entity: Ints


def choose_triples(inputs: EncoderInputs, graph: GraphChoice, seed: int) -> TripleSet | None:
    """Return the triples of a choice; None for `none`.

    `relations_shuffled`: relations are dealt anew among triples: which entities are joined stays, and how often each
    relation occurs. `random`: as many triples, of heads, relations and tails drawn uniformly; an item stays an entity.
    `items_permuted`: entities are dealt anew among the items that are one; the graph stays as it is. `interactions`:
    of the data's graph nothing; each liked training row joins its user to its item by one relation, users and items
    being entities of name spaces of their own.

    Raises:
        RequestError: Where the outcome view lacks what is chosen.
    """
    if graph == "none":
        return None
    if graph == "interactions":
        return interactions_of(inputs)
    if inputs.knowledge is None:
        raise RequestError(
            f"encoder.graph={graph}: the outcome view has no graph of items; set dataset.knowledge, and name its node, "
            f"knowledge -> outcome, in the graph (graph=ml100k_knowledge), or set encoder.graph=none"
        )
    return corrupt(of_knowledge(inputs.knowledge, inputs.num_users), graph, np.random.default_rng(seed))


def of_knowledge(graph: KnowledgeGraph, users: int) -> TripleSet:
    """Return the triples of the data's graph."""
    no_users = np.full(users, -1, np.int64)
    return TripleSet(
        head=graph.head,
        relation=graph.relation,
        tail=graph.tail,
        entities=len(graph.entities),
        relations=len(graph.relations),
        item_entity=graph.item_entity,
        user_entity=no_users if graph.user_entity is None or not users else graph.user_entity,
    )


def corrupt(triples: TripleSet, graph: GraphChoice, rng: np.random.Generator) -> TripleSet:
    """Return triples corrupted as `choose_triples` says; those declared are left as they are."""
    count = len(triples.head)
    match graph:
        case "relations_shuffled":
            return replace(triples, relation=rng.permutation(triples.relation))
        case "random":
            head, tail = rng.integers(triples.entities, size=(2, count))
            return replace(triples, head=head, tail=tail, relation=rng.integers(triples.relations, size=count))
        case "items_permuted":
            linked, item_entity = np.flatnonzero(triples.item_entity >= 0), triples.item_entity.copy()
            item_entity[linked] = rng.permutation(item_entity[linked])
            return replace(triples, item_entity=item_entity)
        case _:
            return triples


def interactions_of(inputs: EncoderInputs) -> TripleSet:
    """Return the liked training rows as triples (user, interaction, item): entity u is a user, U + i an item."""
    users, items = _liked_pairs(inputs)
    return TripleSet(
        head=users,
        relation=np.zeros(len(users), np.int64),
        tail=inputs.num_users + items,
        entities=inputs.num_users + inputs.num_items,
        relations=1,
        item_entity=inputs.num_users + np.arange(inputs.num_items),
        user_entity=np.arange(inputs.num_users),
    )


def add_interactions(triples: TripleSet, inputs: EncoderInputs) -> TripleSet:
    """Return triples with each liked training row as one more, of a relation of its own.

    A user or an item that is no entity becomes one. Two items that are one entity stay one.
    """
    users, items = _liked_pairs(inputs)
    user_entity, count = _name_all(triples.user_entity, triples.entities)
    item_entity, count = _name_all(triples.item_entity, count)
    return TripleSet(
        head=np.concatenate([triples.head, user_entity[users]]),
        relation=np.concatenate([triples.relation, np.full(len(users), triples.relations)]),
        tail=np.concatenate([triples.tail, item_entity[items]]),
        entities=count,
        relations=triples.relations + 1,
        item_entity=item_entity,
        user_entity=user_entity,
    )


def _name_all(linked: Ints, count: int) -> tuple[Ints, int]:
    missing, numbered = np.flatnonzero(linked < 0), linked.copy()
    numbered[missing] = count + np.arange(len(missing))
    return numbered, count + len(missing)


def _liked_pairs(inputs: EncoderInputs) -> tuple[Ints, Ints]:
    log: InteractionLog | None = inputs.training_log
    if log is None or log.user is None:
        raise RequestError(
            "encoder: edges of interactions join users to items, and the outcome view lacks one of them; add user -> "
            "outcome and item -> outcome to the graph, or set encoder.graph=none"
        )
    rows = np.flatnonzero((log.treatment > 0) & (log.outcome >= inputs.positive_threshold))
    pairs = np.unique(log.codes[rows])
    return pairs // log.num_items, pairs % log.num_items
