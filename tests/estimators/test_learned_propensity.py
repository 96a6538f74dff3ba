"""Objectives that learn the propensity beside the outcome: worked numbers, who trains whom, and squared terms."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.learned_propensity import imbalance, joint_error
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dr_v2 import DRV2
from causalrec.estimators.objective.escm2_dr import ESCM2DR
from causalrec.estimators.objective.escm2_ips import ESCM2IPS
from causalrec.estimators.objective.ips_v2 import IPSV2
from causalrec.estimators.objective.multi_dr import MultiDR
from causalrec.estimators.objective.multi_ips import MultiIPS
from causalrec.estimators.objective.stable_dr import StableDR
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Batch, Outputs, Role, Term

ALL = (MultiIPS(), MultiDR(), ESCM2IPS(), ESCM2DR(), IPSV2(), DRV2(), StableDR())
WEIGHTED = (MultiIPS(), ESCM2IPS(), IPSV2(counterfactual=1.0))
ROBUST = (MultiDR(), ESCM2DR(), DRV2(counterfactual=1.0))
OBSERVED = torch.tensor([1.0, 1.0, 0.0])
OUTCOMES = torch.tensor([1.0, 0.0, 0.0])
CHANCE = torch.tensor([0.5, 0.25, 0.2])
RATE = torch.tensor([0.6, 0.3, 0.8])  # predicted by the outcome network
IMPUTED = torch.tensor([0.5, 0.5, 0.25])  # labels of the imputation network
VALUES = {OUTCOME: torch.logit(RATE), PROPENSITY: torch.logit(CHANCE), IMPUTATION: torch.logit(IMPUTED)}


def batch_of(weight: Tensor | None = None) -> Batch:
    ids, unit = torch.arange(3), torch.ones(3)
    nothing = torch.full((3,), float("nan"))  # the pre-fitted propensity must not be read
    return Batch(
        item=ids, treatment=OBSERVED.long(), outcome=OUTCOMES, observed=OBSERVED, propensity=nothing,
        weight=unit if weight is None else weight, features=unit[:, None], user=ids,
    )  # fmt: skip


def terms_of(objective: AbstractObjective, values: dict[Role, Tensor] = VALUES) -> dict[str, Term]:
    return dict(objective.terms(batch_of(), Outputs(values, "logit")))


def entropy(rate: Tensor, label: Tensor) -> Tensor:
    return -(label * rate.log() + (1 - label) * (1 - rate).log())


def value_of(objective: AbstractObjective, name: str) -> list[float]:
    values: list[float] = terms_of(objective)[name].value.tolist()
    return values


@pytest.mark.parametrize("objective", WEIGHTED)
def test_ips_by_the_learnt_propensity(objective: AbstractObjective) -> None:
    assert value_of(objective, "outcome") == pytest.approx([-2 * math.log(0.6), -4 * math.log(0.7), 0], rel=1e-5)


@pytest.mark.parametrize("objective", ROBUST)
def test_dr_by_the_learnt_propensity(objective: AbstractObjective) -> None:
    error, imputed = entropy(RATE, OUTCOMES), entropy(RATE, IMPUTED)
    expected = imputed + (error - imputed) * torch.tensor([2.0, 4.0, 0.0])
    assert value_of(objective, "outcome") == pytest.approx(expected.tolist(), rel=1e-5)
    squares = (error - imputed).square() * torch.tensor([2.0, 4.0, 0.0])
    assert value_of(objective, "imputation") == pytest.approx(squares.tolist(), rel=1e-4)


@pytest.mark.parametrize("objective", ALL)
def test_the_propensity_learns_exposure_over_all_pairs(objective: AbstractObjective) -> None:
    term = terms_of(objective)["exposure"]
    assert term.trains == PROPENSITY and term.normaliser is None and objective.space == "all_pairs"
    assert term.value.tolist() == pytest.approx(entropy(CHANCE, OBSERVED).tolist(), rel=1e-5)


@pytest.mark.parametrize("objective", ALL)
def test_no_error_trains_the_propensity_and_each_term_reaches_one_role(objective: AbstractObjective) -> None:
    values = {role: raw.clone().requires_grad_() for role, raw in VALUES.items()}
    reached: dict[Role, set[str]] = {}
    for name, term in terms_of(objective, values).items():
        slopes = torch.autograd.grad(term.value.sum(), list(values.values()), retain_graph=True, allow_unused=True)
        touched = {role for role, g in zip(values, slopes, strict=True) if g is not None and g.any()}
        assert touched == {term.trains}
        reached.setdefault(term.trains, set()).add(name)
    assert reached[PROPENSITY] <= {"exposure", "joint_exposure", "balance", "stability"}
    assert set(reached) == set(objective.roles)


@pytest.mark.parametrize("objective", [ESCM2IPS(joint=0.5), ESCM2DR(joint=0.5), IPSV2(joint=0.5), DRV2(joint=0.5)])
def test_the_entire_space_terms_by_hand(objective: AbstractObjective) -> None:
    expected = (0.5 * entropy(CHANCE * RATE, OBSERVED * OUTCOMES)).tolist()
    assert value_of(objective, "joint_outcome") == pytest.approx(expected, rel=1e-5)
    assert value_of(objective, "joint_exposure") == pytest.approx(expected, rel=1e-5)


def test_the_entire_space_terms_have_together_the_gradient_of_the_product() -> None:
    values = {role: raw.clone().requires_grad_() for role, raw in VALUES.items()}
    terms = terms_of(ESCM2IPS(), values)
    (terms["joint_outcome"].value + terms["joint_exposure"].value).sum().backward()
    same = {role: VALUES[role].clone().requires_grad_() for role in (OUTCOME, PROPENSITY)}
    chance, rate = (torch.sigmoid(same[role]) for role in (PROPENSITY, OUTCOME))
    joint_error(chance, rate, OBSERVED * OUTCOMES).sum().backward()
    for role, raw in same.items():
        assert values[role].grad is not None and raw.grad is not None
        torch.testing.assert_close(values[role].grad, raw.grad)


@pytest.mark.parametrize(
    "objective",
    [
        ESCM2IPS(counterfactual=3.0),
        IPSV2(counterfactual=3.0),
        pytest.param(ESCM2DR(counterfactual=3.0)),
        pytest.param(DRV2(counterfactual=3.0)),
    ],
)
def test_the_risk_is_weighted_once(objective: ESCM2IPS | ESCM2DR | IPSV2 | DRV2) -> None:
    once = value_of(replace(objective, counterfactual=1.0), "outcome")
    assert value_of(objective, "outcome") == pytest.approx([3 * value for value in once], rel=1e-5)


def test_imbalance_by_hand_and_within_the_clip() -> None:
    values = imbalance(OBSERVED, CHANCE, RATE, 0.0).tolist()
    assert values == pytest.approx([2 * 0.6, 4 * 0.3, -0.8 / 0.8], rel=1e-5)
    assert imbalance(OBSERVED, CHANCE, RATE, 0.4).tolist() == pytest.approx([1.2, 0.75, -0.8 / 0.6], rel=1e-5)


def test_stable_dr_by_hand() -> None:
    terms = terms_of(StableDR(stability=4.0))
    weights = torch.tensor([2.0, 4.0, 0.0])
    error, imputed = entropy(RATE, OUTCOMES), entropy(RATE, IMPUTED)
    assert terms["outcome"].value.tolist() == pytest.approx((weights * error).tolist(), rel=1e-5)
    assert terms["outcome"].normaliser is not None
    assert terms["outcome"].normaliser.tolist() == pytest.approx(weights.tolist(), rel=1e-5)
    stable = 2 * 3**0.5 * (1 - weights) * (imputed - imputed.mean())  # of three rows
    assert terms["stability"].value.tolist() == pytest.approx(stable.tolist(), rel=1e-4, abs=1e-6)


def test_stable_dr_centres_by_the_weights_of_the_rows() -> None:
    weight = torch.tensor([0.5, 0.5, 2.0])
    unstable = StableDR().terms(batch_of(weight), Outputs(VALUES, "logit"))["stability"].value
    imputed = entropy(RATE, IMPUTED)
    stable = 3**0.5 * (1 - torch.tensor([2.0, 4.0, 0.0])) * (imputed - (weight * imputed).sum() / weight.sum())
    assert unstable.tolist() == pytest.approx(stable.tolist(), rel=1e-4, abs=1e-6)


def squared_ratio(chance_logit: Tensor, objective: AbstractObjective, weight: Tensor) -> Tensor:
    """The constraint's loss on a batch, written down directly: weight * (weighted mean)^2."""
    chance = torch.sigmoid(chance_logit)
    if isinstance(objective, StableDR):
        imputed = entropy(RATE, IMPUTED)
        rows = (1 - OBSERVED / chance) * (imputed - (weight * imputed).sum() / weight.sum())
        return objective.stability * (weight * rows).sum() ** 2 / len(rows)
    assert isinstance(objective, IPSV2 | DRV2)
    return objective.balance * (weight * (OBSERVED / chance - (1 - OBSERVED) / (1 - chance)) * RATE).mean() ** 2


@pytest.mark.parametrize("objective", [IPSV2(balance=0.3), DRV2(balance=0.3), StableDR(stability=0.7)])
def test_a_squared_term_is_reduced_to_the_square_of_the_weighted_mean(objective: AbstractObjective) -> None:
    weight = torch.tensor([0.4, 0.4, 2.2])
    networks = {r: RoleNetwork(MF(EncoderInputs(3, 3, (), Path(), Path()), width=2), Dot(1)) for r in objective.roles}
    module = CausalRecModule(CausalModel(networks, "logit"), objective, AdamW())
    values = {role: raw.clone().requires_grad_() for role, raw in VALUES.items()}
    batch, same = batch_of(weight), VALUES[PROPENSITY].clone().requires_grad_()
    squared = [term for term in objective.terms(batch, Outputs(values, "logit")).values() if term.squared]
    assert len(squared) == 1
    loss, expected = module.reduce(squared[0], batch), squared_ratio(same, objective, weight)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    loss.backward()
    expected.backward()
    assert values[PROPENSITY].grad is not None and same.grad is not None
    torch.testing.assert_close(values[PROPENSITY].grad, same.grad, rtol=1e-4, atol=1e-6)
