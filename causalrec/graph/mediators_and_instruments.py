"""Identification where no backdoor set exists: a mediator that carries the whole effect, or instruments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import networkx as nx

from causalrec.graph.separation import Arrows

Names = frozenset[str]


@dataclass(frozen=True)
class FrontDoor:
    """A mediator through which the whole effect goes, and what must be held fixed besides it."""

    mediator: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Instruments:
    """Columns that move the exposure and nothing else that the outcome follows, given `columns`."""

    names: tuple[str, ...]
    columns: tuple[str, ...]


def front_door(digraph: nx.DiGraph[str], exposure: str, outcome: str, observed: Names) -> FrontDoor | None:
    """Return the first observed mediator, by name, that satisfies the front-door criterion given a minimal set.

    Args:
        digraph: the causal graph.
        exposure: its node.
        outcome: its node.
        observed: the nodes that have a column.
    """
    given = _relevant_causes(digraph, exposure, outcome, observed)
    arrows = Arrows(digraph)
    for mediator in sorted(observed & nx.descendants(digraph, exposure) & nx.ancestors(digraph, outcome)):
        if _mediates(arrows, exposure, outcome, mediator, given):
            return FrontDoor(mediator, _minimise(given, partial(_mediates, arrows, exposure, outcome, mediator)))
    return None


def is_valid_mediator(digraph: nx.DiGraph[str], exposure: str, outcome: str, mediator: str, given: Names) -> bool:
    """Whether the front-door criterion holds given columns that exposure does not cause.

    Every directed path from exposure to outcome meets the mediator, the columns block each backdoor path from exposure
    to it, and exposure and the columns each one from it to the outcome. Source: Pearl (Biometrika 1995, section 3;
    Causality 2009, definition 3.3.3, within the columns).

    Args:
        digraph: the causal graph.
        exposure: its node.
        outcome: its node.
        mediator: its node.
        given: the columns.
    """
    return _mediates(Arrows(digraph), exposure, outcome, mediator, given)


def _mediates(arrows: Arrows, exposure: str, outcome: str, mediator: str, given: Names) -> bool:
    intercepts_all = not arrows.reaches(exposure, outcome, without=mediator)
    first = intercepts_all and arrows.are_separated(exposure, mediator, given, cut=exposure)
    return first and arrows.are_separated(mediator, outcome, given | {exposure}, cut=mediator)


def instruments(digraph: nx.DiGraph[str], exposure: str, outcome: str, observed: Names) -> Instruments | None:
    """Return every observed column that is an instrument given the others that are none, thinned in a fixed order.

    Args:
        digraph: the causal graph.
        exposure: its node.
        outcome: its node.
        observed: the nodes that have a column.
    """
    given = _relevant_causes(digraph, exposure, outcome, observed)
    arrows = Arrows(digraph)
    names = frozenset(
        name for name in given if _are_instruments(arrows, exposure, outcome, frozenset({name}), given - {name})
    )
    if not names or not _are_instruments(arrows, exposure, outcome, names, given - names):
        return None
    return Instruments(
        tuple(sorted(names)), _minimise(given - names, partial(_are_instruments, arrows, exposure, outcome, names))
    )


def are_valid_instruments(digraph: nx.DiGraph[str], exposure: str, outcome: str, names: Names, given: Names) -> bool:
    """Whether each name is an instrument given columns that exposure does not cause.

    It is connected with exposure, and separated from the outcome once the arrows that leave exposure are cut. Source:
    Brito & Pearl (UAI 2002, conditional instruments).

    Args:
        digraph: the causal graph.
        exposure: its node.
        outcome: its node.
        names: the instruments.
        given: the columns.
    """
    return _are_instruments(Arrows(digraph), exposure, outcome, names, given)


def _are_instruments(arrows: Arrows, exposure: str, outcome: str, names: Names, given: Names) -> bool:
    return all(
        arrows.are_separated(name, outcome, given, cut=exposure) and not arrows.are_separated(name, exposure, given)
        for name in names
    )


def _relevant_causes(digraph: nx.DiGraph[str], exposure: str, outcome: str, observed: Names) -> Names:
    """Return the observed causes of exposure or outcome that exposure does not cause."""
    causes = nx.ancestors(digraph, exposure) | nx.ancestors(digraph, outcome)
    before: Names = (observed - nx.descendants(digraph, exposure)) & causes - {exposure, outcome}
    return before


def _minimise(given: Names, holds: Callable[[Names], bool]) -> tuple[str, ...]:
    """Drop what is not needed, in order of name."""
    for name in sorted(given):
        if holds(given - {name}):
            given = given - {name}
    return tuple(sorted(given))
