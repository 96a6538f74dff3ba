"""Separation by bit masks is networkx's, and graphs of hundreds of columns are identified and drawn at once."""

from __future__ import annotations

import random
import time

import networkx as nx
import pytest

from causalrec.data.card import Column, DatasetCard
from causalrec.errors import RequestError
from causalrec.graph.backdoor import adjustment_set
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.dense_graphs import drawable, without_implied_edges
from causalrec.graph.falsify import _require_few_tests, count_independences
from causalrec.graph.layered_layout import graph_layout
from causalrec.graph.separation import Arrows


def random_graph(draw: random.Random, nodes: int, share: float) -> nx.DiGraph[str]:
    digraph: nx.DiGraph[str] = nx.DiGraph()
    digraph.add_nodes_from(f"n{k}" for k in draw.sample(range(nodes), nodes))
    digraph.add_edges_from((f"n{i}", f"n{j}") for j in range(nodes) for i in range(j) if draw.random() < share)
    return digraph


@pytest.mark.parametrize("seed", range(60))
def test_separation_is_that_of_networkx(seed: int) -> None:
    draw = random.Random(seed)
    digraph = random_graph(draw, draw.randint(3, 9), draw.choice((0.2, 0.4, 0.7)))
    arrows = Arrows(digraph)
    for _ in range(20):
        left, right, *others = draw.sample(sorted(digraph), len(digraph))
        given = set(others[: draw.randint(0, len(others))])
        cut = draw.choice([None, left, right, *others])
        left_graph = digraph.copy()
        left_graph.remove_edges_from(list(digraph.out_edges(cut)) if cut else [])
        assert arrows.are_separated(left, right, given, cut) == nx.is_d_separator(left_graph, {left}, {right}, given)
        if others:
            without = digraph.copy()
            without.remove_node(others[0])
            assert arrows.reaches(left, right, others[0]) == (right in nx.descendants(without, left))


@pytest.mark.parametrize("seed", range(20))
def test_edges_beside_a_longer_path_are_those_of_the_transitive_reduction(seed: int) -> None:
    digraph = random_graph(random.Random(seed), 12, 0.5)
    assert set(without_implied_edges(digraph).edges) == set(nx.transitive_reduction(digraph).edges)


def dense(columns: int) -> nx.DiGraph[str]:
    names = [f"c{k}" for k in range(columns)]
    digraph = nx.DiGraph((a, b) for k, a in enumerate(names) for b in [*names[k + 1 :], "exposure", "outcome"])
    digraph.add_edge("exposure", "outcome")
    return digraph


def test_a_dense_graph_of_240_columns_is_identified_and_placed_in_seconds() -> None:
    digraph, names = dense(240), frozenset(f"c{k}" for k in range(240))
    adjustment_set(dense(2), "exposure", "outcome", frozenset({"c0", "c1"}))  # imports DoWhy
    begun = time.monotonic()
    assert adjustment_set(digraph, "exposure", "outcome", names) == tuple(sorted(names))
    placed = graph_layout(digraph, dict.fromkeys(digraph, (30.0, 20.0)))
    assert placed.left_out == "28,920 edges beside a longer path left out"
    assert set(placed.boxes) == set(digraph) and len(placed.curves) == 241
    assert time.monotonic() - begun < 10  # it took minutes


def test_a_dense_graph_without_longer_paths_is_drawn_by_what_its_hubs_are_reached_from() -> None:
    digraph = nx.DiGraph((f"a{i}", f"b{j}") for i in range(60) for j in range(60))
    digraph.add_edges_from((f"{side}{i}", end) for side in "ab" for i in range(60) for end in ("exposure", "outcome"))
    picture, left_out = drawable(digraph)
    assert set(picture) == set(digraph) and len(picture.edges) == 240
    assert left_out == "3,600 edges left out, but those into exposure and outcome"
    small = dense(8)
    assert drawable(small) == (small, "")


def test_edges_and_columns_are_counted_before_they_are_written_out() -> None:
    names = ", ".join(f"c{k}" for k in range(2_000))
    with pytest.raises(RequestError, match=r"4,000,001 edges, above 1,000,000"):
        CausalGraph(edges=[f"{names} -> {names.replace('c', 'd')}", "exposure -> outcome"])
    with pytest.raises(RequestError, match=r"2,000 columns, above 1,000"):
        CausalGraph(edges=[f"{names} -> exposure", "exposure -> outcome"])
    columns = tuple(Column(f"c{k}", "user", "numeric") for k in range(1_100))
    card = DatasetCard("d", "", "", (), {}, columns, "reward", "exposure_logged")
    with pytest.raises(RequestError, match=r"1,210,001 edges, above 1,000,000"):
        CausalGraph(edges=["c* -> c?*", "exposure -> outcome"]).for_columns(card)


def test_the_tests_of_a_graph_are_counted_before_the_first() -> None:
    assert count_independences(dense(240), frozenset(dense(240))) == 0
    sparse = nx.DiGraph((f"c{k}", "outcome") for k in range(100))
    with pytest.raises(RequestError, match="implies 9,900 independences, above the 5,000"):
        _require_few_tests(sparse, frozenset(sparse))
