"""DCE: experts by hand and on miscalibrated log-odds, the special case without them, and fits side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from causalrec.errors import RequestError
from causalrec.estimators.calibration_experts import CalibrationExperts, fit_experts
from causalrec.estimators.doubly_calibrated import AbstractDoublyCalibrated
from causalrec.estimators.objective.dce_dr import DCEDR
from causalrec.estimators.objective.dce_tdr import DCETDR
from causalrec.estimators.objective.multi_dr import MultiDR
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import StackedTrainer, fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Outputs
from tests.estimators.test_learned_propensity import CHANCE, IMPUTED, OUTCOMES, RATE, VALUES, batch_of, entropy
from tests.training.test_stacked import largest, task

USER = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
VECTORS = dict.fromkeys((OUTCOME, IMPUTATION, PROPENSITY), (USER, USER))
HALVED = CalibrationExperts(torch.full((1,), 0.5), torch.zeros(1), torch.zeros(1, 2), torch.zeros(1), torch.ones(1))
LOGIT_9 = torch.logit(torch.tensor(0.9)).item()  # half of it is the logit of 3/4


def outputs_of(buffers: dict[str, Tensor] | None = None, values: Any = VALUES) -> Outputs:
    return Outputs(values, "logit", VECTORS, buffers=buffers or {})


def test_a_mixture_by_hand() -> None:
    two = CalibrationExperts(
        torch.tensor([1.0, 0.5]), torch.tensor([0.0, 0.0]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.zeros(2),
        torch.tensor([0.5]),
    )  # fmt: skip
    second = torch.sigmoid(torch.tensor(2.0)).item()  # of a user whose preference is 1 at temperature 1/2
    logit = torch.full((3,), LOGIT_9)
    expected = [0.9 + second * (0.75 - 0.9), 0.5 * (0.9 + 0.75), 0.5 * (0.9 + 0.75)]
    assert two.probability(logit, USER).tolist() == pytest.approx(expected, rel=1e-6)
    stacked = CalibrationExperts(*(torch.stack([value, value]) for value in vars(two).values()))
    both = stacked.probability(logit.expand(2, 3), USER.expand(2, 3, 2))
    assert both.tolist() == [pytest.approx(expected, rel=1e-6)] * 2


def sample_log_odds(rows: int, factor: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-odds that are `factor` too large, users' vectors, true chances, and labels."""
    draw = torch.Generator().manual_seed(0)
    logit, user = (torch.randn(rows, *more, generator=draw).double() for more in ((), (2,)))
    chance = torch.sigmoid(logit - 1.5)
    label = (torch.rand(rows, generator=draw) < chance).double()
    return factor * (logit - 1.5), user, chance, label


@pytest.mark.parametrize("factor", [3.0, 0.4])
def test_log_odds_that_are_scaled_are_calibrated_on_rows_that_were_not_fitted_on(factor: float) -> None:
    logit, user, chance, label = sample_log_odds(8000, factor)
    half, rest = slice(0, 4000), slice(4000, None)
    start = CalibrationExperts.start(5, user, torch.Generator().manual_seed(1))
    before = (start.probability(logit[rest], user[rest]) - chance[rest]).abs().mean()
    fitted = fit_experts(
        start, logit[half], user[half], label[half], torch.ones(4000), temperature=1.0, steps=10, decay=7e-4
    )
    after = (fitted.probability(logit[rest], user[rest]) - chance[rest]).abs().mean()
    assert before > 0.08 and after < 0.02
    blind = fit_experts(start, logit, user, label, torch.ones(8000), temperature=1.0, steps=0, decay=7e-4)
    torch.testing.assert_close(blind.probability(logit, user), start.probability(logit, user))


def test_each_user_has_the_experts_that_suit() -> None:
    logit, user, _, _ = sample_log_odds(4000, 1.0)
    chance = torch.sigmoid(logit / torch.where(user[:, 0] > 0, 3.0, 1.0))  # of half of the users they are too large
    label = (torch.rand(4000, generator=torch.Generator().manual_seed(2)) < chance).double()
    errors = []
    for count in (1, 5):
        start = CalibrationExperts.start(count, user, torch.Generator().manual_seed(1))
        fitted = fit_experts(start, logit, user, label, torch.ones(4000), temperature=1.0, steps=40, decay=1e-4)
        errors.append((fitted.probability(logit, user) - chance).abs().mean())
    assert errors[1] < 0.5 * errors[0]


def test_weights_decide_what_experts_are_calibrated_to() -> None:
    logit, user, _, label = sample_log_odds(2000, 3.0)
    start, weight = CalibrationExperts.start(5, user, torch.Generator().manual_seed(1)), 1 + 8 * label
    fitted = fit_experts(start, logit, user, label, weight, temperature=1.0, steps=40, decay=1e-4)
    mean = float((weight * fitted.probability(logit, user)).sum() / weight.sum())
    assert mean == pytest.approx(float((weight * label).sum() / weight.sum()), abs=0.01)
    assert mean > float(label.mean()) + 0.3


def test_terms_by_hand() -> None:
    terms = DCEDR(clip=0.0).terms(batch_of(), outputs_of(HALVED.buffers(PROPENSITY) | HALVED.buffers(IMPUTATION)))
    chance, label = (torch.sigmoid(0.5 * torch.logit(value)) for value in (CHANCE, IMPUTED))
    inverse = torch.tensor([1.0, 1.0, 0.0]) / chance
    error, imputed, before = entropy(RATE, OUTCOMES), entropy(RATE, label), entropy(RATE, IMPUTED)
    torch.testing.assert_close(terms["outcome"].value, imputed + (error - imputed) * inverse)
    torch.testing.assert_close(terms["imputation"].value, (error - before).square() * inverse)  # before calibration


def test_public_code_subtracts_imputed_errors_without_their_weight() -> None:
    terms = DCEDR(clip=0.0, legacy_public_code=True).terms(batch_of(), outputs_of())
    error, imputed = entropy(RATE, OUTCOMES), entropy(RATE, IMPUTED)
    inverse, observed = torch.tensor([2.0, 4.0, 0.0]), torch.tensor([1.0, 1.0, 0.0])
    torch.testing.assert_close(terms["observed"].value, error * inverse - imputed * observed)
    assert not DCEDR(legacy_public_code=True).claimed


def test_without_experts_it_is_joint_learning_by_a_learnt_propensity() -> None:
    base = MultiDR(clip=0.0).terms(batch_of(), outputs_of())
    objective = DCEDR(clip=0.0, steps=0)
    rows = replace(batch_of(), propensity=CHANCE)
    fitted = objective.between_epochs(rows, outputs_of(), 0, torch.Generator().manual_seed(0))
    for buffers in ({}, dict(fitted)):
        terms = objective.terms(batch_of(), outputs_of(buffers))
        assert set(terms) == set(base)
        for name, term in terms.items():
            torch.testing.assert_close(term.value, base[name].value)


def test_the_targeted_form_cancels_the_weighted_misses_of_observed_rows() -> None:
    buffers = HALVED.buffers(PROPENSITY) | HALVED.buffers(IMPUTATION)
    chance, label = (torch.sigmoid(0.5 * torch.logit(value)) for value in (CHANCE, IMPUTED))
    value = DCETDR(clip=0.0).terms(batch_of(), outputs_of(buffers))["outcome"].value
    error, imputed, lever = entropy(RATE, OUTCOMES), entropy(RATE, label), 1 / chance - 1
    epsilon = ((error - imputed) * lever)[:2].sum() / lever[:2].square().sum()
    moved, observed = imputed + epsilon * lever, torch.tensor([1.0, 1.0, 0.0])
    torch.testing.assert_close(value, moved + observed * (error - moved) / chance)


def test_the_gate_cools_with_the_epochs_and_experts_go_on_from_where_they_were() -> None:
    objective, generator = DCEDR(cooling_epochs=3), torch.Generator().manual_seed(0)
    rows, buffers, warmth = replace(batch_of(), propensity=CHANCE), {}, []
    for epoch in (0, 1, 3, 9):
        buffers = dict(objective.between_epochs(rows, outputs_of(buffers), epoch, generator))
        warmth.append(float(buffers["propensity_temperature"]))
    assert warmth == pytest.approx([1, 0.1, 0.001, 0.001], rel=1e-5)
    gate = buffers["propensity_gate"]
    again = replace(objective, steps=0).between_epochs(rows, outputs_of(buffers), 9, generator)
    assert torch.equal(again["propensity_gate"], gate)


@pytest.mark.parametrize("kind", [DCEDR, DCETDR])
def test_a_stack_gives_what_each_gives_alone_and_goes_on_to_the_same_bits(
    kind: type[AbstractDoublyCalibrated], tmp_path: Path
) -> None:
    settings: list[AbstractDoublyCalibrated] = [kind(held_out=0.2), kind(held_out=0.2, decay=0.1)]
    trainer = TrainerSettings(progress=False, max_epochs=3, patience=9, precision="64-true")
    requests = [task(tmp_path / str(k), each, trainer=trainer).with_held_out() for k, each in enumerate(settings)]
    assert reason_to_fit_alone(requests[0]) is None
    fits = fit_stacked(requests, lambda size: 9)
    for request, stacked in zip(requests, fits, strict=True):
        assert largest(stacked.state, request.fit().state) < 1e-8
    assert fits[0].criterion != fits[1].criterion, "the decay of experts makes a difference"
    uncut, cut, resumed = (StackedTrainer(requests) for _ in range(3))
    uncut.epoch(), cut.epoch()
    resumed.load(cut.state())
    uncut.epoch(), resumed.epoch()
    torch.testing.assert_close(resumed.buffers, uncut.buffers, rtol=0, atol=0)


def test_a_share_that_holds_out_no_row_is_refused_by_name(tmp_path: Path) -> None:
    request = task(tmp_path, DCEDR(held_out=0.001))
    with pytest.raises(
        RequestError, match=r"^objective=dce_dr: fits between epochs on objective.held_out=0.001 of 95 "
    ):
        request.with_held_out("objective=dce_dr")
