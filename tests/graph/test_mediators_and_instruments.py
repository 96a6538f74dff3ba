"""Front doors and instruments: found where the criteria hold, and only there."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest

from causalrec.data.card import DatasetCard
from causalrec.data.datasets.effect_simulation import EffectSimulation
from causalrec.data.datasets.hillstrom import Hillstrom
from causalrec.errors import NotIdentified, RequestError
from causalrec.features.views import choose_views
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.identify import Adjustment, identify, require_identified
from causalrec.graph.mediators_and_instruments import front_door, instruments


def graph(*edges: str) -> nx.DiGraph:
    return nx.DiGraph([tuple(edge.split(" -> ")) for edge in edges])


HIDDEN = ("h -> x", "h -> y")
THROUGH = (*HIDDEN, "x -> m", "m -> y")


@pytest.mark.parametrize(
    ("edges", "observed", "expected"),
    [
        (THROUGH, "m", ("m", ())),
        ((*THROUGH, "x -> y"), "m", None),  # a direct effect
        ((*THROUGH, "h -> m"), "m", None),
        ((*THROUGH, "c -> x", "c -> m"), "m c", ("m", ("c",))),
        ((*THROUGH, "c -> x", "c -> m"), "m", None),  # c unseen
        ((*THROUGH, "c -> m", "c -> y"), "m c", ("m", ("c",))),
        ((*THROUGH, "c -> y"), "m c", ("m", ())),  # needless, so dropped
        ((*HIDDEN, "x -> m", "m -> n", "n -> y"), "m n", ("m", ())),
        ((*HIDDEN, "x -> m", "m -> n", "n -> y", "k -> m", "k -> y"), "m n", None),  # k unseen: n <- m <- k -> y
        ((*HIDDEN, "x -> m", "x -> n", "m -> y", "n -> y"), "m n", None),  # two ways, and neither carries all
    ],
)
def test_front_doors(edges: tuple[str, ...], observed: str, expected: Any) -> None:
    strategy = front_door(graph(*edges), "x", "y", frozenset(observed.split()))
    assert (strategy and (strategy.mediator, strategy.columns)) == expected


MOVED = (*HIDDEN, "x -> y", "z -> x")


@pytest.mark.parametrize(
    ("edges", "observed", "expected"),
    [
        (MOVED, "z", (("z",), ())),
        ((*MOVED, "z -> y"), "z", None),  # no exclusion
        ((*MOVED, "h -> z"), "z", None),  # not as good as drawn
        ((*HIDDEN, "x -> y", "z -> c"), "z c", None),  # moves nothing
        ((*MOVED, "c -> z", "c -> y"), "z c", (("z",), ("c",))),  # conditional
        ((*MOVED, "c -> z", "c -> y"), "z", None),
        ((*MOVED, "c -> x", "c -> y"), "z c", (("z",), ())),
        ((*MOVED, "w -> x"), "z w", (("w", "z"), ())),
        ((*HIDDEN, "x -> y", "u -> z", "u -> x"), "z", None),  # a proxy, which causes neither: not searched for
        ((*MOVED, "x -> d", "z -> d"), "z d", (("z",), ())),  # what exposure causes is never held fixed
    ],
)
def test_instruments(edges: tuple[str, ...], observed: str, expected: Any) -> None:
    strategy = instruments(graph(*edges), "x", "y", frozenset(observed.split()))
    assert (strategy and (strategy.names, strategy.columns)) == expected


def declare_graph(*edges: str, **more: Any) -> CausalGraph:
    return CausalGraph(edges=[*edges], latent=["h"], **more)


def identify_effect(causal: CausalGraph, card: DatasetCard) -> Adjustment:
    """What identifies an effect, which exposure is compared for."""
    return identify(causal, card, estimand="effect", contrasts_exposure=True)


BASE = ("x0 -> exposure", "h -> exposure", "h -> outcome", "x0 -> outcome", "x1 -> outcome")
NUDGED = (*BASE, "exposure -> outcome", "nudge -> exposure")
ROLE_INPUTS = (*BASE, "exposure -> seen", "seen -> outcome")


def test_what_identifies_an_effect_chooses_what_a_learner_reads() -> None:
    card = EffectSimulation().card
    by_nudge = identify_effect(declare_graph(*NUDGED), card)
    assert by_nudge.training.strategy == "instrument" and by_nudge.training.instruments == ("nudge",)
    assert not by_nudge.training.adjusts and "does not vary with what is hidden" in by_nudge.training.assumed[0]
    read = choose_views(declare_graph(*NUDGED), card, by_nudge)
    assert (read.modifiers, read.controls, read.instruments) == (("x0", "x1"), (), ("nudge",))
    by_seen = identify_effect(declare_graph(*ROLE_INPUTS), card)
    assert (by_seen.training.strategy, by_seen.training.mediator) == ("front-door", "seen")
    assert "linear" in by_seen.training.assumed[0]
    read = choose_views(declare_graph(*ROLE_INPUTS, modifiers=["x1"]), card, by_seen)
    assert (read.modifiers, read.controls, read.mediators) == (("x1",), (), ("seen",))
    assert "cov(outcome, nudge) / cov(exposure, nudge)" in by_nudge.expression(declare_graph(*NUDGED))
    assert "sum_seen P(seen | exposure) sum_exposure' P(exposure')" in by_seen.expression(declare_graph(*ROLE_INPUTS))


def test_a_backdoor_set_comes_first_an_assumption_is_the_users_and_means_are_not_effects() -> None:
    card = EffectSimulation().card
    observed_edges = [edge for edge in NUDGED if not edge.startswith("h ")]
    assert identify_effect(declare_graph(*observed_edges), card).training.strategy == "backdoor"
    assumed = identify_effect(declare_graph(*NUDGED, assume=True), card).training
    assert assumed.strategy == "backdoor" and assumed.assumed == ("h is negligible",)
    with pytest.raises(NotIdentified, match="h drive"):
        identify(declare_graph(*NUDGED), card)
    with pytest.raises(NotIdentified, match="h drive"):
        identify_effect(declare_graph(*BASE, "exposure -> outcome"), card)


COLLIDERS = {
    "backdoor": ("x0 -> exposure", "x0 -> z", "x1 -> outcome", "x1 -> z", "exposure -> outcome"),
    "instrument": (*NUDGED, "nudge -> z", "h -> z"),
    "front-door": (*ROLE_INPUTS, "x2 -> z", "x2 -> seen", "h -> z"),
}


@pytest.mark.parametrize("strategy", COLLIDERS)
def test_a_modifier_that_opens_a_path_is_refused(strategy: str) -> None:
    causal, card = declare_graph(*COLLIDERS[strategy]), EffectSimulation().card
    training = identify_effect(causal, card).training
    assert training.strategy == strategy
    require_identified(causal, card, training, frozenset({*training.columns, "x1"}))
    with pytest.raises(RequestError, match=r"not identified given .*z.* together"):
        require_identified(causal, card, training, frozenset({*training.columns, "z"}))


def test_a_randomised_treatment_has_no_causes() -> None:
    card = Hillstrom().card
    causal = CausalGraph(edges=["recency -> exposure", "exposure -> outcome"], latent=[])
    with pytest.raises(NotIdentified, match="hillstrom is randomised, but the graph has recency drive exposure"):
        identify_effect(causal, card)
