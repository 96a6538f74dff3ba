"""SuperDR: worked numbers, the covariance that its scalar zeroes, and the bias of its value that no gradient sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.super_dr import FLUCTUATION, SuperDR
from causalrec.types import IMPUTATION, OUTCOME, Batch, Outputs, Term
from tests.estimators.test_dr_family import HAND, LABEL, OBSERVED, PROPENSITY, VALUES, batch_of, terms_of

SUPER = SuperDR(clip=0.0)
LEVER = OBSERVED - PROPENSITY  # .5, .75, -.2, .9


def super_terms(
    epsilon: Tensor, batch: Batch = HAND, values: Mapping[str, Tensor] = VALUES, objective: SuperDR = SUPER
) -> Mapping[str, Term]:
    outputs = Outputs(values, "identity", parameters={FLUCTUATION: {"epsilon": epsilon}})  # type: ignore[arg-type]
    return objective.terms(batch, outputs)


def test_super_dr_by_hand() -> None:
    terms = super_terms(torch.tensor([2.0]))
    moved = [1 + 1, 0 + 1.5, 1 - 0.4, 9 + 1.8]  # e_hat + 2 (o - p)
    expected = [moved[0] + 2 * (4 - moved[0]), moved[1] - 4 * moved[1], moved[2], moved[3] + 10 * (4 - moved[3])]
    assert terms["outcome"].value.tolist() == pytest.approx(expected, rel=1e-5)
    squares = [2 * 2**2, 4 * 1.5**2, 0, 10 * 6.8**2]
    for name in ("imputation", "fluctuation"):
        assert terms[name].value.tolist() == pytest.approx(squares, rel=1e-5)
    assert [terms[name].trains for name in ("imputation", "fluctuation")] == [IMPUTATION, FLUCTUATION]


def test_with_a_scalar_of_zero_it_is_dr_jl() -> None:
    terms, joint = super_terms(torch.zeros(1)), terms_of(DRJL(clip=0.0))
    for name in joint:
        torch.testing.assert_close(terms[name].value, joint[name].value)
    moved = super_terms(torch.ones(1))["outcome"].value
    assert not torch.allclose(moved, joint["outcome"].value)


def test_at_the_minimum_the_observed_covariance_is_zero() -> None:
    epsilon = torch.zeros(1, requires_grad=True)
    misses = torch.tensor([3.0, 0.0, 0.0, -5.0])
    best = float((misses * LEVER / PROPENSITY).sum() / (OBSERVED * LEVER.square() / PROPENSITY).sum())
    for _ in range(200):
        (slope,) = torch.autograd.grad(super_terms(epsilon)["fluctuation"].value.sum(), epsilon)
        epsilon = (epsilon - 0.02 * slope).detach().requires_grad_()
    assert float(epsilon.detach()) == pytest.approx(best, rel=1e-4)
    covariance = (OBSERVED * (misses - epsilon * LEVER) * (1 - PROPENSITY) / PROPENSITY).sum()
    assert float(covariance.detach()) == pytest.approx(0, abs=1e-3)
    assert float((OBSERVED * misses * (1 - PROPENSITY) / PROPENSITY).sum()) < -40, "and at 0 it is not"


def expected_over_exposure(epsilon: float, propensity: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over exposure, by PROPENSITY, of the outcome's value and gradient where `propensity` is read."""
    raw = VALUES[OUTCOME].clone().requires_grad_()
    values = {OUTCOME: raw, IMPUTATION: VALUES[IMPUTATION]}
    exposed, hidden = (batch_of(LABEL * o, torch.full((4,), o), propensity) for o in (1.0, 0.0))
    seen, unseen = (super_terms(torch.tensor([epsilon]), b, values)["outcome"].value for b in (exposed, hidden))
    value = PROPENSITY * seen + (1 - PROPENSITY) * unseen
    (gradient,) = torch.autograd.grad(value.sum(), raw)
    return value.detach(), gradient


@pytest.mark.parametrize("epsilon", [0.0, 1.5])
def test_the_value_is_biased_by_the_scalar_and_the_gradient_is_not(epsilon: float) -> None:
    value, gradient = expected_over_exposure(epsilon, PROPENSITY)
    error, slope = (VALUES[OUTCOME] - LABEL).square(), 2 * (VALUES[OUTCOME] - LABEL)
    torch.testing.assert_close(value, error - epsilon * (1 - PROPENSITY), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient, slope, rtol=1e-4, atol=1e-4)
    _, wrong = expected_over_exposure(epsilon, 0.5 * PROPENSITY)
    assert not torch.allclose(wrong, slope, atol=0.1), "wrong propensities and imputed labels: nothing saves it"


def test_the_clip_bounds_the_propensity_wherever_it_stands() -> None:
    clipped = super_terms(torch.ones(1), objective=replace(SUPER, clip=0.25))
    raised = replace(HAND, propensity=PROPENSITY.clamp_min(0.25))
    for name, term in super_terms(torch.ones(1), raised).items():
        assert torch.equal(clipped[name].value, term.value)
