"""Front doors and instruments: found where the criteria hold, and only there."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest

from causalrec.data.card import DatasetCard
from causalrec.data.datasets.effect_simulation import EffectSimulation
from causalrec.data.datasets.hillstrom import Hillstrom
from causalrec.errors import NotIdentified, RequestError
from causalrec.features.views import views
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.designs import front_door, instruments
from causalrec.graph.identify import Adjustment, identify, require_identified


def graph(*edges: str) -> nx.DiGraph:
    return nx.DiGraph([tuple(edge.split(" -> ")) for edge in edges])


HIDDEN = ("h -> x", "h -> y")
THROUGH = (*HIDDEN, "x -> m", "m -> y")


@pytest.mark.parametrize(
    ("edges", "observed", "found"),
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
def test_front_doors(edges: tuple[str, ...], observed: str, found: Any) -> None:
    told = front_door(graph(*edges), "x", "y", frozenset(observed.split()))
    assert (told and (told.mediator, told.columns)) == found


MOVED = (*HIDDEN, "x -> y", "z -> x")


@pytest.mark.parametrize(
    ("edges", "observed", "found"),
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
def test_instruments(edges: tuple[str, ...], observed: str, found: Any) -> None:
    told = instruments(graph(*edges), "x", "y", frozenset(observed.split()))
    assert (told and (told.names, told.columns)) == found


def declared(*edges: str, **more: Any) -> CausalGraph:
    return CausalGraph(edges=[*edges], latent=["h"], **more)


def of_effect(causal: CausalGraph, card: DatasetCard) -> Adjustment:
    """What identifies an effect, which exposure is compared for."""
    return identify(causal, card, estimand="effect", contrasts_exposure=True)


BASE = ("x0 -> exposure", "h -> exposure", "h -> outcome", "x0 -> outcome", "x1 -> outcome")
NUDGED = (*BASE, "exposure -> outcome", "nudge -> exposure")
ROLE_INPUTS = (*BASE, "exposure -> seen", "seen -> outcome")


def test_what_identifies_an_effect_chooses_what_a_learner_reads() -> None:
    card = EffectSimulation().card
    by_nudge = of_effect(declared(*NUDGED), card)
    assert by_nudge.training.strategy == "instrument" and by_nudge.training.instruments == ("nudge",)
    assert not by_nudge.training.adjusts and "does not vary with what is hidden" in by_nudge.training.assumed[0]
    read = views(declared(*NUDGED), card, by_nudge)
    assert (read.modifiers, read.controls, read.instruments) == (("x0", "x1"), (), ("nudge",))
    by_seen = of_effect(declared(*ROLE_INPUTS), card)
    assert (by_seen.training.strategy, by_seen.training.mediator) == ("front-door", "seen")
    assert "linear" in by_seen.training.assumed[0]
    read = views(declared(*ROLE_INPUTS, modifiers=["x1"]), card, by_seen)
    assert (read.modifiers, read.controls, read.mediators) == (("x1",), (), ("seen",))
    assert "cov(outcome, nudge) / cov(exposure, nudge)" in by_nudge.expression(declared(*NUDGED))
    assert "sum_seen P(seen | exposure) sum_exposure' P(exposure')" in by_seen.expression(declared(*ROLE_INPUTS))


def test_a_backdoor_set_comes_first_an_assumption_is_the_users_and_means_are_not_effects() -> None:
    card = EffectSimulation().card
    known = [edge for edge in NUDGED if not edge.startswith("h ")]
    assert of_effect(declared(*known), card).training.strategy == "backdoor"
    assumed = of_effect(declared(*NUDGED, assume=True), card).training
    assert assumed.strategy == "backdoor" and assumed.assumed == ("h is negligible",)
    with pytest.raises(NotIdentified, match="h drive"):
        identify(declared(*NUDGED), card)
    with pytest.raises(NotIdentified, match="h drive"):
        of_effect(declared(*BASE, "exposure -> outcome"), card)


COLLIDERS = {
    "backdoor": ("x0 -> exposure", "x0 -> z", "x1 -> outcome", "x1 -> z", "exposure -> outcome"),
    "instrument": (*NUDGED, "nudge -> z", "h -> z"),
    "front-door": (*ROLE_INPUTS, "x2 -> z", "x2 -> seen", "h -> z"),
}


@pytest.mark.parametrize("strategy", COLLIDERS)
def test_a_modifier_that_opens_a_path_is_refused(strategy: str) -> None:
    causal, card = declared(*COLLIDERS[strategy]), EffectSimulation().card
    training = of_effect(causal, card).training
    assert training.strategy == strategy
    require_identified(causal, card, training, frozenset({*training.columns, "x1"}))
    with pytest.raises(RequestError, match=r"not identified given .*z.* together"):
        require_identified(causal, card, training, frozenset({*training.columns, "z"}))


def test_a_randomised_treatment_has_no_causes() -> None:
    card = Hillstrom().card
    causal = CausalGraph(edges=["recency -> exposure", "exposure -> outcome"], latent=[])
    with pytest.raises(NotIdentified, match="hillstrom is randomised, but the graph has recency drive exposure"):
        of_effect(causal, card)
