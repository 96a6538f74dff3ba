"""The declared graph: what is no graph is refused with the mend."""

from __future__ import annotations

import pytest

from causalrec.data.card import Column, DatasetCard
from causalrec.errors import RequestError
from causalrec.graph.causal_graph import SELF_SELECTION, CausalGraph

CARD = DatasetCard(
    name="toy",
    domain="test",
    licence="none",
    urls=(),
    sha256={},
    columns=(Column("popularity", "item", "numeric"), Column("activity", "user", "numeric")),
    outcome="click",
    feedback="explicit",
)


@pytest.mark.parametrize("edge", ["a exposure", "a -> b -> c", "-> b", "a ->", "", "a <- b"])
def test_a_string_that_is_not_one_edge_is_refused(edge: str) -> None:
    with pytest.raises(RequestError, match="is not an edge; write 'cause -> effect'"):
        CausalGraph(edges=["exposure -> outcome", edge], latent=[])


def test_a_cycle_is_named() -> None:
    with pytest.raises(RequestError, match="has the cycle a -> b -> a"):
        CausalGraph(edges=["exposure -> outcome", "a -> b", "b -> a"], latent=[])


def test_an_outcome_that_causes_exposure_is_refused() -> None:
    with pytest.raises(RequestError, match="'outcome' causes 'exposure'"):
        CausalGraph(edges=["outcome -> mood", "mood -> exposure"], latent=[])


@pytest.mark.parametrize(("role", "edge"), [("exposure", "exposur -> outcome"), ("outcome", "exposure -> outcom")])
def test_a_graph_without_its_exposure_or_outcome_names_the_nearest_node(role: str, edge: str) -> None:
    with pytest.raises(RequestError, match=rf"graph\.{role}='{role}': no edge touches it; did you mean '{role[:-1]}'"):
        CausalGraph(edges=[edge], latent=[])


def test_a_node_without_a_column_names_the_nearest_and_the_way_out() -> None:
    graph = CausalGraph(edges=["populrity -> exposure", "exposure -> outcome"], latent=[])
    with pytest.raises(RequestError, match=r"'populrity' for dataset toy; did you mean 'popularity'.*graph\.latent"):
        graph.check_nodes(CARD)


def test_a_latent_node_needs_no_column_and_is_never_observed() -> None:
    graph = CausalGraph(edges=["mood -> exposure", "exposure -> outcome", "activity -> outcome"], latent=["mood"])
    graph.check_nodes(CARD)
    assert graph.observed_nodes(CARD) == {"activity"}
    hidden = CausalGraph(edges=list(graph.edges), latent=["mood", "activity"])
    assert hidden.observed_nodes(CARD) == frozenset()


def test_causes_of_the_outcome_leave_out_exposure_what_it_causes_and_what_reaches_the_outcome_by_it_alone() -> None:
    edges = ["popularity -> exposure", "exposure -> click", "click -> outcome", "activity -> outcome"]
    edges += ["age -> activity", "nudge -> popularity"]
    assert CausalGraph(edges=edges, latent=[]).causes_of_outcome() == {"activity", "age"}
    both = CausalGraph(edges=[*edges, "popularity -> outcome"], latent=[])
    assert both.causes_of_outcome() == {"activity", "age", "popularity", "nudge"}


def test_self_selection_adds_a_common_cause_and_leaves_the_declared_graph_alone() -> None:
    graph = CausalGraph(edges=["exposure -> outcome"], latent=[])
    assert set(graph.with_self_selection().predecessors("outcome")) == {"exposure", SELF_SELECTION}
    assert SELF_SELECTION not in graph.digraph


def test_nodes_come_in_the_same_order_whatever_the_order_of_the_edges() -> None:
    edges = ["b -> exposure", "exposure -> outcome", "a -> b"]
    digraph, same_digraph = (CausalGraph(edges=listed, latent=[]).digraph for listed in (edges, edges[::-1]))
    assert list(digraph) == list(same_digraph) == ["a", "b", "exposure", "outcome"] and list(digraph.edges) == list(
        same_digraph.edges
    )


def test_a_latent_node_that_points_at_itself_or_at_nothing_is_one_line() -> None:
    edges = ["age -> exposure, outcome", "exposure -> outcome"]
    with pytest.raises(RequestError, match=r"^graph\.edges: has the cycle u -> u; a cause cannot be its own effect"):
        CausalGraph(edges=[*edges, "u -> u, outcome"], latent=["u"])
    for role in ("exposure", "outcome"):
        with pytest.raises(RequestError, match=f"^graph\\.latent: '{role}' is the {role}, which is seen; leave it out"):
            CausalGraph(edges=edges, latent=[role])
    (line,) = CausalGraph(edges=[*edges, "w -> outcome"], latent=["u", "w", "v", "u"]).warnings
    assert line.startswith("graph.latent: no edge touches u, v, so that nothing hidden is accounted for; say what it ")
    assert "('u -> exposure, outcome')" in line
    assert CausalGraph(edges=[*edges, "w -> outcome"], latent=["w"]).warnings == (), "a cause of one thing is no fault"
