"""Kernel balancing: kernels, coefficients and moments by hand, and weights that are right where kernels span errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from causalrec.errors import RequestError
from causalrec.estimators.certificate.certificate import certify
from causalrec.estimators.certificate.claims import Effort
from causalrec.estimators.kernel_balance import kernel_values, moment_hinges, pair_features
from causalrec.estimators.objective.akbdr import AKBDR
from causalrec.estimators.objective.akbips import AKBIPS
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.ips import IPS
from causalrec.estimators.objective.kbdr import KBDR
from causalrec.estimators.objective.kbips import KBIPS
from causalrec.estimators.objective.kernel_weighted import AbstractKernelWeighted
from causalrec.types import IMPUTATION, OUTCOME, WEIGHT, Batch, Outputs, Role, Term

ALL = (KBIPS(), AKBIPS(), KBDR(), AKBDR())
OBSERVED = torch.tensor([1.0, 1.0, 0.0, 0.0])
PROPENSITY = torch.tensor([0.5, 0.25, float("nan"), float("nan")])
SHARE = torch.tensor([0.5, 0.5, 0.5, 0.5])  # sigmoid of the weight network: v is 1 and 2
USER = torch.tensor([[0.0], [1.0], [4.0], [4.0]])
ITEM = torch.tensor([[7.0], [7.0], [7.0], [7.0]])  # the same everywhere
VALUES = {
    OUTCOME: torch.tensor([2.0, 1.0, 0.0, 0.0]),  # errors 4, 1 on outcomes of 0
    IMPUTATION: torch.tensor([1.0, 1.0, 1.0, 2.0]),  # imputed errors 1, 0, 1, 4
    WEIGHT: torch.logit(SHARE),
}


def outputs_of(values: Mapping[Role, Tensor] = VALUES, user: Tensor = USER, item: Tensor = ITEM) -> Outputs:
    return Outputs(dict(values), "identity", {OUTCOME: (user, item)})


def batch_of(observed: Tensor = OBSERVED, propensity: Tensor = PROPENSITY, weight: Tensor | None = None) -> Batch:
    ids, unit = torch.arange(len(observed)), torch.ones(len(observed))
    return Batch(
        item=ids, treatment=observed.long(), outcome=torch.zeros(len(observed)), observed=observed,
        propensity=propensity, weight=unit if weight is None else weight, features=unit[:, None], user=ids,
    )  # fmt: skip


def terms_of(objective: AbstractObjective) -> dict[str, Term]:
    return dict(objective.terms(batch_of(), outputs_of()))


def loss_of(term: Term, weight: Tensor | None = None) -> float:
    unit = torch.ones(4) if weight is None else weight
    return float(
        (unit * term.value).sum() / (unit.sum() if term.normaliser is None else (unit * term.normaliser).sum())
    )


def test_features_are_moved_to_0_and_1_and_a_constant_to_0() -> None:
    assert pair_features(outputs_of()).tolist() == [[0, 0.25, 1, 1], [0, 0, 0, 0]]
    assert pair_features(outputs_of(), scaled=False).tolist() == [[0, 0.5, 2, 2], [3.5, 3.5, 3.5, 3.5]]


@pytest.mark.parametrize("objective", [KBIPS(), AKBIPS()])
def test_weighted_errors_and_the_entropy_by_hand(objective: AbstractObjective) -> None:
    terms = terms_of(objective)
    assert terms["outcome"].value.tolist() == [4, 2, 0, 0] and loss_of(terms["outcome"]) == 3
    assert terms["entropy"].value.tolist() == pytest.approx([0, 2 * math.log(2), 0, 0])
    assert loss_of(terms["entropy"]) == pytest.approx(math.log(2))


@pytest.mark.parametrize("objective", [KBDR(), AKBDR()])
def test_both_errors_of_the_residual_are_weighted(objective: AbstractKernelWeighted) -> None:
    terms = terms_of(objective)
    assert terms["outcome"].value.tolist() == [1, 0, 1, 4]
    assert terms["observed"].value.tolist() == [3, 2, 0, 0]  # v (e - e_hat): 1 * 3, 2 * 1
    assert terms["imputation"].value.tolist() == [9, 2, 0, 0] and loss_of(terms["imputation"]) == 5.5
    legacy = terms_of(replace(objective, legacy_public_code=True))
    assert legacy["observed"].value.tolist() == [3, 2, 0, 0], "as e_hat is 0 where v is not 1"
    shifted = replace(outputs_of(), values={**VALUES, IMPUTATION: torch.tensor([1.0, 3.0, 1.0, 2.0])})  # e_hat 1, 4
    other = replace(objective, legacy_public_code=True).terms(batch_of(), shifted)["observed"].value
    assert other.tolist() == [3, -2, 0, 0]  # 2 * 1 - 4, where the weighted residual is 2 * (1 - 4)


def test_the_hinges_of_random_centres_by_hand() -> None:
    kernel = torch.exp(-0.1 * (torch.tensor([0.0, 0.25, 1.0, 1.0])[:, None] - torch.tensor([1.0, 1.0])).square())
    gap = kernel.mean(0) - (kernel[0] + 2 * kernel[1]) / 2  # of each of the two last pairs
    terms = terms_of(KBIPS(centres=2, tolerance=0.1, balance=3.0))
    assert loss_of(terms["balance"]) == pytest.approx(3 * float((gap.abs() - 0.1).sum()), rel=1e-5)
    assert terms["balance"].trains == WEIGHT
    close = terms_of(KBIPS(centres=2, tolerance=0.6))["balance"].value
    assert close.tolist() == [0, 0, 0, 0], "within the tolerance"


def test_the_hinges_weigh_rows_by_what_they_stand_for() -> None:
    weight = torch.tensor([0.5, 0.5, 1.0, 2.0])
    value = KBIPS(centres=1, tolerance=0.0).terms(batch_of(weight=weight), outputs_of())["balance"]
    kernel = torch.exp(-0.1 * (torch.tensor([0.0, 0.25, 1.0, 1.0]) - 1).square())
    gap = (weight * kernel).sum() / 4 - (0.5 * kernel[0] + 0.5 * 2 * kernel[1]) / 1
    assert loss_of(value, weight) == pytest.approx(float(gap.abs()), rel=1e-5)


def test_moments_of_opposite_sign_cancel_in_public_code_alone() -> None:
    kernels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # one pair observed, one not: gaps 1/2 - 1 and 1/2
    rows = (torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]), torch.ones(2), 0.0)
    assert float(moment_hinges(kernels, *rows, summed=False).mean()) == 1
    assert float(moment_hinges(kernels, *rows, summed=True).mean()) == 0


def test_adaptive_centres_are_those_that_the_error_needs() -> None:
    """The error is one kernel itself: its centre is chosen among five, which random centres would not."""
    user = torch.tensor([[0.0], [1.0], [3.0], [4.0], [6.0], [8.0]])
    outputs = outputs_of({role: torch.zeros(6) for role in VALUES}, user, torch.zeros(6, 1))
    features, unit = pair_features(outputs), torch.ones(6)
    objective = AKBIPS(centres=1, candidates=5, bandwidth=20.0, ridge=1e-6)
    batch = batch_of(unit, 0.5 * unit)
    for centre in (1, 3, 5):
        expected = kernel_values(features, features[:, [centre]], "gaussian", 20.0)
        torch.testing.assert_close(objective.kernels(features, batch, 2 * expected[0]), expected)


@pytest.mark.parametrize("objective", ALL)
def test_no_moment_and_a_constant_network_give_the_base_objective(objective: AbstractKernelWeighted) -> None:
    """With the network at the logged share, v / mean v is the inverse propensity over all pairs."""
    terms = terms_of(replace(objective, balance=0.0))
    assert not terms["balance"].value.any()
    is_robust = IMPUTATION in objective.roles
    base = (DRJL if is_robust else IPS)(clip=objective.clip).terms(batch_of(), outputs_of())["outcome"]
    estimate = loss_of(terms["outcome"]) + (loss_of(terms["observed"]) if is_robust else 0)
    assert estimate == pytest.approx(float(base.value.mean()))


def balanced_weights(kernels: Tensor, observed: Tensor, propensity: Tensor, balance: float) -> Tensor:
    """Train the weight network alone, of one parameter a pair, from proportional weights."""
    raw = torch.full_like(observed, float(torch.logit(observed.mean()))).requires_grad_()
    inverse, optimizer = observed / propensity, torch.optim.Adam([raw], lr=0.03)
    for _ in range(200):
        weight = torch.sigmoid(raw) * inverse
        hinges = moment_hinges(kernels, observed, weight, torch.ones_like(observed), 1e-3, summed=False)
        positive = torch.where(observed > 0, weight, 1.0)
        loss = (positive * positive.log()).sum() / observed.sum() + balance * hinges.mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (torch.sigmoid(raw) * inverse).detach()


def test_balanced_weights_are_right_where_kernels_span_the_error_though_the_propensity_is_wrong() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(1, 3000, generator=generator)
    bumps = torch.sin(40 * x[0])
    observed = (torch.rand(3000, generator=generator) < 0.2 + 0.5 * x[0] + 0.15 * bumps).float()
    wrong = torch.full((3000,), 0.4)
    kernels = kernel_values(x, torch.tensor([[0.1, 0.5, 0.9]]), "gaussian", 4.0)
    spanned = kernels.T @ torch.tensor([1.0, -2.0, 3.0])
    balanced, plain = (balanced_weights(kernels, observed, wrong, balance) for balance in (20.0, 0.0))

    def misses(error: Tensor, weight: Tensor) -> float:
        return abs(float((observed * weight * error).sum() / observed.sum() - error.mean()))

    assert misses(spanned, balanced) < 0.03 < 0.15 < misses(spanned, plain)
    assert misses(bumps, balanced) > 0.1, "what no kernel spans stays biased"


def test_fewer_candidates_than_centres_are_refused() -> None:
    with pytest.raises(RequestError, match=r"objective.candidates=2: are fewer pairs than objective.centres=3"):
        AKBIPS(candidates=2)


def test_a_kernel_without_spread_is_warned_of_with_the_spread() -> None:
    user = torch.rand(50, 4, generator=torch.Generator().manual_seed(0))
    outputs = outputs_of({}, user, user.flip(0))
    batch = batch_of(torch.zeros(50), torch.ones(50))
    assert KBIPS().fit_warnings(batch, outputs) == ()
    (line,) = KBIPS(bandwidth=1e-4).fit_warnings(batch, outputs)
    assert "its standard deviation over them is 5" in line and "below 0.01" in line and "bandwidth=0.0001" in line
    (alike,) = KBDR().fit_warnings(batch, outputs_of({}, torch.ones(50, 4), torch.ones(50, 4)))
    assert "its standard deviation over them is 0, below" in alike
    assert len(KBDR(legacy_public_code=True).fit_warnings(batch, outputs)) == 1, "public code scales nothing"


@dataclass(frozen=True, kw_only=True)
class Claiming(KBDR):
    """Public code that claims what the estimator does."""

    @property
    def claimed(self) -> frozenset[Claim]:
        return self.claims


@dataclass(frozen=True, kw_only=True)
class Detached(KBIPS):
    """Public code that reads its weights through a detached call: their network is never trained."""

    def _weight(self, batch: Batch, outputs: Outputs) -> Tensor:
        return super()._weight(batch, outputs).detach()


@pytest.mark.parametrize(
    ("objective", "flags"),
    [
        (Claiming(legacy_public_code=True), {"consistent", "doubly robust, imputed labels wrong"}),
        (Detached(), {"each term reaches its role alone"}),
    ],
)
def test_defects_of_public_code_are_flagged(objective: AbstractObjective, flags: set[str]) -> None:
    effort = Effort(users=20, draws=40, small_users=10, growing_draws=100, epochs=10)
    assert {check.name for check in certify(objective, "planted", effort=effort).failures} == flags
