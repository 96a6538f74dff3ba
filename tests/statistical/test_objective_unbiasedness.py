"""Training objectives estimate the ideal loss where their assumption holds, and are caught where it does not.

A finite population of pairs with known exposure probabilities p and mean outcomes r; predictions are fixed, so the
ideal loss is known: the mean cross-entropy over all pairs. Each estimate is the objective's own terms, without
clipping, averaged over exposure and outcome draws: within 4 standard errors where it should be right, more than 6 away
where it should not. The cross-entropy is linear in its label, so the true imputed error is that of the label r.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.estimators.certificate.claims import nuisances_read
from causalrec.estimators.certificate.simulation import Simulation
from causalrec.estimators.certificate.world import World as Population
from causalrec.estimators.certificate.world import design_of
from causalrec.estimators.learned_propensity import imbalance
from causalrec.estimators.objective.base import AbstractObjective, Nuisance
from causalrec.estimators.objective.stable_dr import instability
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import ADVERSARY, IMPUTATION, OUTCOME, PROPENSITY, WEIGHT, Batch, Outputs, Role, Term, role_family

PAIRS, DRAWS = 2000, 1000


@dataclass(frozen=True)
class World:
    """`rate[n]`, `raw[n]` predicted log-odds, `propensity[n]`; `outcome[R,n]` and `observed[R,n]` as they fell."""

    rate: Tensor
    raw: Tensor
    propensity: Tensor
    outcome: Tensor
    observed: Tensor

    @property
    def ideal(self) -> float:
        return float(pointwise_error(self.raw, self.rate, "logit").mean())

    @property
    def flat(self) -> Tensor:
        """Propensities that know how much is exposed, not what."""
        return torch.full_like(self.propensity, float(self.propensity.mean()))


def draw_world(seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=PAIRS)
    rate = 1 / (1 + np.exp(-1.5 * z))
    raw = 0.5 * rng.normal(size=PAIRS) - 0.8  # a model that sees nothing of z, and is wrong on average
    propensity = np.clip(1 / (1 + np.exp(1.0 - 1.1 * z)), 0.12, 0.9)
    outcome = (rng.random((DRAWS, PAIRS)) < rate).astype(np.float64)
    observed = (rng.random((DRAWS, PAIRS)) < propensity).astype(np.float64)
    return World(*(torch.from_numpy(column) for column in (rate, raw, propensity, outcome, observed)))


WORLD = draw_world()
SHARED = dict.fromkeys((OUTCOME, Role("first_teacher"), Role("second_teacher"), ADVERSARY), WORLD.raw)
VECTORS = {OUTCOME: (WORLD.raw[:, None], WORLD.rate[:, None])}
SHARED[WEIGHT] = torch.logit(WORLD.propensity.mean()).expand(PAIRS)  # weights of mean propensity over propensity
DROPS = torch.from_numpy(np.random.default_rng(1).normal(size=(10, PAIRS)))  # how passes with dropout move log-odds


def objective_of(name: str, **changes: object) -> AbstractObjective:
    node = yaml.safe_load((package_folder("conf") / "objective" / f"{name}.yaml").read_text())
    built: AbstractObjective = validate_component("objective", node, AbstractObjective).build()
    keys = {field.name for field in fields(built)}  # type: ignore[arg-type]
    plain: dict[str, object] = {"clip": 0.0, "counterfactual": 1.0}
    return replace(built, **{**{k: v for k, v in plain.items() if k in keys}, **changes})  # type: ignore[type-var]


def is_risk(name: str, term: Term) -> bool:
    return term.trains == OUTCOME and not name.startswith("joint")


def estimates(objective: AbstractObjective, propensity: Tensor, label: Tensor, unlogged: bool = True) -> Tensor:
    """Return the estimate of the ideal loss in each draw, `[R]`; `unlogged`: the batch tells that of every pair."""
    nuisances = {IMPUTATION: torch.logit(label), PROPENSITY: torch.logit(propensity)}
    numbered = {role: nuisances[role_family(role)] for role in objective.roles if role_family(role) in nuisances}
    values = {**SHARED, **nuisances, **numbered}
    passes = {IMPUTATION: torch.logit(label) + DROPS}
    outputs, unit = Outputs(values, "logit", VECTORS, passes=passes), torch.ones(PAIRS, dtype=torch.float64)

    def estimate(outcome: Tensor, observed: Tensor) -> Tensor:
        readable = propensity if unlogged else torch.where(observed > 0, propensity, 1.0)
        batch = Batch(
            item=unit, treatment=observed, outcome=outcome * observed, observed=observed, propensity=readable,
            weight=unit, features=unit[:, None],
        )  # fmt: skip
        risk = [term for name, term in objective.terms(batch, outputs).items() if is_risk(name, term)]
        return torch.stack([t.value.sum() / (unit if t.normaliser is None else t.normaliser).sum() for t in risk]).sum()

    return torch.func.vmap(estimate)(WORLD.outcome, WORLD.observed)


def distance(estimate: Tensor, target: float) -> float:
    """Return how many standard errors the mean of the estimates lies from the target."""
    return abs(float((estimate.mean() - target) / (estimate.std() / len(estimate) ** 0.5)))


WRONG = 1 - 0.8 * WORLD.rate  # imputed labels that are wrong, and most so where exposure is seldom


def nuisances_that_suffice(objective: AbstractObjective) -> frozenset[Nuisance]:
    """Those each of which, true alone, makes right the value that an objective claims."""
    if design_of(objective) != "exposure" or objective.claimed <= {"gradient_only", "doubly_robust"}:
        return frozenset()
    read = nuisances_read(Simulation(objective=objective, world=Population.create("exposure", 5)))
    return read if len(read) == 1 or "doubly_robust" in objective.claimed else frozenset()


UNBIASED = {
    path.stem: nuisances_that_suffice(objective_of(path.stem))
    for path in sorted((package_folder("conf") / "objective").glob("*.yaml"))
}
PUBLIC = [  # without imputed errors it departs in how the weights learn alone
    name
    for name in UNBIASED
    if "legacy_public_code" in vars(objective_of(name)) and IMPUTATION in objective_of(name).roles
]

# objective, propensities, imputed labels, is it right?
CASES = [
    *[(name, "true", "wrong", "propensity" in under) for name, under in UNBIASED.items() if under],
    *[(name, "flat", "wrong", False) for name, under in UNBIASED.items() if "propensity" in under or name == "naive"],
    *[(name, "flat", "true", True) for name, under in UNBIASED.items() if "imputation" in under],
]


@pytest.mark.parametrize(("name", "propensity", "label", "right"), CASES)
def test_the_estimate_is_right_where_the_assumption_holds_and_caught_where_not(
    name: str, propensity: str, label: str, right: bool
) -> None:
    chances = {"true": WORLD.propensity, "flat": WORLD.flat}
    labels = {"true": WORLD.rate, "wrong": WRONG}
    away = distance(estimates(objective_of(name), chances[propensity], labels[label]), WORLD.ideal)
    assert away < 4 if right else away > 6


@pytest.mark.parametrize("label", ["true", "wrong"])
@pytest.mark.parametrize("name", PUBLIC)
def test_the_loss_of_public_code_is_biased_though_the_propensities_are_true(name: str, label: str) -> None:
    labels = {"true": WORLD.rate, "wrong": WRONG}
    estimate = estimates(objective_of(name, legacy_public_code=True), WORLD.propensity, labels[label])
    assert distance(estimate, WORLD.ideal) > 6


@pytest.mark.parametrize("name", ["dr", "dr_jl", "mrdr", "dr_bias", "dr_mse"])
def test_the_bias_of_public_code_is_what_theory_says(name: str) -> None:
    error, imputed = (pointwise_error(WORLD.raw, label, "logit") for label in (WORLD.rate, WRONG))
    seen = float((error - WORLD.propensity * imputed).sum() / WORLD.propensity.sum())
    estimate = estimates(objective_of(name, legacy_public_code=True), WORLD.propensity, WRONG)
    assert distance(estimate, float(imputed.mean()) + seen) < 4


@pytest.mark.parametrize("name", ["cdr_dr_jl", "cdr_mrdr", "cdr_dr_bias"])
def test_a_filter_of_imputed_errors_leaves_no_bias_under_true_propensities_alone(name: str) -> None:
    objective = objective_of(name, max_variation=0.05)
    for label in (WRONG, WORLD.rate):
        assert distance(estimates(objective, WORLD.propensity, label), WORLD.ideal) < 4
    assert distance(estimates(objective, WORLD.flat, WORLD.rate), WORLD.ideal) > 6  # what it drops is IPS
    imputing = objective_of(name, max_variation=1e6)
    assert distance(estimates(imputing, WORLD.flat, WORLD.rate), WORLD.ideal) < 4


def test_error_imputation_loses_what_the_filter_drops() -> None:
    for most, right in ((1e6, True), (0.1, False)):
        estimate = estimates(objective_of("cdr_eib", max_variation=most), WORLD.propensity, WORLD.rate)
        assert distance(estimate, WORLD.ideal) < 4 if right else distance(estimate, WORLD.ideal) > 6


@pytest.mark.parametrize("name", ["clipped_ips", "self_clipped_ips", "ips", "snips", "dr_jl"])
def test_a_binding_clip_biases_the_estimate(name: str) -> None:
    estimate = estimates(objective_of(name, clip=0.4), WORLD.propensity, WRONG)
    assert distance(estimate, WORLD.ideal) > 6


@pytest.mark.parametrize("name", ["tdr", "tdr_jl"])
def test_targeting_without_the_propensity_of_unlogged_pairs_is_error_imputation(name: str) -> None:
    estimate = estimates(objective_of(name), WORLD.propensity, WRONG, unlogged=False)
    torch.testing.assert_close(estimate, estimates(objective_of("eib"), WORLD.propensity, WRONG))
    assert distance(estimate, WORLD.ideal) > 6


def test_targeting_varies_less_than_plain_doubly_robust_where_the_imputation_is_wrong() -> None:
    plain, moved = (estimates(objective_of(n), WORLD.propensity, WRONG).std() for n in ("dr_jl", "tdr_jl"))
    assert moved < 0.95 * plain


def test_stable_dr_is_right_under_wrong_propensities_that_keep_its_constraint() -> None:
    imputed = pointwise_error(WORLD.raw, WORLD.rate, "logit")
    centred = imputed - imputed.mean()
    base, low, high = 1 / float(WORLD.propensity.mean()), -50.0, 50.0
    for _ in range(60):  # a weight above 1 that reads the imputed error alone, its slope set by the constraint
        slope = (low + high) / 2
        weight = 1 + 2 * (base - 1) * torch.sigmoid(slope * centred)
        low, high = (slope, high) if float((WORLD.propensity * weight * centred).mean()) < 0 else (low, slope)
    chance = 1 / weight
    assert ((chance > 0) & (chance < 1)).all() and float((chance - WORLD.propensity).abs().mean()) > 0.05
    unstable = torch.func.vmap(lambda o: instability(centred, o, chance, 0.0).mean())(WORLD.observed)
    assert distance(unstable, 0.0) < 4
    assert distance(estimates(objective_of("stable_dr"), chance, WORLD.rate), WORLD.ideal) < 4
    assert distance(estimates(objective_of("stable_dr"), WORLD.flat, WORLD.rate), WORLD.ideal) > 6


def test_balance_and_stability_are_centred_under_the_true_propensities_alone() -> None:
    predicted = torch.sigmoid(WORLD.raw) + WORLD.rate
    error = pointwise_error(WORLD.raw, WORLD.rate, "logit")
    for chance, right in ((WORLD.propensity, True), (WORLD.flat, False)):
        balance = torch.func.vmap(lambda o, p=chance: imbalance(o, p, predicted, 0.0).mean())(WORLD.observed)
        stability = torch.func.vmap(lambda o, p=chance: instability(error - error.mean(), o, p, 0.0).mean())
        for means in (balance, stability(WORLD.observed)):
            assert distance(means, 0.0) < 4 if right else distance(means, 0.0) > 6


def test_the_imputation_loss_of_mrdr_is_the_variance_of_the_estimate() -> None:
    """Over exposure, outcomes held as they are: mean((1 - p) / p (e - e_hat)^2) = |D| times the variance."""
    outcome = WORLD.outcome[0]
    values = {OUTCOME: WORLD.raw, IMPUTATION: torch.logit(WRONG)}
    unit = torch.ones(PAIRS, dtype=torch.float64)

    def both(observed: Tensor) -> Tensor:
        batch = Batch(
            item=unit, treatment=observed, outcome=outcome * observed, observed=observed,
            propensity=WORLD.propensity, weight=unit, features=unit[:, None],
        )  # fmt: skip
        terms = objective_of("mrdr").terms(batch, Outputs(values, "logit"))
        return torch.stack([terms["outcome"].value.mean(), terms["imputation"].value.mean()])

    estimate, loss = torch.func.vmap(both)(WORLD.observed).unbind(1)
    assert float(estimate.var()) == pytest.approx(float(loss.mean()) / PAIRS, rel=0.15)
