"""The causal graph over user, item, text, exposure and outcome, as declared in YAML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import product
from typing import Literal

import networkx as nx

from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError, did_you_mean
from causalrec.limits import MAX_COLUMNS, MAX_EDGES

SELF_SELECTION = "self_selection"


@dataclass(frozen=True, kw_only=True)
class CausalGraph:
    """A directed acyclic graph whose observed nodes are the data set's columns.

    Raises RequestError on an edge that is none, a cycle, or a graph without its exposure and outcome, which are not
    latent.

    Attributes:
        edges: written `cause -> effect`, either side one node or several by comma; `*` and `?` stand for any letters of
            the names of columns (`x* -> exposure, outcome`), those of ids left out.
        latent: nodes that have no column.
        exposure: the node of the exposure.
        outcome: the node of the outcome.
        assume: whether the latent common causes of exposure and outcome are stated to be negligible: it is recorded,
            and every table says so.
        modifiers: the columns by which an effect may vary (X of a learner from a table); None: every observed cause of
            the outcome that exposure does not cause. What the adjustment set has besides them are its controls (W).
    """

    edges: list[str]
    latent: list[str] = field(default_factory=list)
    exposure: str = "exposure"
    outcome: str = "outcome"
    assume: bool = False
    modifiers: list[str] | None = None

    def __post_init__(self) -> None:
        digraph = self.digraph
        self._check_latent()
        if len(digraph) > MAX_COLUMNS + 2:
            raise RequestError(f"graph.edges: {len(digraph) - 2:,} columns, above {MAX_COLUMNS:,}; leave some out")
        for role, node in (("exposure", self.exposure), ("outcome", self.outcome)):
            if node not in digraph:
                raise RequestError(f"graph.{role}={node!r}: no edge touches it; {did_you_mean(node, digraph)}")
        if not nx.is_directed_acyclic_graph(digraph):
            cycle = " -> ".join([edge[0] for edge in nx.find_cycle(digraph)] + [nx.find_cycle(digraph)[0][0]])
            raise RequestError(f"graph.edges: has the cycle {cycle}; a cause cannot be its own effect: drop an edge")
        if self.outcome in nx.ancestors(digraph, self.exposure):
            raise RequestError(f"graph.edges: {self.outcome!r} causes {self.exposure!r}; an outcome follows exposure")

    def _check_latent(self) -> None:
        """Raise RequestError on a latent node that is exposure or outcome."""
        for role, node in (("exposure", self.exposure), ("outcome", self.outcome)):
            if node in self.latent:
                raise RequestError(f"graph.latent: {node!r} is the {role}, which is seen; leave it out")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be read with any number that goes by the graph: latent nodes that say nothing, a line."""
        untouched = [node for node in dict.fromkeys(self.latent) if not self.digraph.degree(node)]
        if not untouched:
            return ()
        first = f"'{untouched[0]} -> {self.exposure}, {self.outcome}'"
        return (
            f"graph.latent: no edge touches {', '.join(untouched)}, so that nothing hidden is accounted for; say what "
            f"it causes ({first}), or leave it out",
        )

    @cached_property
    def digraph(self) -> nx.DiGraph[str]:
        """The graph as networkx's, nodes in sorted order; it cannot be changed."""
        pairs = self._pairs
        digraph: nx.DiGraph[str] = nx.DiGraph()
        digraph.add_nodes_from(sorted({node for pair in pairs for node in pair} | set(self.latent)))
        digraph.add_edges_from(sorted(pairs))
        frozen: nx.DiGraph[str] = nx.freeze(digraph)
        return frozen

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        """The edges as they are declared, one for each cause and effect."""
        sides = [self._sides(edge) for edge in self.edges]
        _require_few_edges(sides)
        return [pair for both in sides for pair in product(*both)]

    @staticmethod
    def _sides(edge: str) -> tuple[list[str], list[str]]:
        sides = [[node.strip() for node in side.split(",")] for side in edge.split("->")]
        if len(sides) != 2 or not all(all(side) for side in sides):
            raise RequestError(f"graph.edges: {edge!r} is not an edge; write 'cause -> effect'")
        return sides[0], sides[1]

    def for_columns(self, card: DatasetCard) -> CausalGraph:
        """Return the graph with every edge written out: `*` and `?` become the columns of the data set that they mean.

        Raises RequestError on a pattern that no column has.

        >>> from causalrec.data.card import Column
        >>> columns = tuple(Column(name, "user", "numeric") for name in ("x1", "x2"))
        >>> card = DatasetCard("d", "", "", (), {}, columns, "reward", "exposure_logged")
        >>> graph = CausalGraph(edges=["x* -> exposure, outcome", "exposure -> outcome"])
        >>> graph.for_columns(card).edges[:3]
        ['x1 -> exposure', 'x2 -> exposure', 'x1 -> outcome']
        """
        if not any(mark in edge for edge in self.edges for mark in "*?,"):
            return self
        sides = [tuple(_columns_like(name, card) for name in pair) for pair in self._pairs]
        _require_few_edges(sides)
        edges = [f"{a} -> {b}" for both in sides for a, b in product(*both)]
        return replace(self, edges=list(dict.fromkeys(edges)))

    def check_nodes(self, card: DatasetCard) -> None:
        """Raise RequestError on a node that is neither a column of the data set, latent, exposure nor outcome."""
        columns = {column.name for column in card.columns}
        for node in self.digraph:
            if node not in columns | set(self.latent) | {self.exposure, self.outcome}:
                raise RequestError(
                    f"graph.edges: unknown node {node!r} for dataset {card.name}; {did_you_mean(node, columns)}; "
                    f"or list it under graph.latent"
                )

    def check_modifiers(self, card: DatasetCard) -> None:
        """Raise RequestError on a modifier that is no column, or that exposure causes (it would carry some of the
        effect).
        """
        columns, after = {column.name for column in card.columns}, nx.descendants(self.digraph, self.exposure)
        for name in self.modifiers or []:
            if name not in columns:
                raise RequestError(
                    f"graph.modifiers: {name!r} is no column of {card.name}; {did_you_mean(name, columns)}"
                )
            if name in after:
                raise RequestError(
                    f"graph.modifiers: {self.exposure!r} causes {name!r}; name columns it does not cause"
                )

    def observed_nodes(self, card: DatasetCard) -> frozenset[str]:
        """Return the nodes that are columns of the data set and not declared latent."""
        columns = {column.name for column in card.columns}
        return frozenset(node for node in self.digraph if node in columns and node not in self.latent)

    def causes_of_outcome(self) -> frozenset[str]:
        """Return the ancestors of the outcome that exposure does not cause, but those that reach it by exposure alone.

        Such a pure instrument says nothing of the outcome under either treatment, and where something hidden drives
        both, to hold it fixed makes the bias larger (Wooldridge, Research in Economics 2016).
        """
        after = nx.descendants(self.digraph, self.exposure)
        without = self.digraph.copy()
        without.remove_node(self.exposure)
        return frozenset(nx.ancestors(without, self.outcome) - after)

    def with_self_selection(self) -> nx.DiGraph[str]:
        """Return the graph with a latent taste that drives both exposure and outcome, as such a card demands."""
        digraph = self.digraph.copy()
        digraph.add_edges_from([(SELF_SELECTION, self.exposure), (SELF_SELECTION, self.outcome)])
        return digraph


def _require_few_edges(sides: Iterable[Sequence[Sequence[str]]]) -> None:
    """Raise RequestError where causes times effects are too many, before they are written out."""
    count = sum(len(causes) * len(effects) for causes, effects in sides)
    if count > MAX_EDGES:
        raise RequestError(f"graph.edges: {count:,} edges, above {MAX_EDGES:,}; leave columns out")


def _columns_like(node: str, card: DatasetCard) -> list[str]:
    """Return the columns that a pattern means, but those of ids; a plain name alone."""
    if not any(mark in node for mark in "*?"):
        return [node]
    names = [column.name for column in card.columns if column.kind != "id"]
    matching = [name for name in names if fnmatchcase(name, node)]
    if not matching:
        raise RequestError(
            f"graph.edges: no column of {card.name} is like {node!r}; it has {', '.join(names) or 'none'}"
        )
    return matching


NodeKind = Literal["exposure", "outcome", "latent", "adjusted", "observed"]
