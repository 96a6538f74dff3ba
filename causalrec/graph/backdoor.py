"""Backdoor sets, judged by DoWhy's criterion, and the hidden causes that leave none.

DoWhy 0.14 answers `[]` from `get_backdoor_variables()` both when nothing needs adjusting and when nothing identifies
the effect, its set follows the hash seed, and its search is exponential. So DoWhy is asked one question only, whether
the largest set is valid. If any observed set is valid, all observed non-descendants among the ancestors of exposure and
outcome are (van der Zander, Liskiewicz & Textor, AIJ 2019, corollary 2); that set is then thinned in a fixed order, by
separation in the graph without the arrows that leave exposure (the same criterion).
"""

from __future__ import annotations

import networkx as nx

from causalrec.graph.dowhy_criterion import backdoor_criterion
from causalrec.graph.separation import Arrows


def adjustment_set(
    digraph: nx.DiGraph[str], exposure: str, outcome: str, observed: frozenset[str]
) -> tuple[str, ...] | None:
    """Return a minimal valid backdoor set, sorted, or None when there is none (never confused with the empty set).

    Args:
        digraph: the causal graph.
        exposure: its node.
        outcome: its node.
        observed: the nodes that have a column.
    """
    before = observed - nx.descendants(digraph, exposure)
    relevant = nx.ancestors(digraph, exposure) | nx.ancestors(digraph, outcome)
    chosen = (before & relevant) - {exposure, outcome}
    if not valid_backdoor(digraph, exposure, outcome, chosen):
        return None
    parents, arrows = set(digraph.predecessors(exposure)), Arrows(digraph)
    for node in sorted(chosen, key=lambda name: (name in parents, name)):  # the causes of exposure are kept longest
        if arrows.are_separated(exposure, outcome, chosen - {node}, cut=exposure):  # DoWhy copies the graph to ask
            chosen = chosen - {node}
    return tuple(sorted(chosen))


def valid_backdoor(digraph: nx.DiGraph[str], exposure: str, outcome: str, given: frozenset[str]) -> bool:
    """Ask DoWhy whether a set blocks every backdoor path from exposure to outcome.

    Args:
        digraph: the causal graph.
        exposure: its node.
        outcome: its node.
        given: the set.
    """
    return bool(backdoor_criterion()(digraph, [exposure], [outcome], given)["is_dseparated"])


def confounders(digraph: nx.DiGraph[str], exposure: str, outcome: str, observed: frozenset[str]) -> list[str]:
    """Name the latent nodes from which both exposure and outcome can be reached, the latter not through exposure.

    Args:
        digraph: the causal graph.
        exposure: its node.
        outcome: its node.
        observed: the nodes that have a column.
    """
    without = digraph.copy()
    without.remove_node(exposure)
    return sorted((nx.ancestors(digraph, exposure) - observed) & nx.ancestors(without, outcome))


def unblocked_confounders(digraph: nx.DiGraph[str], exposure: str, outcome: str, observed: frozenset[str]) -> list[str]:
    """Name the latent causes of both exposure and outcome that no observed column blocks.

    Those that reach both by latent nodes alone; where what is left without them is not identified either (a column held
    fixed opens a path between two), all latent causes of both.

    Args:
        digraph: the causal graph.
        exposure: its node.
        outcome: its node.
        observed: the nodes that have a column.
    """
    every = confounders(digraph, exposure, outcome, observed)
    latent = digraph.copy()
    latent.remove_nodes_from(observed - nx.descendants(digraph, exposure) - {exposure, outcome})
    direct = [node for node in confounders(latent, exposure, outcome, observed) if node in every]
    trimmed = without_arrows_from(digraph, direct)
    return direct if adjustment_set(trimmed, exposure, outcome, observed) is not None else every


def without_arrows_from(digraph: nx.DiGraph[str], hidden: list[str]) -> nx.DiGraph[str]:
    """Return the graph in which the hidden nodes cause nothing: they are assumed to be negligible."""
    left = digraph.copy()
    left.remove_edges_from([(node, child) for node in hidden for child in list(left.successors(node))])
    return left
