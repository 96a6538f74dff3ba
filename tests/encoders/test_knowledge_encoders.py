"""Encoders of graphs: energies by hand, the model they contain, edges of training rows, a planted graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from causalrec.cli import main
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.log import InteractionLog
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.cfkg import CFKG
from causalrec.encoders.cke import CKE
from causalrec.encoders.kgat import KGAT
from causalrec.encoders.knowledge.base import AbstractKnowledgeEncoder
from causalrec.encoders.knowledge.triples import GraphChoice, choose_triples
from causalrec.encoders.mf import MF
from causalrec.errors import RequestError
from causalrec.types import Batch, Floats, Ints

ENCODERS: list[type[AbstractKnowledgeEncoder]] = [CKE, CFKG, KGAT]
CHOICES: list[GraphChoice] = ["declared", "relations_shuffled", "random", "items_permuted", "interactions"]


def log_of(user: list[int], item: list[int], outcome: list[float], users: int, items: int) -> InteractionLog:
    return InteractionLog(
        user=np.array(user),
        item=np.array(item),
        treatment=np.ones(len(user), np.int64),
        outcome=np.array(outcome, np.float32),
        num_users=users,
        num_items=items,
        name="toy",
    )


def toy_graph() -> KnowledgeGraph:
    """Entities 0..4; items 0, 1 and 3 are entities 2, 0 and 4; item 2 is none."""
    return KnowledgeGraph(
        name="toy",
        head=np.array([0, 2, 4, 0]),
        relation=np.array([1, 0, 0, 0]),
        tail=np.array([1, 3, 3, 1]),
        item_entity=np.array([2, 0, -1, 4]),
        entities=("a", "b", "c", "d", "e"),
        relations=("of", "by"),
    )


def toy_inputs(knowledge: KnowledgeGraph | None = None) -> EncoderInputs:
    return EncoderInputs(
        num_users=3,
        num_items=4,
        item_text=(),
        data=Path(),
        cache=Path(),
        knowledge=knowledge,
        training_log=log_of([0, 1, 1, 2], [1, 0, 2, 3], [1, 1, 0, 1], 3, 4),
    )


def batch_of(user: Ints, item: Ints) -> Batch:
    filled = torch.ones(len(user))
    return Batch(
        item=torch.from_numpy(item),
        treatment=filled.long(),
        outcome=filled,
        observed=filled,
        propensity=filled,
        weight=filled,
        features=torch.zeros(len(user), 0),
        user=torch.from_numpy(user),
    )


def scores(encoder: AbstractKnowledgeEncoder | MF, user: Ints, item: Ints) -> torch.Tensor:
    batch = batch_of(user, item)
    return (encoder.users(batch) * encoder.items(batch.item)).sum(-1)


@pytest.mark.parametrize("kind", ENCODERS)
def test_without_its_graph_it_is_matrix_factorisation(kind: type[AbstractKnowledgeEncoder]) -> None:
    user, item = np.array([0, 1, 2]), np.array([3, 2, 0])
    torch.manual_seed(0)
    of_graph = kind(toy_inputs(), graph="none", width=5)  # type: ignore[call-arg]
    torch.manual_seed(0)
    assert torch.equal(scores(of_graph, user, item), scores(MF(toy_inputs(), width=5), user, item))
    assert set(kind.submodels({"graph": "declared", "width": 5}, {})) == {"biases", "mf"}


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("graph", CHOICES)
def test_every_graph_gives_finite_scores_and_gradients(kind: type[AbstractKnowledgeEncoder], graph: str) -> None:
    encoder = kind(toy_inputs(toy_graph()), graph=graph, width=4)  # type: ignore[call-arg]
    positive, negative = encoder.sampled_energies(torch.arange(6), torch.arange(6) + 5)
    loss = scores(encoder, np.array([0, 2]), np.array([3, 1])).sum() - functional.logsigmoid(negative - positive).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(value.grad is None or value.grad.isfinite().all() for value in encoder.parameters())
    assert encoder.user_table.vectors.grad is not None  # type: ignore[union-attr]


@pytest.mark.parametrize("normalise", [False, True])
def test_energies_of_cke_are_those_of_a_loop(normalise: bool) -> None:
    encoder = CKE(toy_inputs(toy_graph()), width=3, normalise=normalise)
    with torch.no_grad():
        encoder.relations.projection.add_(torch.randn_like(encoder.relations.projection))
    head, relation, tail = torch.tensor([0, 2]), torch.tensor([1, 0]), torch.tensor([1, 3])
    for k, energy in enumerate(encoder.triple_energies(head, relation, tail)):
        matrix, shift = encoder.relations.projection[relation[k]], encoder.relations.translation[relation[k]]
        ends = [encoder.entities[head[k]] @ matrix, shift, encoder.entities[tail[k]] @ matrix]
        h, r, t = (vector / vector.norm() if normalise else vector for vector in ends)
        assert energy.item() == pytest.approx(((h + r - t) ** 2).sum().item(), abs=1e-5)


@pytest.mark.parametrize("distance", ["dot", "transe"])
def test_scores_and_energies_of_cfkg_are_of_the_same_vectors(distance: str) -> None:
    encoder = CFKG(toy_inputs(toy_graph()), width=3, distance=distance)  # type: ignore[arg-type]
    users, items = encoder.user_table.vectors, encoder.item_table.vectors
    assert users is not None and items is not None
    by_hand = users[1] @ items[3] if distance == "dot" else -((users[1] - items[3]) ** 2).sum()
    assert scores(encoder, np.array([1]), np.array([3])).item() == pytest.approx(by_hand.item(), abs=1e-6)
    energy = encoder.triple_energies(torch.tensor([4]), torch.tensor([0]), torch.tensor([2]))  # items 3 and 0
    head = items[3] + encoder.relations[0]
    by_hand = -(head @ items[0]) if distance == "dot" else ((head - items[0]) ** 2).sum()
    assert energy.item() == pytest.approx(by_hand.item(), abs=1e-6)


def test_attention_and_layers_of_kgat_are_those_of_a_loop() -> None:
    torch.manual_seed(0)
    encoder = KGAT(toy_inputs(toy_graph()), width=3, layers=(2,)).eval()
    vectors, relations = encoder.nodes.every(), encoder.relations
    edges: list[tuple[int, int, float]] = []
    node = encoder.nodes.get_buffer("node_of_entity")
    for h, r, t in zip(
        *(encoder.get_buffer(f"triple_{name}") for name in ("heads", "relations", "tails")), strict=True
    ):
        a, b = int(node[h]), int(node[t])
        ha, tb = vectors[a] @ relations.projection[r], vectors[b] @ relations.projection[r]
        edges.append((a, b, float(tb @ (ha + relations.translation[r]).tanh())))
        edges.append((b, a, float(ha @ (tb - relations.translation[r]).tanh())))
    around = torch.zeros_like(vectors)
    for n in range(len(vectors)):
        into = [(b, score) for a, b, score in edges if a == n]
        weights = torch.tensor([score for _, score in into]).softmax(0)
        for weight, (b, _) in zip(weights, into, strict=True):
            around[n] += weight * vectors[b]
    layer = functional.leaky_relu(encoder.sums[0](vectors + around))
    layer = layer + functional.leaky_relu(encoder.products[0](vectors * around))
    expected = torch.cat([vectors, functional.normalize(layer, dim=-1)], -1)
    assert torch.allclose(encoder.node_vectors(), expected, atol=1e-6)


def test_corrupted_graphs_keep_what_they_say_they_keep() -> None:
    inputs, graph = toy_inputs(toy_graph()), toy_graph()
    triples = {choice: choose_triples(inputs, choice, 3) for choice in CHOICES}
    shuffled, permuted, random = triples["relations_shuffled"], triples["items_permuted"], triples["random"]
    assert shuffled is not None and permuted is not None and random is not None
    assert (shuffled.head == graph.head).all() and sorted(shuffled.relation) == sorted(graph.relation)
    assert (permuted.tail == graph.tail).all() and sorted(permuted.item_entity) == sorted(graph.item_entity)
    assert permuted.item_entity[2] == -1 and len(random.head) == len(graph.head)
    assert (random.item_entity == graph.item_entity).all()


def test_interactions_are_liked_training_rows_in_two_name_spaces() -> None:
    triples = choose_triples(toy_inputs(), "interactions", 0)
    assert triples is not None
    assert list(zip(triples.head, triples.tail, strict=True)) == [
        (0, 4),
        (1, 3),
        (2, 6),
    ]  # user u, item 3 + i; no dislike
    assert triples.entities == 7


def test_a_graph_that_the_view_lacks_is_one_line() -> None:
    with pytest.raises(RequestError, match=r"the outcome view has no graph of items; set dataset\.knowledge"):
        CKE(toy_inputs())


@pytest.mark.parametrize(
    ("request_words", "said"),
    [
        ("encoder=cke", "encoder=cke: reads triples of items, and ml100k is read without any; set dataset.knowledge"),
        ("encoder=kgat dataset.knowledge=true", "which the causal graph hides: knowledge is no cause of the outcome"),
        ("encoder=mf penalty=triples", "penalty=triples: reads the energies of triples, which encoder=mf does not"),
        ("encoder=cke encoder.graph=none penalty=triples", "a graph other than none, or drop it"),
    ],
)
def test_a_graph_that_cannot_be_read_is_refused_before_work(
    request_words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "dataset=ml100k", "logger=none", *request_words.split()]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def plant_graph(seed: int, users: int, items: int, rows: int) -> tuple[EncoderInputs, InteractionLog, Ints, Floats]:
    """Likes of items whose vector is the sum of 3 of 60 entity vectors: inputs, log, test pairs and their labels."""
    rng = np.random.default_rng(seed)
    members = np.stack([rng.choice(60, 3, replace=False) for _ in range(items)])
    logits = 2 * rng.normal(size=(users, 3)) @ rng.normal(size=(60, 3))[members].sum(1).T
    liked = rng.random((users, items)) < 1 / (1 + np.exp(-logits))
    codes, test = rng.choice(users * items, rows, replace=False), rng.choice(users * items, 20_000)
    log = log_of(list(codes // items), list(codes % items), list(liked.ravel()[codes]), users, items)
    graph = KnowledgeGraph(
        name="planted",
        head=np.repeat(np.arange(items), 3),
        relation=np.zeros(3 * items, np.int64),
        tail=items + members.ravel(),
        item_entity=np.arange(items),
        entities=tuple(map(str, range(items + 60))),
        relations=("has",),
    )
    inputs = EncoderInputs(num_users=users, num_items=items, item_text=(), data=Path(), cache=Path(), knowledge=graph)
    return inputs, log, test, liked.ravel()[test].astype(np.float32)


def auc_of(graph: str, seed: int, epochs: int, *size: int) -> float:
    """Fit `cke` of a graph by plain AdamW and return its AUC over pairs drawn uniformly."""
    inputs, log, test, labels = plant_graph(seed, *size)
    torch.manual_seed(seed)
    encoder = CKE(inputs, graph=graph)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.01, weight_decay=1.0)
    outcome, generator = torch.from_numpy(log.outcome), torch.Generator().manual_seed(seed)
    assert log.user is not None
    for _ in range(epochs):
        for rows in torch.randperm(len(log), generator=generator).split(512):
            score = scores(encoder, log.user[rows.numpy()], log.item[rows.numpy()])
            loss = functional.binary_cross_entropy_with_logits(score, outcome[rows])
            if graph != "none":
                numbers = torch.randint(1 << 40, (2, 1024), generator=generator)
                positive, negative = encoder.sampled_energies(*numbers)
                loss = loss - 0.3 * functional.logsigmoid(negative - positive).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        predicted = scores(encoder, test // size[1], test % size[1]).numpy()
    order = np.argsort(np.argsort(predicted))
    positives = labels.sum()
    return float((order[labels == 1].sum() - positives * (positives - 1) / 2) / positives / (len(labels) - positives))


def test_a_planted_graph_helps_and_a_random_one_less() -> None:
    none, true, random = (auc_of(graph, 0, 8, 300, 400, 5_000) for graph in ("none", "declared", "random"))
    assert true - none > 0.02 and true - random > 0.01


@pytest.mark.long
def test_a_planted_graph_gains_three_points_of_which_a_random_one_keeps_a_quarter_at_most() -> None:
    size = (943, 1_682, 15_861)
    aucs = np.array([[auc_of(g, seed, 25, *size) for g in ("none", "declared", "random")] for seed in range(20)])
    gains = (aucs[:, 1:] - aucs[:, :1]).mean(0)
    assert gains[0] >= 0.03 and gains[1] <= gains[0] / 4
