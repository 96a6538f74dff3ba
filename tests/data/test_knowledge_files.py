"""Files of triples and links: headers, ids in name spaces of their own, what is left out, and edges that leak."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from causalrec.data.edge_audit import require_training_edges
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.knowledge_files import KnowledgeFiles, read_knowledge
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.errors import DataError, RequestError

TRIPLES = "head_id:token\trelation_id:token\ttail_id:token\nm1\tby\tann\n5\tof\tm1\n"
LINKS = "item_id:token\tentity_id:token\n5\tm1\n7\t5\n99\tann\n"


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("ending", ["kg", "kg.gz"])
def test_items_enter_by_their_links_alone(tmp_path: Path, ending: str) -> None:
    triples, links = write(tmp_path / f"a.{ending}", TRIPLES), write(tmp_path / "a.link", LINKS)
    graph = read_knowledge("toy", triples, links, ["5", "6", "7"])
    assert [graph.entities[k] if k >= 0 else None for k in graph.item_entity] == ["m1", None, "5"]  # item 5 is not "5"
    assert (len(graph), graph.relations, graph.left_out) == (2, ("by", "of"), 1)


def test_without_links_an_entity_that_is_called_as_an_item_is_it(tmp_path: Path) -> None:
    graph = read_knowledge("toy", write(tmp_path / "a.csv", "head,relation,tail\n5,of,x\n"), None, ["4", "5"])
    assert graph.item_entity.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("triples", "links", "reason"),
    [
        ("head\trelation\ttail\n", LINKS, "holds no triple"),
        (TRIPLES, "98\tm1\n", "names no item of toy"),
        (TRIPLES, "5\tm1\n5\tann\n", "item '5' has two entities"),
        ("a\tb\n", LINKS, "line 1 has 2 fields, expected 3"),
    ],
)
def test_files_that_leave_nothing_are_one_line(tmp_path: Path, triples: str, links: str, reason: str) -> None:
    paths = write(tmp_path / "a.kg", triples), write(tmp_path / "a.link", links)
    with pytest.raises(DataError, match=reason):
        read_knowledge("toy", *paths, ["5"])


def test_a_missing_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"dataset.knowledge.triples: .*no such file"):
        KnowledgeFiles(triples="none.kg").check(tmp_path, tmp_path)


def log_of(pairs: list[tuple[int, int]], name: str) -> InteractionLog:
    user, item = np.array(pairs).T
    filled = np.ones(len(pairs))
    return InteractionLog(
        user=user,
        item=item,
        treatment=filled.astype(np.int64),
        outcome=filled.astype(np.float32),
        num_users=3,
        num_items=3,
        name=name,
    )


def test_a_held_out_pair_as_an_edge_fails_the_audit() -> None:
    splits = Splits(
        train=log_of([(0, 0), (1, 1)], "train"),
        validation=log_of([(2, 1)], "validation"),
        test=log_of([(0, 2)], "test"),
        test_is_randomised=False,
        duplicates=0,
        unseen=0,
    )
    graph = KnowledgeGraph(
        name="the graph of toy",
        head=np.array([0, 4]),
        relation=np.array([0, 0]),
        tail=np.array([3, 0]),
        item_entity=np.array([3, -1, 4]),
        entities=("u0", "u1", "u2", "i0", "i2"),
        relations=("likes",),
        user_entity=np.array([0, 1, 2]),
    )
    user, item = graph.user_item_edges()
    assert list(zip(user, item, strict=True)) == [(0, 0), (0, 2)]
    require_training_edges("g", user[:1], item[:1], splits)
    with pytest.raises(
        DataError, match=r"1 of 2 edges .* no training row \(1 of the test rows\), first user 0, item 2"
    ):
        require_training_edges(graph.name, user, item, splits)


def test_a_graph_grows_and_shrinks_with_the_ids() -> None:
    graph = read_graph()
    assert graph.resize(2, 3).item_entity.tolist() == [0, -1, -1]
    assert graph.resize(2, 1).item_entity.tolist() == [0]
    assert graph.deal_items(np.array([1, 0])).item_entity.tolist() == [-1, 0]


def read_graph() -> KnowledgeGraph:
    zeros = np.zeros(1, np.int64)
    return KnowledgeGraph(
        name="g",
        head=zeros,
        relation=zeros,
        tail=zeros,
        item_entity=np.array([0, -1]),
        entities=("a",),
        relations=("r",),
    )
