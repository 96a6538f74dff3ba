"""InvPref: errors by hand, who trains whom, assignments to environments, and environments that a simulation has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from causalrec.config.component import validate_component
from causalrec.errors import RequestError
from causalrec.estimators.objective.inv_pref import (
    CLASSIFIER,
    CONTEXT,
    ENVIRONMENT,
    Form,
    InvPref,
    aware_error,
    environment_error,
    environment_score,
)
from causalrec.estimators.objective.naive import Naive
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import StackedTrainer, fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME, Batch, EpochRows, Link, Outputs
from tests.estimators.test_dr_family import batch_of
from tests.training.test_stacked import largest, objective_of, task

RAW, LABEL = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([1.0, 4.0, 2.0])


@dataclass(frozen=True, kw_only=True)
class Collapsed(Naive):
    """Warns whatever it has fitted."""

    epoch_rows: ClassVar[EpochRows | None] = EpochRows("training")

    def between_epochs(
        self, rows: Batch, outputs: Outputs, epoch: int, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        return {"count": torch.ones(1)}

    def buffer_warnings(self, buffers: Mapping[str, Tensor]) -> tuple[str, ...]:
        return ("all is one",) if "count" in buffers else ()


USER, ITEM = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 2.0], [1.0, 1.0]])
SCALE = torch.tensor([[1.0, 1.0], [2.0, 1.0]])  # in the second environment the first factor counts twice
WEIGHTS = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
BUFFERS = {"environment": torch.tensor([0, 1, 1]), "share": torch.tensor([0.25, 0.75])}
BATCH = replace(batch_of(LABEL, torch.ones(3), torch.ones(3)), row=torch.arange(3))


def outputs_of(link: Link = "identity", buffers: dict[str, Tensor] | None = None) -> Outputs:
    vectors = {OUTCOME: (USER, ITEM), ENVIRONMENT: (USER, ITEM)}
    values = {OUTCOME: RAW, ENVIRONMENT: torch.tensor([0.5, 0.0, 1.0])}
    parameters = {CONTEXT: {"scale": SCALE}, CLASSIFIER: {"weights": WEIGHTS, "bias": torch.zeros(2)}}
    return Outputs(values, link, vectors, parameters=parameters, buffers=BUFFERS if buffers is None else buffers)


def test_terms_by_hand() -> None:
    terms = InvPref(environments=2).terms(BATCH, outputs_of())
    assert environment_score(outputs_of(), BUFFERS["environment"]).tolist() == [0.5, 2.0, 1.0]  # 0 + (2 - 1) * 2 * 1
    share, square = torch.tensor([0.25, 0.75, 0.75]), torch.tensor([0.0, 4.0, 4.0])
    torch.testing.assert_close(terms["invariant"].value, 2.05 * share * square)
    both = torch.tensor([0.5, 0.0, -1.0]).square()  # 1 + .5 - 1, 2 + 2 - 4, 0 + 1 - 2
    for name in ("aware_outcome", "aware_environment", "aware_context"):
        torch.testing.assert_close(terms[name].value, 8.63 * share * both)
    chance = torch.sigmoid(torch.tensor([1.0, 2.0, 0.0]))  # of the second environment, from u1 v1
    unlikely = -torch.stack([1 - chance[0], chance[1], chance[2]]).log()
    torch.testing.assert_close(terms["classifier"].value, 5.1 * share * unlikely)
    torch.testing.assert_close(terms["reversal"].value, -1.74 * 5.1 * share * unlikely)


def test_the_implicit_form_is_the_cross_entropy_of_a_product() -> None:
    raw, score, label = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 0.5]), torch.tensor([1.0, 0.0])
    product = torch.sigmoid(raw) * torch.sigmoid(score)
    expected = -(label * product.log() + (1 - label) * (1 - product).log())
    torch.testing.assert_close(aware_error(raw, score, label, "logit", "product"), expected)
    ends = torch.tensor([80.0, -80.0]), torch.tensor([80.0, 90.0])
    far = aware_error(*ends, torch.tensor([0.0, 1.0]), "logit", "product")
    assert far.tolist() == pytest.approx([80 - math.log(2), 80], rel=1e-5)
    assert aware_error(raw, score, torch.ones(2), "identity", "product").tolist() == pytest.approx([0.49, 4.0])
    counts = [aware_error(raw, score, label, "log", form).tolist() for form in ("sum", "product")]
    assert counts[0] == counts[1] == pytest.approx([math.exp(1.3) - 1.3, math.exp(-1.5)])


@pytest.mark.parametrize("form", ["sum", "product"])
@pytest.mark.parametrize("link", ["identity", "logit", "log"])
def test_each_term_reaches_the_role_it_trains_and_the_reversal_is_the_classifiers_gradient_turned(
    link: Link, form: Form
) -> None:
    outputs = outputs_of(link)
    leaves = {
        OUTCOME: [RAW, USER, ITEM],
        ENVIRONMENT: [outputs[ENVIRONMENT], USER, ITEM],
        CONTEXT: [SCALE],
        CLASSIFIER: [WEIGHTS],
    }
    moved = {role: [value.clone().requires_grad_() for value in values] for role, values in leaves.items()}
    vectors = {role: (moved[role][1], moved[role][2]) for role in (OUTCOME, ENVIRONMENT)}
    parameters = {
        CONTEXT: {"scale": moved[CONTEXT][0]},
        CLASSIFIER: {"weights": moved[CLASSIFIER][0], "bias": torch.zeros(2)},
    }
    values = {role: moved[role][0] for role in (OUTCOME, ENVIRONMENT)}
    live = Outputs(values, link, vectors, parameters=parameters, buffers=BUFFERS)
    terms, every = InvPref(environments=2, form=form).terms(BATCH, live), [v for by in moved.values() for v in by]
    for term in terms.values():
        slopes = torch.autograd.grad(term.value.sum(), every, retain_graph=True, allow_unused=True)
        reached = {
            role
            for role, by in moved.items()
            if any(s is not None and s.any() for v, s in zip(every, slopes, strict=True) if any(v is w for w in by))
        }
        assert reached == {term.trains}
    preference = moved[OUTCOME][1] * moved[OUTCOME][2]
    share = BUFFERS["share"][BUFFERS["environment"]]
    plain = 5.1 * share * environment_error(preference, parameters[CLASSIFIER], BUFFERS["environment"])
    (upward,) = torch.autograd.grad(plain.sum(), moved[OUTCOME][1])
    (turned,) = torch.autograd.grad(terms["reversal"].value.sum(), moved[OUTCOME][1])
    torch.testing.assert_close(turned, -1.74 * upward)


def test_rows_start_at_random_and_take_the_environment_of_least_error_at_each_interval() -> None:
    objective, generator = InvPref(environments=2, interval=3), torch.Generator().manual_seed(0)
    many = BATCH.map_tensors(lambda column: column.repeat_interleave(400, 0))
    start = objective.between_epochs(many, outputs_of(buffers={}), 0, generator)
    assert start["environment"].dtype == torch.int64 and start["share"].tolist() == pytest.approx([0.5, 0.5], abs=0.05)
    for epoch in (1, 2):
        assert objective.between_epochs(BATCH, outputs_of(), epoch, generator) == BUFFERS
    label = torch.tensor([1.5, 2.0, 1.0])  # the second row without, the others with either scale
    rows = replace(BATCH, outcome=label)
    fitted = objective.between_epochs(rows, outputs_of(), 3, generator)
    assert fitted["environment"].tolist() == [0, 0, 0]
    assert fitted["share"].tolist() == pytest.approx([2 / 3, 1 / 3])  # (n + 1) / N, at most (N - 1) / N
    apart = objective.between_epochs(BATCH, outputs_of(), 3, generator)
    assert apart["environment"].tolist() == [0, 1, 0]


def test_environments_that_a_simulation_has_come_out_and_without_any_they_do_not() -> None:
    agreement = {contrast: recovery(contrast) for contrast in (2.0, 0.0)}
    assert agreement[2.0] > 0.8 and agreement[0.0] < 0.6


def recovery(contrast: float) -> float:
    """The share of rows in their true environment, of two in which one factor counts for `1 +- contrast`."""
    draw = torch.Generator().manual_seed(0)
    factor = torch.randn(600, generator=draw)
    true = torch.randint(2, (600,), generator=draw)
    outcome = factor * (1 + contrast * (2 * true - 1)) + 0.3 * torch.randn(600, generator=draw)
    rows: Batch = replace(batch_of(outcome, torch.ones(600), torch.ones(600)), row=torch.arange(600))
    objective, scale = InvPref(environments=2, interval=1), torch.tensor([[1.5], [0.5]], requires_grad=True)
    unit, buffers = torch.ones(600, 1), {}
    for epoch in range(6):
        parameters = {CONTEXT: {"scale": scale}, CLASSIFIER: {"weights": torch.zeros(2, 1), "bias": torch.zeros(2)}}
        vectors = {OUTCOME: (unit, unit), ENVIRONMENT: (factor[:, None], unit)}
        outputs = Outputs({OUTCOME: 0 * factor, ENVIRONMENT: factor}, "identity", vectors, parameters=parameters)
        with torch.no_grad():
            seen = replace(outputs, buffers=buffers)
            buffers = dict(objective.between_epochs(rows, seen, epoch, draw))
        for _ in range(12):
            terms = objective.terms(rows, replace(outputs, buffers=buffers))
            (slope,) = torch.autograd.grad(terms["aware_context"].value.mean(), scale)
            scale = (scale.detach() - 0.2 * slope).requires_grad_()
            parameters[CONTEXT]["scale"] = scale
    right = float((buffers["environment"] == true).float().mean())
    return max(right, 1 - right)


def test_without_environments_terms_it_is_the_naive_mean_weighed_by_shares() -> None:
    terms = InvPref(environments=2, invariant=1.0, aware=0.0, adversary=0.0).terms(BATCH, outputs_of())
    naive = objective_of("naive").terms(BATCH, outputs_of())["outcome"].value
    share = BUFFERS["share"][BUFFERS["environment"]]
    torch.testing.assert_close(terms["invariant"].value, share * naive)
    assert not any(term.value.any() for name, term in terms.items() if name != "invariant")


def test_one_environment_is_refused() -> None:
    node = {"_target_": "causalrec.estimators.objective.inv_pref.InvPref", "environments": 1}
    with pytest.raises((RequestError, ValidationError), match=r"environments.*greater than or equal to 2"):
        validate_component("objective", node).build()


def test_environments_that_collapse_are_warned_of_beside_the_numbers_of_the_fit(tmp_path: Path) -> None:
    objective = InvPref(environments=2)
    rows = torch.arange(100)
    assert objective.buffer_warnings({}) == () == objective.buffer_warnings({"environment": (rows > 93).long()})
    (line,) = objective.buffer_warnings({"environment": (rows > 95).long()})
    assert line.startswith("inv_pref: one of 2 environments holds 96.0% of the training rows")

    trainer = TrainerSettings(progress=False, max_epochs=2, patience=9)
    apart = replace(task(tmp_path / "apart", InvPref(interval=9)), trainer=trainer)
    collapsed = replace(apart, objective=Collapsed(), folder=tmp_path / "collapsed")
    for fit in (collapsed.fit(), collapsed.fit(), *fit_stacked([collapsed], lambda size: 9)):  # trained, read, stacked
        assert not isinstance(fit, Exception) and fit.warnings == ("all is one",)
    assert apart.fit().warnings == ()


def test_a_stack_gives_what_each_gives_alone_and_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    settings = [InvPref(interval=2, environments=3), InvPref(interval=2, environments=3, adversary=0.5)]
    trainer = TrainerSettings(progress=False, max_epochs=4, patience=9, precision="64-true")
    requests = [task(tmp_path / str(k), each, trainer=trainer, seed=k) for k, each in enumerate(settings)]
    assert reason_to_fit_alone(requests[0]) is None
    fits = fit_stacked(requests, lambda size: 9)
    for request, stacked in zip(requests, fits, strict=True):
        assert largest(stacked.state, request.fit().state) < 1e-8
    uncut, cut, resumed = (StackedTrainer(requests) for _ in range(3))
    for _ in range(3):
        uncut.epoch(), cut.epoch()
    resumed.load(cut.state())
    uncut.epoch(), resumed.epoch()
    torch.testing.assert_close(resumed.buffers, uncut.buffers, rtol=0, atol=0)
