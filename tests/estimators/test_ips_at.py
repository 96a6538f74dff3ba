"""Asymmetric tri-training: its phases and turns by hand, and fits that are stacked, stopped and taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from causalrec.config.component import validate_component
from causalrec.errors import RequestError
from causalrec.estimators.objective.ips_at import IPSAT, TEACHERS
from causalrec.estimators.objective.naive import Naive
from causalrec.training.stacked.stacked_trainer import StackedTrainer, fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME, Outputs, Term
from tests.estimators.test_dr_family import HAND, LABEL, VALUES, terms_of
from tests.training.test_stacked import task

FIRST, SECOND = map(str, TEACHERS)
PREDICTED = {
    OUTCOME: VALUES[OUTCOME],  # 3, 1, 2, 0
    TEACHERS[0]: torch.tensor([1.0, 2.0, 3.0, 4.0]),
    TEACHERS[1]: torch.tensor([1.25, 2.0, 2.0, 0.0]),
}
BATCH = replace(HAND, row=torch.tensor([4, 1, -1, 2]))


def terms_at(epoch: float, objective: IPSAT | None = None) -> Mapping[str, Term]:
    outputs = Outputs(PREDICTED, "identity", buffers={"epoch": torch.tensor([epoch])})
    return (objective or IPSAT(epsilon=0.25, pretraining_epochs=2)).terms(BATCH, outputs)


def test_the_first_phase_is_naive() -> None:
    term, naive = terms_at(1)["outcome"], terms_of(Naive())["outcome"]
    assert torch.equal(term.value, naive.value)
    assert term.normaliser is not None and naive.normaliser is not None
    torch.testing.assert_close(term.normaliser, naive.normaliser)
    assert not terms_at(1)["imitation"].value.any()


def test_teachers_take_turns_with_even_and_odd_rows() -> None:
    for epoch in (0, 6):  # of either phase
        even, odd = terms_at(epoch)[FIRST], terms_at(epoch)[SECOND]
        assert even.value.tolist() == pytest.approx([0, 0, 0, 40]) and odd.value.tolist() == pytest.approx([0, 4, 0, 0])
        assert even.normaliser is not None and even.normaliser.tolist() == pytest.approx([2, 0, 0, 10], abs=1e-4)
        turned = terms_at(epoch + 1)
        assert turned[FIRST].value.tolist() == pytest.approx([0, 4, 0, 0])
        assert turned[SECOND].value.tolist() == pytest.approx([0.125, 0, 0, 40])


def test_in_the_second_phase_pairs_count_where_teachers_agree() -> None:
    terms = terms_at(2)
    assert terms["outcome"].value.tolist() == [4, 1, 0, 0]  # (3 - 1)^2 and (1 - 2)^2, against the first teacher
    assert terms["outcome"].normaliser is not None
    assert terms["outcome"].normaliser.tolist() == pytest.approx([1, 1, 0, 0], abs=1e-4)
    assert terms["imitation"].value.tolist() == [0.0625, 0, 0, 0] and terms["imitation"].trains == TEACHERS[1]
    everywhere = terms_at(2, IPSAT(epsilon=9.0, pretraining_epochs=0))["outcome"].value
    assert everywhere.tolist() == [4, 1, 1, 16], "whatever was observed"


def test_dynamic_weights_reach_the_teachers_alone() -> None:
    plain, dynamic = (terms_at(2, IPSAT(dynamic=ratio, pretraining_epochs=2)) for ratio in (None, 0.1))
    assert dynamic[FIRST].value.tolist() == pytest.approx([0, 0, 0, 4 / 0.18])
    assert torch.equal(plain["outcome"].value, dynamic["outcome"].value)


@pytest.mark.parametrize("epoch", [0.0, 7.0])
def test_each_term_reaches_the_role_that_it_trains(epoch: float) -> None:
    leaves = {role: raw.clone().requires_grad_() for role, raw in PREDICTED.items()}
    terms = IPSAT(epsilon=0.3).terms(BATCH, Outputs(leaves, "identity", buffers={"epoch": torch.tensor([epoch])}))
    for name, term in terms.items():
        slopes = torch.autograd.grad(term.value.sum(), list(leaves.values()), retain_graph=True, allow_unused=True)
        reached = {role for role, slope in zip(leaves, slopes, strict=True) if slope is not None and slope.any()}
        assert reached == (set() if name == "imitation" and epoch == 0 else {term.trains})


def test_where_teachers_are_right_so_is_the_label_and_where_not_not() -> None:
    """Unlike an unbiased estimate, it hands on what the first teacher has wrong."""
    truth = torch.tensor([1.0, 1.5, 3.0, 2.0])
    for teacher, right in ((truth, True), (truth + 1, False)):
        values = {OUTCOME: truth.clone().requires_grad_(), TEACHERS[0]: teacher, TEACHERS[1]: teacher}
        outputs = Outputs(values, "identity", buffers={"epoch": torch.tensor([9.0])})
        loss = IPSAT().terms(replace(BATCH, outcome=LABEL), outputs)["outcome"].value.sum()
        (slope,) = torch.autograd.grad(loss, values[OUTCOME])
        assert bool((slope == 0).all()) == right


def test_a_stack_gives_what_each_gives_alone_through_both_phases(tmp_path: Path) -> None:
    objectives = [IPSAT(pretraining_epochs=2, epsilon=epsilon) for epsilon in (0.1, 0.3)]
    settings = TrainerSettings(progress=False, max_epochs=4, patience=9, precision="64-true")
    requests = [task(tmp_path / str(k), each, seed=k, trainer=settings) for k, each in enumerate(objectives)]
    for request, stacked in zip(requests, fit_stacked(requests, lambda size: 8), strict=True):
        alone = request.fit()
        assert not isinstance(stacked, Exception) and alone.epochs == stacked.epochs
        for name, value in alone.state.items():
            torch.testing.assert_close(stacked.state[name].to(value), value, rtol=1e-9, atol=1e-9)


def test_a_stack_stopped_between_the_phases_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    requests = [task(tmp_path / str(k), IPSAT(pretraining_epochs=1), seed=k) for k in range(2)]
    uncut, cut = StackedTrainer(requests), StackedTrainer(requests)
    uncut.epoch(), cut.epoch()
    resumed = StackedTrainer(requests)
    resumed.load(cut.state())
    uncut.epoch(), resumed.epoch()
    for mine, other in zip(resumed.parameters, uncut.parameters, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(("setting", "value"), [("epsilon", 0), ("pretraining_epochs", -1), ("dynamic", -0.1)])
def test_settings_out_of_range_are_refused(setting: str, value: float) -> None:
    node = {"_target_": "causalrec.estimators.objective.ips_at.IPSAT", setting: value}
    with pytest.raises(RequestError, match=rf"objective\.{setting}={value}"):
        validate_component("objective", node)
