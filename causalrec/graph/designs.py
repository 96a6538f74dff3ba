"""Identification where no backdoor set exists: a mediator that carries the whole effect, or instruments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import networkx as nx

Names = frozenset[str]


@dataclass(frozen=True)
class FrontDoor:
    """A mediator through which the whole effect goes, and what must be held fixed beside it."""

    mediator: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Instruments:
    """Columns that move the exposure and nothing else that the outcome follows, given `columns`."""

    names: tuple[str, ...]
    columns: tuple[str, ...]


def front_door(digraph: nx.DiGraph[str], exposure: str, outcome: str, observed: Names) -> FrontDoor | None:
    """Return the first observed mediator, by name, that satisfies the front-door criterion given a minimal set.

    Given columns C that exposure does not cause: every directed path from exposure to outcome meets the mediator, C
    blocks each backdoor path from exposure to it, and exposure and C block each one from it to the outcome. Source:
    Pearl (Biometrika 1995, section 3; Causality 2009, definition 3.3.3, within C).
    """
    after = nx.descendants(digraph, exposure)
    given = _relevant(digraph, exposure, outcome, observed)
    for mediator in sorted(observed & after & nx.ancestors(digraph, outcome)):
        if outcome in nx.descendants(_without(digraph, mediator), exposure):
            continue

        def holds(chosen: Names, mediator: str = mediator) -> bool:
            first = _separated(_cut_after(digraph, exposure), exposure, mediator, chosen)
            return first and _separated(_cut_after(digraph, mediator), mediator, outcome, chosen | {exposure})

        if holds(given):
            return FrontDoor(mediator, _thinned(given, holds))
    return None


def instruments(digraph: nx.DiGraph[str], exposure: str, outcome: str, observed: Names) -> Instruments | None:
    """Return every observed column that is an instrument given the others that are none, thinned in a fixed order.

    Given columns C that exposure does not cause, an instrument is connected with exposure, and is separated from the
    outcome once the arrows that leave exposure are cut. Source: Brito & Pearl (UAI 2002, conditional instruments).
    """
    given = _relevant(digraph, exposure, outcome, observed)
    cut = _cut_after(digraph, exposure)

    def valid(names: Names, chosen: Names) -> bool:
        return all(
            _separated(cut, name, outcome, chosen) and not _separated(digraph, name, exposure, chosen) for name in names
        )

    names = frozenset(name for name in given if valid(frozenset({name}), given - {name}))
    if not names or not valid(names, given - names):
        return None
    return Instruments(tuple(sorted(names)), _thinned(given - names, lambda chosen: valid(names, chosen)))


def _relevant(digraph: nx.DiGraph[str], exposure: str, outcome: str, observed: Names) -> Names:
    """Return the observed causes of exposure or outcome that exposure does not cause."""
    causes = nx.ancestors(digraph, exposure) | nx.ancestors(digraph, outcome)
    before: Names = (observed - nx.descendants(digraph, exposure)) & causes - {exposure, outcome}
    return before


def _without(digraph: nx.DiGraph[str], node: str) -> nx.DiGraph[str]:
    left = digraph.copy()
    left.remove_node(node)
    return left


def _cut_after(digraph: nx.DiGraph[str], node: str) -> nx.DiGraph[str]:
    left = digraph.copy()
    left.remove_edges_from(list(digraph.out_edges(node)))
    return left


def _separated(digraph: nx.DiGraph[str], left: str, right: str, given: Names) -> bool:
    return bool(nx.is_d_separator(digraph, {left}, {right}, set(given)))


def _thinned(given: Names, holds: Callable[[Names], bool]) -> tuple[str, ...]:
    """Drop what is not needed, in order of name."""
    for name in sorted(given):
        if holds(given - {name}):
            given = given - {name}
    return tuple(sorted(given))
