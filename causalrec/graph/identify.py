"""Identification: which columns must be adjusted for, judged by DoWhy's backdoor criterion.

An effect that no backdoor set identifies may be by a mediator or by instruments (`mediators_and_instruments.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import networkx as nx

from causalrec.data.card import DatasetCard
from causalrec.errors import NotIdentified, RequestError
from causalrec.graph.backdoor import adjustment_set, unblocked_confounders, valid_backdoor, without_arrows_from
from causalrec.graph.causal_graph import SELF_SELECTION, CausalGraph
from causalrec.graph.mediators_and_instruments import are_valid_instruments, front_door, instruments, is_valid_mediator

Strategy = Literal[
    "backdoor", "front-door", "instrument", "randomised", "fully observed", "logged propensity", "known truth", "none"
]
CONSTANT_EFFECT_ASSUMPTION = (
    "the effect does not vary with what is hidden (else, if the instrument moves no one the other way, it is that of "
    "whom it moves)"
)
LINEARITY_ASSUMPTION = (
    "mediator and outcome are linear in what is read, and no column changes both stages of the front door"
)


@dataclass(frozen=True)
class Identification:
    """How one estimand is identified.

    Attributes:
        strategy: by what.
        columns: given which columns, sorted.
        assumed: under which unproven assumptions.
        instruments: the columns that move the exposure, where they identify it; else empty.
        mediator: the column through which the effect goes, where it identifies it; else None.
    """

    strategy: Strategy
    columns: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    mediator: str | None = None

    @property
    def adjusts(self) -> bool:
        """Whether treated and untreated rows are alike given the columns."""
        return self.strategy not in ("front-door", "instrument")


@dataclass(frozen=True)
class Adjustment:
    """The identified estimand of a run; a randomised *test* identifies `evaluation`, never `training`."""

    estimand: str
    training: Identification
    evaluation: Identification

    def expression(self, graph: CausalGraph) -> str:
        """Write the training estimand as a formula of observed quantities."""
        target = f"E[{graph.outcome} | do({graph.exposure})]"
        if self.training.strategy == "logged propensity":
            return f"{target} = E[ {graph.exposure} * {graph.outcome} / logged propensity ]"
        if not self.training.adjusts:
            return self._without_adjusting(graph, target)
        if not self.training.columns:
            return f"{target} = E[{graph.outcome} | {graph.exposure}]"
        given = ", ".join(self.training.columns)
        return f"{target} = E_{{{given}}}[ E[{graph.outcome} | {graph.exposure}, {given}] ]"

    def _without_adjusting(self, graph: CausalGraph, target: str) -> str:
        x, y, given = graph.exposure, graph.outcome, ", ".join(self.training.columns)
        among = f" | {given}" if given else ""
        if (m := self.training.mediator) is None:
            several = len(self.training.instruments) > 1
            z = ", ".join(
                [*self.training.instruments, *self.training.columns] if several else self.training.instruments
            )
            z = f"E[{x} | {z}]" if several else z
            ratio = f"cov({y}, {z}{among}) / cov({x}, {z}{among})"
            effect = f"E[{y} | do({x}=1)] - E[{y} | do({x}=0)]"
            return f"{effect} = E_{{{given}}}[ {ratio} ]" if given else f"{effect} = {ratio}"
        also = f", {given}" if given else ""
        inner = f"sum_{m} P({m} | {x}{also}) sum_{x}' P({x}'{among}) E[{y} | {m}, {x}'{also}]"
        return f"{target} = E_{{{given}}}[ {inner} ]" if given else f"{target} = {inner}"


def identify(
    graph: CausalGraph,
    card: DatasetCard,
    *,
    estimand: str = "exposed_mean",
    contrasts_exposure: bool = False,
    use_logged_propensity: bool = False,
) -> Adjustment:
    """Identify training and evaluation from the graph and the card, before any data are read.

    Args:
        graph: the declared causes.
        card: what the data set holds.
        estimand: the quantity to identify, for the record.
        contrasts_exposure: whether that is what exposure changes: then nothing may drive a treatment that was drawn at
            random, and a front door or instruments may identify it.
        use_logged_propensity: whether the log holds the propensities.

    Raises RequestError on unknown nodes, NotIdentified when no strategy identifies training.
    """
    graph.check_nodes(card)
    training = _identify_training(graph, card, use_logged_propensity, contrasts_exposure)
    return Adjustment(estimand, training, _identify_evaluation(card))


def _identify_evaluation(card: DatasetCard) -> Identification:
    if card.known_truth:
        return Identification("known truth")
    if card.randomised is None:  # the test is cut from the log
        return Identification("randomised" if card.randomised_training else "none")
    return Identification("randomised" if card.unbiased == "randomised" else "fully observed")


def _identify_training(
    graph: CausalGraph, card: DatasetCard, use_logged_propensity: bool, contrasts: bool
) -> Identification:
    if card.randomised_training:
        if contrasts:
            _require_no_drivers(graph, card)
        return Identification("randomised")
    if use_logged_propensity:
        if not card.logged_propensity:
            raise NotIdentified(f"propensity=logged: dataset {card.name} logs no propensities; choose another")
        return Identification("logged propensity")
    digraph, observed = _declared_digraph(graph, card), graph.observed_nodes(card)
    columns = adjustment_set(digraph, graph.exposure, graph.outcome, observed)
    if columns is not None:
        return Identification("backdoor", columns)
    hidden = unblocked_confounders(digraph, graph.exposure, graph.outcome, observed)
    if not graph.assume:
        if contrasts and (indirect := _identify_indirectly(digraph, graph, observed)) is not None:
            return indirect
        indirect = None if contrasts else _identify_indirectly(digraph, graph, observed)
        hint = f", ask for the effect (task=effect, by {indirect.strategy})" if indirect else ""
        by_card = hidden == [SELF_SELECTION]
        chosen = "; dataset.self_selected=false where users did not choose" if by_card else ""
        raise NotIdentified(
            f"not identified: {', '.join(hidden)} drive(s) both {graph.exposure} and {graph.outcome} unobserved, so no "
            f"backdoor set exists for {card.name}; use propensity=logged, a randomised training sample{hint}, or state "
            f"graph.assume=true (recorded and footnoted){chosen}"
        )
    trimmed = without_arrows_from(digraph, hidden)
    columns = adjustment_set(trimmed, graph.exposure, graph.outcome, observed)
    assert columns is not None  # no latent common cause is left
    return Identification("backdoor", columns, assumed=tuple(f"{node} is negligible" for node in hidden))


def _require_no_drivers(graph: CausalGraph, card: DatasetCard) -> None:
    """Raise NotIdentified where an effect's treatment was drawn at random, and the graph has something drive it."""
    drivers = sorted(graph.digraph.predecessors(graph.exposure))
    if drivers:
        raise NotIdentified(
            f"{card.name} is randomised, but the graph has {', '.join(drivers)} drive {graph.exposure}; drop these "
            f"edges, or, where it was drawn by strata, say that it is not (of csv, dataset.randomised_log=false)"
        )


def _declared_digraph(graph: CausalGraph, card: DatasetCard) -> nx.DiGraph[str]:
    """Return the graph with a latent taste where the card demands one and the graph has no hidden cause of both.

    One that observed columns block says nothing of how users choose.
    """
    if not card.self_selected:
        return graph.digraph
    identified = adjustment_set(graph.digraph, graph.exposure, graph.outcome, graph.observed_nodes(card)) is not None
    return graph.with_self_selection() if identified else graph.digraph


def require_identified(graph: CausalGraph, card: DatasetCard, training: Identification, read: frozenset[str]) -> None:
    """Raise RequestError where the effect is not identified given all that is read, which may be more than is needed: a
    column held fixed can open a path.

    Args:
        graph: the declared causes.
        card: what the data set holds.
        training: how the effect is identified.
        read: all columns that the learner reads.
    """
    digraph, x, y = _declared_digraph(graph, card), graph.exposure, graph.outcome
    if training.strategy == "backdoor":
        hidden = unblocked_confounders(digraph, x, y, graph.observed_nodes(card)) if training.assumed else []
        holds = valid_backdoor(without_arrows_from(digraph, hidden), x, y, read & set(digraph))
    elif training.mediator is not None:
        holds = is_valid_mediator(digraph, x, y, training.mediator, read & set(digraph))
    else:
        holds = not training.instruments or are_valid_instruments(
            digraph, x, y, frozenset(training.instruments), read & set(digraph)
        )
    if not holds:
        raise RequestError(
            f"graph.modifiers: the effect is not identified given {', '.join(sorted(read))} together, as one of them "
            f"opens a path; leave out what does not cause the outcome"
        )


def _identify_indirectly(
    digraph: nx.DiGraph[str], graph: CausalGraph, observed: frozenset[str]
) -> Identification | None:
    """Identify an effect by a front door or by instruments; None where the graph has neither."""
    if (door := front_door(digraph, graph.exposure, graph.outcome, observed)) is not None:
        return Identification("front-door", door.columns, (LINEARITY_ASSUMPTION,), mediator=door.mediator)
    if (moved := instruments(digraph, graph.exposure, graph.outcome, observed)) is not None:
        return Identification("instrument", moved.columns, (CONSTANT_EFFECT_ASSUMPTION,), instruments=moved.names)
    return None
