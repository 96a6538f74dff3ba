"""UPO: the bins and the two sides of the adversary by hand, and what it finds that a calibration error does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from causalrec.errors import RequestError
from causalrec.estimators.objective.multi_dr import MultiDR
from causalrec.estimators.objective.upo import UPO, bin_membership
from causalrec.types import ADVERSARY, IMPUTATION, OUTCOME, PROPENSITY, Batch, Outputs, Role, Term

OBSERVED = torch.tensor([1.0, 0.0, 1.0, 0.0])
CHANCE = torch.tensor([0.2, 0.4, 0.6, 0.8])
WEIGHT = torch.tensor([0.5, -0.5, 0.5, 0.3])  # of the adversary
VALUES = {
    OUTCOME: torch.tensor([0.3, -0.2, 0.1, 0.9]),
    IMPUTATION: torch.tensor([0.1, 0.4, -0.3, 0.2]),
    PROPENSITY: torch.logit(CHANCE),
    ADVERSARY: torch.atanh(WEIGHT),
}


def batch_of(observed: Tensor, weight: Tensor | None = None) -> Batch:
    ids, nothing = torch.arange(len(observed)), torch.full((len(observed),), float("nan"))
    unit = torch.ones(len(observed))
    return Batch(
        item=ids, treatment=observed.long(), outcome=observed, observed=observed, propensity=nothing,
        weight=unit if weight is None else weight, features=unit[:, None], user=ids,
    )  # fmt: skip


def terms_of(objective: UPO, values: dict[Role, Tensor] = VALUES, weight: Tensor | None = None) -> dict[str, Term]:
    return dict(objective.terms(batch_of(OBSERVED, weight), Outputs(values, "logit")))


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_both_sides_of_the_adversary_by_hand(binning: str) -> None:
    terms = terms_of(UPO(beta=2.0, bins=2, binning=binning))  # type: ignore[arg-type]
    # w (o - p): .5*.8, -.5*-.4 | .5*.4, .3*-.8; both binnings divide .2, .4 from .6, .8; sums .6 and -.04
    assert terms["miscalibration"].value.tolist() == pytest.approx([0.8, 0.4, -0.4, 0.48], abs=1e-6)
    assert terms["adversary"].value.tolist() == pytest.approx([-0.4, -0.2, 0.2, -0.24], abs=1e-6)
    assert (terms["miscalibration"].trains, terms["adversary"].trains) == (PROPENSITY, ADVERSARY)


def test_the_bins_meet_rows_by_what_they_stand_for() -> None:
    weight = torch.tensor([1.0, 1.0, 1.0, 5.0])
    terms = terms_of(UPO(bins=2), weight=weight)  # mass 1, 2, 3 of 8: only 0.8 reaches a half, so one bin is left
    # .4 + .2 + .2 - 5 * .24 = -.4
    assert terms["miscalibration"].value.tolist() == pytest.approx([-0.4, -0.2, -0.2, 0.24], abs=1e-6)


def test_equal_propensities_share_a_bin_and_width_leaves_bins_empty() -> None:
    p, unit = torch.tensor([0.05, 0.05, 0.05, 0.09]), torch.ones(4)
    assert bin_membership(p, unit, 2, "mass").argmax(0).tolist() == [0, 0, 0, 1]
    assert bin_membership(p, unit, 10, "width").sum(-1).tolist() == [4] + [0] * 9
    assert bin_membership(p, unit, 1, "mass").tolist() == [[1, 1, 1, 1]]


def test_the_propensity_descends_what_the_adversary_ascends() -> None:
    values = {role: raw.clone().requires_grad_() for role, raw in VALUES.items()}
    terms = terms_of(UPO(bins=2), values)
    largest = (WEIGHT * (OBSERVED - CHANCE)).view(2, 2).sum(1).abs().sum()
    for name, role, sign in (("miscalibration", PROPENSITY, 1.0), ("adversary", ADVERSARY, -1.0)):
        assert float(terms[name].value.detach().sum()) == pytest.approx(sign * float(largest), abs=1e-6)
        (slope,) = torch.autograd.grad(terms[name].value[:2].sum(), values[role])
        moved = CHANCE * (1 - CHANCE) * -WEIGHT if role == PROPENSITY else (1 - WEIGHT**2) * (OBSERVED - CHANCE)
        torch.testing.assert_close(slope[:2], (sign * moved)[:2])


def test_without_the_adversary_it_is_multi_dr() -> None:
    terms, base = terms_of(UPO(beta=0.0)), MultiDR().terms(batch_of(OBSERVED), Outputs(VALUES, "logit"))
    assert set(terms) - set(base) == {"miscalibration", "adversary"} and not terms["miscalibration"].value.any()
    assert all(torch.equal(terms[name].value, term.value) for name, term in base.items())


def test_bins_that_nothing_reads_are_refused() -> None:
    with pytest.raises(RequestError, match=r"objective.bins=5: is not read where objective.beta=0"):
        UPO(beta=0.0, bins=5)


def largest_uncalibrated(chance: Tensor, observed: Tensor, columns: Tensor, steps: int = 40) -> tuple[float, float]:
    """Train the adversary alone; return the summand it reaches, and that of w = 1, a calibration error."""
    adversary, zeros = torch.full((2,), 0.01, requires_grad=True), torch.zeros(len(chance))
    optimizer, batch, objective = torch.optim.SGD([adversary], lr=5.0), batch_of(observed), UPO()
    values = {OUTCOME: zeros, IMPUTATION: zeros, PROPENSITY: torch.logit(chance)}
    for _ in range(steps):
        optimizer.zero_grad()
        outputs = Outputs({**values, ADVERSARY: columns @ adversary}, "logit")
        objective.terms(batch, outputs)["adversary"].value.mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    reached, calibration = (
        objective.terms(batch, Outputs({**values, ADVERSARY: raw}, "logit"))["miscalibration"].value.mean()
        for raw in (columns @ adversary.detach(), torch.full_like(zeros, 20.0))
    )
    return float(reached), float(calibration)


def test_the_adversary_finds_what_a_calibrated_propensity_leaves_out_and_little_in_the_true_one() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12_000, generator=generator)
    true = torch.sigmoid(1.2 * x - 1)
    observed = (torch.rand(12_000, generator=generator) < true).float()
    columns = torch.stack([torch.ones_like(x), x], -1)
    flat = observed.mean().expand(12_000)  # calibrated: it is right on average in its one bin
    (of_true, _), (of_flat, calibration) = (largest_uncalibrated(p, observed, columns) for p in (true, flat))
    assert calibration < 1e-3 and of_true < 0.015
    assert of_flat > 0.1
