"""Is what an objective claims true? Over draws of exposure and outcome, against the ideal loss of a population."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.certificate.check import Check, judge
from causalrec.estimators.certificate.samples import draw_samples
from causalrec.estimators.certificate.simulation import NOTHING_BROKEN, Broken, Simulation
from causalrec.estimators.certificate.world import World
from causalrec.estimators.objective.base import AbstractObjective, Claim, Nuisance
from causalrec.types import Link

CLAIMS: tuple[Claim, ...] = ("unbiased", "consistent", "doubly_robust", "gradient_only")
BROKEN_NAMES: dict[Nuisance, str] = {"propensity": "propensities wrong", "imputation": "imputed labels wrong"}
STANDARD_ERRORS = 4.0
SEEN = STANDARD_ERRORS + 2  # a bias of so many standard errors fails in 98 of 100 certificates
LARGER, RATIO = 16, 0.35  # the RMSE of a consistent estimate falls to a quarter
ROUNDING = 2.5e-5  # of what is estimated, the least standard error: 4 of them forgive an epsilon in a denominator
SPACES = ("logged", "all_pairs")
LINKS: tuple[Link, ...] = ("logit", "identity", "log")


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is simulated.

    Attributes:
        users: of the population, each of whom meets ten items.
        draws: of exposure and outcome, for a mean.
        small_users: of the smaller of the two populations that a consistent estimate is judged by.
        growing_draws: of each of the two.
        epochs: of sampled rows.
    """

    users: int = 80
    draws: int = 200
    small_users: int = 16
    growing_draws: int = 400
    epochs: int = 200


def require_claims(objective: AbstractObjective) -> None:
    """Raise RequestError at a claim that there is none of, and at claims of rows that cannot be simulated here."""
    name, claims = type(objective).__name__, objective.claimed
    if isinstance(claims, str):
        raise RequestError(f"{name}.claims={claims!r}: is no set; write frozenset({{{claims!r}}})")
    if not isinstance(claims, Set | Sequence):
        raise RequestError(f"{name}.claims={claims!r}: is no set of claims; known: {', '.join(CLAIMS)}")
    for claim in claims:
        if claim not in CLAIMS:
            raise RequestError(f"{name}.claims: {claim!r} is no claim; {did_you_mean(str(claim), CLAIMS)}")
    if claims and objective.space not in SPACES:
        raise RequestError(
            f"{name}.claims: the certificate simulates {' and '.join(SPACES)} rows, no {objective.space}; leave claims "
            f"empty, and simulate what it estimates in a test of its own"
        )
    if claims and claim_link(objective) is None:
        raise RequestError(
            f"{name}.claims: the certificate judges outcomes of one number, and its links are "
            f"{', '.join(sorted(objective.links))}; leave claims empty"
        )


def claim_link(objective: AbstractObjective) -> Link | None:
    """Return the link that claims are judged under, None where no outcome of one number is defined."""
    return next((link for link in LINKS if link in objective.links), None)


def check_claims(simulation: Simulation, effort: Effort, seed: int = 1) -> Iterator[Check]:
    """Judge each claim in turn; say of the others that they are not claimed."""
    claims = simulation.claims
    gradient = "gradient_only" in claims
    given = _describe_nuisances(simulation)
    for claim in CLAIMS:
        name = claim.replace("_", " ")
        if claim not in claims:
            yield Check(name=name, result="not claimed")
        elif claim == "doubly_robust":
            for nuisance, wrong in BROKEN_NAMES.items():
                broken = replace(simulation, broken=frozenset({nuisance}))
                yield _judge(f"{name}, {wrong}", broken, effort, seed, gradient=gradient, growing=_grows(claims))
        else:
            yield _judge(
                name,
                simulation,
                effort,
                seed,
                gradient=claim == "gradient_only",
                growing=claim == "consistent",
                given=given,
            )


def _grows(claims: frozenset[Claim]) -> bool:
    """Whether an estimate comes to the ideal loss only as rows grow."""
    return "consistent" in claims and not {"unbiased", "gradient_only"} & claims


def _judge(
    name: str, simulation: Simulation, effort: Effort, seed: int, *, gradient: bool, growing: bool, given: str = ""
) -> Check:
    if growing:
        return judge_growing(name, simulation, effort, seed, given)
    samples = draw_samples(simulation, effort.draws, seed, gradient=gradient)
    return judge_mean(name, *samples.mean(), samples.target, given)


def judge_mean(name: str, mean: Tensor, error: Tensor, target: Tensor, detail: str = "") -> Check:
    """Judge whether means are what they estimate, within 4 standard errors.

    Args:
        name: of the check.
        mean: `[K]`.
        error: `[K]`, its standard error.
        target: `[K]`.
        detail: as in `Check`.
    """
    size = max(float(target.abs().max()), 1e-12)
    error = error.clamp_min(ROUNDING * size)
    away = float(((mean - target).abs() / error).max())
    smallest = SEEN * float(error.max()) / size
    return judge(name, away, STANDARD_ERRORS, "standard errors", smallest=smallest, detail=detail)


def judge_growing(name: str, simulation: Simulation, effort: Effort, seed: int, detail: str = "") -> Check:
    """Judge whether the root mean squared error over draws falls as it must from n rows to 16 n.

    Args:
        name: of the check.
        simulation: of any population.
        effort: the draws of each size, and the users of n rows.
        seed: of the draws.
        detail: as in `Check`.
    """
    small = replace(simulation, world=World.create(simulation.world.design, effort.small_users))
    large = replace(small, world=small.world.repeat(LARGER))
    draws = effort.growing_draws
    before, after = (draw_samples(each, draws, seed + k, controlled=False) for k, each in enumerate((small, large)))
    size = float(before.target.abs().max())
    return judge_errors(name, before.values - before.target, after.values - after.target, size, detail)


def judge_errors(name: str, small: Tensor, large: Tensor, size: float, detail: str = "") -> Check:
    """Judge errors at n rows, `[R,K]`, against those at 16 n.

    Args:
        name: of the check.
        small: at n rows.
        large: at 16 n.
        size: of what is estimated.
        detail: as in `Check`.
    """
    before, after = (float(errors.square().mean()) for errors in (small, large))
    smallest = max(RATIO**2 * before - after, 0.0) / (1 - RATIO**2)  # squared, of a bias that both would have
    ratio = (after / before) ** 0.5
    return judge(name, ratio, RATIO, "of the RMSE, at 16 n", smallest=smallest**0.5 / size, detail=detail)


def nuisances_read(simulation: Simulation) -> Broken:
    """Return the nuisances that the judged loss moves with."""
    samples = [
        draw_samples(replace(simulation, broken=broken), 1, 0).values
        for broken in (NOTHING_BROKEN, *(frozenset({nuisance}) for nuisance in BROKEN_NAMES))
    ]
    return frozenset(
        n for n, moved in zip(BROKEN_NAMES, samples[1:], strict=True) if not torch.equal(moved, samples[0])
    )


def _describe_nuisances(simulation: Simulation) -> str:
    """Say what must be true for the claims; nothing where the loss reads no nuisance."""
    names = {"propensity": "propensities", "imputation": "imputed labels"}
    read = [names[nuisance] for nuisance in sorted(nuisances_read(simulation))]
    return f"given true {' and '.join(read)}" if read else "given nothing"
