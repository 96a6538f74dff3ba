"""Edges that somebody proposes, a language model or an expert: do the data contradict their absence?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import networkx as nx
import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.errors import RequestError, did_you_mean
from causalrec.graph.causal_graph import SELF_SELECTION, CausalGraph
from causalrec.graph.falsify import ROWS, SampledColumns, sample_columns, seed_globals
from causalrec.graph.kernel_independence import kernel_test
from causalrec.graph.separation import Arrows
from causalrec.types import Doubles

EDGE_LEVEL = 0.03  # of all edges together, by Holm; the kernel test rejects more: 4.5 % of 200 families of five
LEAST_ROWS = 50
MAX_PROPOSED = 200  # a test takes up to some seconds
EdgeVerdict = Literal["kept", "contradicted", "not testable"]


class ProposedEdge(NamedTuple):
    """`cause -> effect`."""

    cause: str
    effect: str

    def __str__(self) -> str:
        return f"{self.cause} -> {self.effect}"


@dataclass(frozen=True, kw_only=True)
class EdgeCheck:
    """What graph and data say of a proposed edge.

    Attributes:
        cause: where it begins.
        effect: where it ends.
        verdict: `kept` where the data contradict its absence, `contradicted` where they agree with it or the order of
            causes rules it out.
        why: in a clause.
        given: what separates its ends in the graph without it.
        statistic: of the kernel test; None where there was none, as the three below.
        p_value: of independence.
        adjusted: the p-value after Holm's correction for the number of edges tested.
        rows: that were read.
    """

    cause: str
    effect: str
    verdict: EdgeVerdict
    why: str
    given: tuple[str, ...] = ()
    statistic: float | None = None
    p_value: float | None = None
    adjusted: float | None = None
    rows: int | None = None


def check_names(edges: Sequence[ProposedEdge], graph: CausalGraph, card: DatasetCard, file: str) -> None:
    """Raise RequestError on an edge between what is no node, and on too many or none.

    Args:
        edges: proposed.
        graph: the declared one.
        card: of the data set.
        file: that holds them, for messages.
    """
    if not 0 < len(edges) <= MAX_PROPOSED:
        raise RequestError(f"--edges {file}: holds {len(edges):,} edges; propose 1 to {MAX_PROPOSED}")
    names = {column.name for column in card.columns} | {graph.exposure, graph.outcome} | set(graph.latent)
    for number, edge in enumerate(edges, 1):
        for node in edge:
            if node not in names:
                raise RequestError(
                    f"--edges {file}: edge {number}: unknown node {node!r} for dataset {card.name}; "
                    f"{did_you_mean(node, names)}"
                )
        if edge.cause == edge.effect:
            raise RequestError(f"--edges {file}: edge {number}: {edge.cause!r} is proposed as its own cause; drop it")


def check_proposed_edges(
    edges: Sequence[ProposedEdge], graph: CausalGraph, dataset: CausalDataset, *, rows: int = ROWS, seed: int = 0
) -> tuple[EdgeCheck, ...]:
    """Judge each proposed edge against the declared graph with all other proposals.

    The edges are added in their order; one that closes a cycle is contradicted by those before it. For each other one
    the graph without it names a set of columns that separates its ends (ancestors of either); the kernel test asks
    whether they are independent given these. Rejected at 3 % after Holm's correction, the edge is kept: the data
    contradict its absence. Else it is contradicted, as far as so many rows can tell; a weak dependence passes for none.
    Rows are those of `falsify`, one of each user, and where a column of items is tested one of each item.

    Args:
        edges: whose nodes were checked.
        graph: the declared one.
        dataset: the data.
        rows: the most to read.
        seed: draws them.

    Assumption: no hidden cause but those declared; an edge that is kept may run the other way. Source: Pearl 2009,
    theorem 1.2.5; Holm (1979).
    """
    declared = set(graph.digraph.edges)
    proposals = list(dict.fromkeys(edges))
    impossible = _find_cycles(graph, proposals)
    joined = [edge for edge in proposals if edge not in impossible]
    union = replace(graph, edges=[*graph.edges, *(str(edge) for edge in joined if tuple(edge) not in declared)])
    sampled = sample_columns(union, dataset, rows, np.random.default_rng(seed))
    digraph = union.with_self_selection() if dataset.card.self_selected else union.digraph
    with seed_globals(seed):
        checks = [
            EdgeCheck(cause=edge.cause, effect=edge.effect, verdict="contradicted", why=impossible[edge])
            if edge in impossible
            else _test_edge(edge, digraph, sampled, set(graph.latent) | {SELF_SELECTION})
            for edge in proposals
        ]
    return _judge_by_holm(checks)


def _find_cycles(graph: CausalGraph, edges: Iterable[ProposedEdge]) -> dict[ProposedEdge, str]:
    """Return the edges that close a cycle with the graph and those before them, and which."""
    growing = nx.DiGraph(graph.digraph.edges)
    growing.add_edge(graph.exposure, graph.outcome)  # an outcome follows exposure
    impossible = {}
    for edge in edges:
        growing.add_nodes_from(edge)
        if nx.has_path(growing, edge.effect, edge.cause):
            path = " -> ".join(nx.shortest_path(growing, edge.effect, edge.cause))
            impossible[edge] = f"goes in a cycle with {path}"
        else:
            growing.add_edge(*edge)
    return impossible


def _test_edge(edge: ProposedEdge, digraph: nx.DiGraph[str], sampled: SampledColumns, latent: set[str]) -> EdgeCheck:
    untested = EdgeCheck(cause=edge.cause, effect=edge.effect, verdict="not testable", why="")
    for node in edge:
        if node not in sampled.columns:
            what = "is latent" if node in latent else "has no column of numbers or categories that varies in these rows"
            return replace(untested, why=f"{node} {what}")
    without = nx.DiGraph(digraph)
    without.remove_edge(*edge)
    given = find_separator(without, edge, frozenset(sampled.columns))
    if given is None:
        return replace(untested, why="nothing that is seen separates its ends: a hidden cause is declared of both")
    chosen = sampled.distinct_rows(edge)
    if len(chosen) < LEAST_ROWS:
        return replace(untested, why=f"{len(chosen)} rows, below {LEAST_ROWS}", given=given, rows=len(chosen))
    left, right, *others = (sampled.columns[name][chosen] for name in (*edge, *given))
    if min(len(np.unique(left)), len(np.unique(right))) < 2:
        return replace(untested, why="one of its ends does not vary", given=given, rows=len(chosen))
    test = kernel_test(left, right, others)
    return replace(untested, given=given, statistic=test.statistic, p_value=test.p_value, rows=len(chosen))


def find_separator(digraph: nx.DiGraph[str], edge: Iterable[str], seen: frozenset[str]) -> tuple[str, ...] | None:
    """Return seen nodes that separate two others, none of which can be left out; None where there are none.

    If any seen nodes do, their seen ancestors do (Pearl 2009, section 1.2.3).

    >>> find_separator(nx.DiGraph([("a", "b"), ("b", "c"), ("a", "d")]), ("a", "c"), frozenset("abcd"))
    ('b',)
    >>> find_separator(nx.DiGraph([("u", "a"), ("u", "c")]), ("a", "c"), frozenset("ac")) is None
    True
    """
    left, right = edge
    arrows = Arrows(digraph)
    above = nx.ancestors(digraph, left) | nx.ancestors(digraph, right)
    given = sorted((above & seen) - {left, right})
    if not arrows.are_separated(left, right, given):
        return None
    for node in list(given):
        fewer = [other for other in given if other != node]
        if arrows.are_separated(left, right, fewer):
            given = fewer
    return tuple(given)


def _judge_by_holm(checks: Sequence[EdgeCheck]) -> tuple[EdgeCheck, ...]:
    tested = [k for k, check in enumerate(checks) if check.p_value is not None]
    adjusted = dict(zip(tested, holm_adjusted([checks[k].p_value or 0.0 for k in tested]), strict=True))
    return tuple(_judge_edge(check, adjusted.get(k)) for k, check in enumerate(checks))


def _judge_edge(check: EdgeCheck, adjusted: float | None) -> EdgeCheck:
    if adjusted is None:
        return check
    if adjusted <= EDGE_LEVEL:
        return replace(check, verdict="kept", why="the data contradict its absence", adjusted=adjusted)
    why = f"independence is not rejected at {EDGE_LEVEL:.0%}"
    return replace(check, verdict="contradicted", why=why, adjusted=adjusted)


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Return p-values that hold for all tests together (Holm, Scandinavian Journal of Statistics 1979).

    >>> [round(p, 3) for p in holm_adjusted([0.03, 0.01, 0.5])]
    [0.06, 0.03, 0.5]
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values, dtype=np.float64)[order] * (len(p_values) - np.arange(len(p_values)))
    adjusted: Doubles = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in adjusted]
