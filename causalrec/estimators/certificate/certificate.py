"""The certificate of a training objective: what it claims, and what every objective must keep, judged in seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from causalrec.estimators.certificate.check import Check
from causalrec.estimators.certificate.claims import Effort, check_claims, claim_link, require_claims
from causalrec.estimators.certificate.gradients import FINITE, check_gradients
from causalrec.estimators.certificate.replicas import check_replicas
from causalrec.estimators.certificate.simulation import Simulation
from causalrec.estimators.certificate.spaces import check_weights
from causalrec.estimators.certificate.world import World, design_of
from causalrec.estimators.objective.base import AbstractObjective

SILENT = "claims nothing: biased by design, see docstring"


@dataclass(frozen=True)
class Certificate:
    """What was judged of one objective.

    Attributes:
        name: of the objective.
        claims: what it claims as it is set, sorted.
        checks: a line each.
    """

    name: str
    claims: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.failed)


def certify(objective: AbstractObjective, name: str = "", effort: Effort | None = None) -> Certificate:
    """Judge what an objective claims, without clipping, and the contract that all keep.

    Raises RequestError at a claim that there is none of, CausalRecError where its terms cannot be computed.

    Args:
        objective: as it is set.
        name: how it is called; its class by default.
        effort: how much is simulated; a few seconds by default.
    """
    require_claims(objective)
    claims, effort = objective.claimed, effort or Effort()
    link = claim_link(objective) or min(objective.links)
    world = World.create(design_of(objective), effort.users)
    simulation = Simulation(objective=objective, world=world, claims=claims, link=link)
    unclipped = replace(simulation, objective=objective.with_clip(0.0))
    contract = [*check_gradients(simulation), check_replicas(simulation), check_weights(simulation, effort.epochs)]
    if not claims:
        judged = [Check(name="claims", result="not claimed", detail=SILENT)]
    elif any(check.failed and check.name == FINITE for check in contract):
        judged = [Check(name=name, result="not judged", detail="a value or gradient is not finite") for name in claims]
    else:
        judged = list(check_claims(unclipped, effort))
    checks = [*judged, *contract]
    return Certificate(name or type(objective).__name__, tuple(sorted(claims)), tuple(checks))
