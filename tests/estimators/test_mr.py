"""Multiple robustness: the number by hand, each of four models right in turn, linear combinations, the gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import starmap

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from causalrec.estimators.objective.eib import EIB
from causalrec.estimators.objective.mr import IMPUTATIONS, MR, PROPENSITIES, multiple_robust
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs

PAIRS, DRAWS = 1500, 250
Estimate = Callable[[Tensor, Tensor], Tensor]


def batch_of(outcome: Tensor, observed: Tensor) -> Batch:
    unit = torch.ones_like(observed)
    return Batch(unit, unit, outcome * observed, observed, unit, unit, unit[..., None])


def outputs_of(raw: Tensor, chances: list[Tensor], labels: list[Tensor], link: Link = "logit") -> Outputs:
    """Outputs of an outcome, two propensity and two imputation networks (raw values of the last)."""
    networks = dict(zip((*PROPENSITIES, *IMPUTATIONS), (*map(torch.logit, chances), *labels), strict=True))
    return Outputs({OUTCOME: raw, **networks}, link)


def test_the_fit_of_two_observed_rows_is_read_at_a_third() -> None:
    """2 a + b = 3 and 2 a + 2 b = 5: a = 0.5, b = 2; at u = (4, 3) that is 8."""
    u, error = torch.tensor([[2.0, 2.0, 4.0], [1.0, 2.0, 3.0]]), torch.tensor([3.0, 5.0, 0.0])
    batch = batch_of(torch.zeros(3), torch.tensor([1.0, 1.0, 0.0]))
    assert float(multiple_robust(error, u, batch, 1e-12).mean()) == pytest.approx((3 + 5 + 8) / 3)


def test_the_terms_by_hand() -> None:
    """Inverse propensities 2 and 4 (constant columns), imputed errors (y - label)^2 that the errors equal."""
    raw, outcome = torch.tensor([0.0, 0.0, 0.0]), torch.tensor([1.0, 2.0, 0.0])
    chances = [torch.full((3,), 0.5), torch.tensor([0.25, 0.25, 0.5])]
    labels = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 1.0])]
    batch = batch_of(outcome, torch.tensor([1.0, 1.0, 0.0]))
    terms = MR(clip=0.0, ridge=1e-9).terms(batch, outputs_of(raw, chances, labels, "identity"))
    assert float(terms["outcome"].value[:2].sum()) == pytest.approx(1 + 4, rel=1e-5)
    assert terms["propensity[1]"].value[0] == pytest.approx(-torch.log(torch.tensor(0.25)))
    assert terms["imputation[0]"].value.tolist() == [0, 0, 0]
    assert terms["imputation[1]"].value.tolist() == [0, 9, 0]  # (4 - 1)^2
    assert {name: term.trains for name, term in terms.items() if name != "outcome"} == {
        str(role): role for role in (*PROPENSITIES, *IMPUTATIONS)
    }


def test_an_imputation_without_a_miss_makes_it_error_imputation() -> None:
    generator = torch.Generator().manual_seed(0)
    raw, label, other, outcome = torch.randn(4, 200, generator=generator).double()
    observed = (torch.rand(200, generator=generator) < 0.3).double()
    label = torch.where(observed > 0, outcome, label)
    outputs = outputs_of(raw, [torch.full((200,), 0.4).double(), raw.sigmoid()], [label, other], "identity")
    mine = MR(clip=0.0).terms(batch_of(outcome, observed), outputs)["outcome"].value.mean()
    case = EIB().terms(batch_of(outcome, observed), Outputs({OUTCOME: raw, IMPUTATION: label}, "identity"))
    assert float(mine) == pytest.approx(float(case["outcome"].value.mean()), rel=1e-4)


# --- each model right in turn


class Truth:
    """Pairs whose means and chances of exposure are known, with two wrong models of each."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(5)
        score, *noise = torch.randn(4, PAIRS, generator=generator, dtype=torch.float64)
        self.rate, self.chance = torch.sigmoid(1.5 * score), torch.sigmoid(1.1 * score - 1).clamp(0.12, 0.9)
        self.raw = 0.5 * noise[0] - 0.8
        self.wrong_chances = [torch.sigmoid(0.5 * noise[k] - 1) for k in (1, 2)]
        self.wrong_rates = [torch.sigmoid(-0.7 * score + 0.5 * noise[1]), torch.sigmoid(noise[2] - 1)]
        sign = torch.sign(noise[2])
        inverse, spread = 1 / self.chance, 0.8 * sign
        self.half_chances = [1 / (1 + (inverse - 1) * (1 + each)) for each in (spread, -spread)]
        room = 0.8 * torch.minimum(self.rate, 1 - self.rate) * sign
        self.half_rates = [self.rate + room, self.rate - room]
        self.hit = (torch.rand(DRAWS, PAIRS, generator=generator) < self.chance).double()
        self.outcome = (torch.rand(DRAWS, PAIRS, generator=generator) < self.rate).double()


@cache
def truth() -> Truth:
    return Truth()


def distance(values: Tensor, target: float) -> float:
    """How many standard errors the mean of the draws lies from a target."""
    return abs(float((values.mean() - target) / (values.std() / len(values) ** 0.5)))


def models(kind: str) -> tuple[list[Tensor], list[Tensor]]:
    """Propensities and mean outcomes of which the named one is right."""
    t, wrong = truth(), truth().wrong_chances
    cases = {
        "first propensity": ([t.chance, wrong[1]], t.wrong_rates),
        "second propensity": ([wrong[0], t.chance], t.wrong_rates),
        "first imputation": (wrong, [t.rate, t.wrong_rates[1]]),
        "second imputation": (wrong, [t.wrong_rates[0], t.rate]),
        "mean of the inverse propensities": (t.half_chances, t.wrong_rates),
        "mean of the imputations": (wrong, t.half_rates),
        "none": (wrong, t.wrong_rates),
    }
    return cases[kind]


def estimates(kind: str) -> Tensor:
    chances, rates = models(kind)
    outputs = outputs_of(truth().raw, chances, [*map(torch.logit, rates)])

    def estimate(outcome: Tensor, observed: Tensor) -> Tensor:
        return MR(clip=0.0).terms(batch_of(outcome, observed), outputs)["outcome"].value.mean()

    return vmap(estimate)(truth().outcome, truth().hit)


@pytest.mark.parametrize("kind", ["first propensity", "second propensity", "first imputation", "second imputation"])
def test_any_of_four_models_makes_it_right(kind: str) -> None:
    assert distance(estimates(kind), ideal()) < 4


@pytest.mark.parametrize("kind", ["mean of the inverse propensities", "mean of the imputations"])
def test_a_linear_combination_of_wrong_models_makes_it_right(kind: str) -> None:
    assert distance(estimates(kind), ideal()) < 4


def test_it_is_wrong_where_all_four_are() -> None:
    assert distance(estimates("none"), ideal()) > 20


def ideal() -> float:
    return float(pointwise_error(truth().raw, truth().rate, "logit").mean())


def test_labels_among_the_errors_are_caught() -> None:
    """Third-party code of Cali-MR regresses on imputed labels: then a right imputation makes nothing right."""
    t, (chances, rates) = truth(), models("first imputation")
    u = torch.stack([*(1 / chance for chance in chances), *rates])

    def estimate(outcome: Tensor, observed: Tensor) -> Tensor:
        error = pointwise_error(t.raw, outcome, "logit")
        return multiple_robust(error, u, batch_of(outcome, observed), 1e-6).mean()

    assert distance(vmap(estimate)(t.outcome, t.hit), ideal()) > 6


# --- the gradient


def direct(error: Tensor, u: Tensor, observed: Tensor, ridge: float = 1e-6) -> Tensor:
    """The loss as it is written, `mean_D u' eta`, for autograd to go through all of it."""
    outer = (observed * u) @ u.T + ridge * observed.sum() * torch.eye(len(u)).double()
    return torch.linalg.solve(outer, u @ (observed * error)) @ u.mean(-1)


def test_its_gradient_is_that_of_the_loss_through_the_regression() -> None:
    t, leaves = truth(), [truth().raw.clone().requires_grad_() for _ in range(2)]
    batch = batch_of(t.outcome[0], t.hit[0])
    losses = [multiple_robust(*errors_of(leaves[0]), batch, 1e-6).mean(), direct(*errors_of(leaves[1]), t.hit[0])]
    values = [float(each.detach()) for each in losses]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    mine, exact = (torch.autograd.grad(*pair)[0] for pair in zip(losses, leaves, strict=True))
    torch.testing.assert_close(mine, exact, rtol=1e-7, atol=1e-10)


def errors_of(raw: Tensor, outcome: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The errors, and u with one right imputation among wrong models."""
    t = truth()
    chances, rates = models("first imputation")
    imputed = [pointwise_error(raw, rate, "logit") for rate in rates]
    error = pointwise_error(raw, t.outcome[0] if outcome is None else outcome, "logit")
    return error, torch.stack([*(1 / chance for chance in chances), *imputed])


@pytest.mark.parametrize(("detached", "right"), [(False, True), (True, False)])
def test_a_gradient_through_the_error_alone_is_wrong_where_only_an_imputation_is_right(
    detached: bool, right: bool
) -> None:
    t = truth()
    slopes = list(starmap(lambda outcome, hit: slope(outcome, hit, detached), zip(t.outcome[:60], t.hit, strict=False)))
    assert (distance(torch.stack(slopes), float((t.raw.sigmoid() - t.rate).mean())) < 4) == right


def slope(outcome: Tensor, observed: Tensor, detached: bool) -> Tensor:
    """The loss's slope as every log-odds moves alike."""
    raw = truth().raw.clone().requires_grad_()
    error, u = errors_of(raw, outcome)
    loss = multiple_robust(error, u.detach() if detached else u, batch_of(outcome, observed), 1e-6).mean()
    return torch.autograd.grad(loss, raw)[0].sum()


# --- at the edges


@pytest.mark.parametrize("rows", [0, 1])
def test_a_batch_of_hardly_any_rows_and_models_that_are_one_model_leave_finite_losses_and_gradients(rows: int) -> None:
    raw = torch.randn(8).requires_grad_()
    chance, label = torch.full((8,), 0.1), torch.zeros(8)
    observed = (torch.arange(8) < rows).float()
    outputs = outputs_of(raw, [chance, chance], [label, label])
    value = MR().terms(batch_of(torch.ones(8), observed), outputs)["outcome"].value
    value.sum().backward()  # type: ignore[no-untyped-call]
    assert raw.grad is not None and torch.isfinite(value).all() and torch.isfinite(raw.grad).all()
    assert rows or not value.any(), "nothing was observed, and so nothing is regressed"
