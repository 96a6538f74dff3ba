"""Separation in a causal graph whose arrows are bit masks: a question costs microseconds, so that thousands may be put.

Source: Shachter (UAI 1998, the Bayes ball).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import networkx as nx


class Arrows:
    """The arrows of a directed acyclic graph, those into and out of each node as one whole number.

    Args:
        digraph: the causal graph.
    """

    def __init__(self, digraph: nx.DiGraph[str]) -> None:
        self.index = {node: k for k, node in enumerate(digraph)}
        self.causes = [self._mask(digraph.predecessors(node)) for node in digraph]
        self.effects = [self._mask(digraph.successors(node)) for node in digraph]

    def are_separated(self, left: str, right: str, given: Iterable[str], cut: str | None = None) -> bool:
        """Whether two nodes are separated by others.

        Args:
            left: a node.
            right: another.
            given: the others.
            cut: a node whose outgoing arrows are left out; None for none.
        """
        fixed, end = self._mask(given), self._mask([right])
        colliders = self._ancestors(fixed, cut)
        upwards, downwards = self._mask([left]), 0  # reached against an arrow, and along one
        ups, downs = upwards, 0  # of these, not yet left
        while ups or downs:
            rise = fall = 0
            for k in _bits(ups & ~fixed):
                rise |= self._causes(k, cut)
                fall |= self._effects(k, cut)
            for k in _bits(downs & ~fixed):
                fall |= self._effects(k, cut)
            for k in _bits(downs & colliders):
                rise |= self._causes(k, cut)
            ups, downs = rise & ~upwards, fall & ~downwards
            upwards, downwards = upwards | ups, downwards | downs
            if (upwards | downwards) & end:
                return False
        return True

    def reaches(self, start: str, end: str, without: str) -> bool:
        """Whether a directed path leads from one node to another and not through a third."""
        seen = ahead = self._mask([start])
        barred = self._mask([without])
        while ahead and not seen & self._mask([end]):
            reached = 0
            for k in _bits(ahead):
                reached |= self.effects[k]
            ahead = reached & ~seen & ~barred
            seen |= ahead
        return bool(seen & self._mask([end]))

    def _ancestors(self, nodes: int, cut: str | None) -> int:
        """Return the nodes and all from which a directed path leads to them."""
        seen = ahead = nodes
        while ahead:
            reached = 0
            for k in _bits(ahead):
                reached |= self._causes(k, cut)
            ahead = reached & ~seen
            seen |= ahead
        return seen

    def _causes(self, k: int, cut: str | None) -> int:
        return self.causes[k] if cut is None else self.causes[k] & ~(1 << self.index[cut])

    def _effects(self, k: int, cut: str | None) -> int:
        return 0 if cut is not None and k == self.index[cut] else self.effects[k]

    def _mask(self, nodes: Iterable[str]) -> int:
        mask = 0
        for node in nodes:
            mask |= 1 << self.index[node]
        return mask


def _bits(mask: int) -> Iterator[int]:
    """Yield the positions of the bits that are set."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
