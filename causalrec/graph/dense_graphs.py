"""Which edges of a dense graph are drawn: thousands side by side show nothing, and take minutes to place."""

from __future__ import annotations

import networkx as nx

from causalrec.limits import MAX_DRAWN_EDGES, plural


def drawable(digraph: nx.DiGraph[str]) -> tuple[nx.DiGraph[str], str]:
    """Return a graph that can be drawn, and which edges it leaves out, a clause; empty where it leaves out none.

    Of a dense graph, edges beside a longer path are left out; where that is not enough, all edges but those of the two
    nodes with most of them (exposure and outcome, of most graphs).
    """
    if _crossed_columns(digraph) <= MAX_DRAWN_EDGES:
        return digraph, ""
    reduced = without_implied_edges(digraph)
    if _crossed_columns(reduced) <= MAX_DRAWN_EDGES:
        return reduced, f"{_left_out(digraph, reduced)} beside a longer path left out"
    hubs = sorted(digraph, key=lambda node: (-len(digraph.pred[node]), node))[:2]
    sparse = digraph.edge_subgraph([edge for edge in digraph.edges if edge[1] in hubs]).copy()
    sparse.add_nodes_from(digraph)
    return sparse, f"{_left_out(digraph, sparse)} left out, but those into {' and '.join(hubs)}"


def without_implied_edges(digraph: nx.DiGraph[str]) -> nx.DiGraph[str]:
    """Return the graph without the edges beside a longer path (its transitive reduction; by bit masks, as a dense one
    of hundreds of nodes takes networkx minutes).

    >>> sorted(without_implied_edges(nx.DiGraph([("a", "b"), ("b", "c"), ("a", "c")])).edges)
    [('a', 'b'), ('b', 'c')]
    """
    order = list(nx.lexicographical_topological_sort(digraph))
    position = {node: k for k, node in enumerate(order)}
    after: dict[str, int] = {}  # by node, its descendants as bits of their positions
    reduced: nx.DiGraph[str] = nx.DiGraph()
    reduced.add_nodes_from(digraph)
    for node in reversed(order):
        reached = 0
        for effect in sorted(digraph.successors(node), key=position.__getitem__):
            if not reached >> position[effect] & 1:
                reduced.add_edge(node, effect)
                reached |= after[effect] | 1 << position[effect]
        after[node] = reached
    return reduced


def _crossed_columns(digraph: nx.DiGraph[str]) -> int:
    """Return how many columns the edges of a drawing pass, those they end in included."""
    if len(digraph.edges) > MAX_DRAWN_EDGES:
        return len(digraph.edges)
    depth = {node: k for k, nodes in enumerate(nx.topological_generations(digraph)) for node in nodes}
    return sum(depth[effect] - depth[cause] for cause, effect in digraph.edges)


def _left_out(digraph: nx.DiGraph[str], reduced: nx.DiGraph[str]) -> str:
    return plural(len(digraph.edges) - len(reduced.edges), "edge")
