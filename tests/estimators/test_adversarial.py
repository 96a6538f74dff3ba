"""Adversarial vectors: the second loss reads them, by a hand loop; epsilon 0 is no penalty at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from causalrec.config.compose import compose_all, normalise_overrides
from causalrec.errors import RequestError
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.bpr import BPR
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.ips import IPS
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.penalty.adversarial import Adversarial, step
from causalrec.models import CausalModel
from causalrec.running.prepare import plan_run
from causalrec.training.fit_request import FitRequest
from causalrec.training.module import CausalRecModule
from causalrec.training.moved_vectors import with_moved_vectors
from causalrec.training.optimizer import AdamW
from causalrec.training.stacked.batches import StackedBatches
from causalrec.training.stacked.merge import penalty_value
from causalrec.training.stacked.stack_key import reason_to_fit_alone, stack_key
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.types import OUTCOME, Batch
from tests.training.test_stacked import largest, task

OBJECTIVES: list[AbstractObjective] = [Naive(), IPS(), DRJL(), BPR()]


def model_and_batch(folder: Path, objective: AbstractObjective) -> tuple[CausalModel, Batch]:
    request = task(folder, objective)
    torch.manual_seed(1)
    model = request.model().double()
    with torch.no_grad():  # biases that are not 0, so that ones and biases would move too
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    batch = next(StackedBatches([request], torch.float64, torch.device("cpu")).training(0))
    return model, batch.map_tensors(lambda column: column[0])


def value(model: CausalModel, objective: AbstractObjective, penalty: Adversarial, batch: Batch) -> Tensor:
    outputs = model(batch)
    terms = objective.terms(batch, outputs)
    loss = sum((term_loss(term, batch) for term in terms.values()), torch.zeros(()))
    moved = with_moved_vectors(model, objective, penalty, batch, replace(outputs, terms=terms), loss)
    return penalty_value(penalty, batch, moved)


def term_loss(term: Any, batch: Batch) -> Tensor:
    total = len(batch) if term.normaliser is None else (batch.weight * term.normaliser.detach()).sum()
    ratio: Tensor = (batch.weight * term.value).sum() / total
    return ratio.square() if term.squared else ratio


def test_a_step_has_the_length_asked_for_along_the_gradient_and_is_none_without_one() -> None:
    moved = step(torch.zeros(2, 2), torch.tensor([[3.0, -4.0], [0.0, 0.0]]), 0.5)
    torch.testing.assert_close(moved, torch.tensor([[0.3, -0.4], [0.0, 0.0]]))


def test_value_and_gradient_of_bpr_are_those_of_a_hand_loop(tmp_path: Path) -> None:
    model, batch = model_and_batch(tmp_path, BPR())
    value(model, BPR(), Adversarial(epsilon=0.3), batch).backward()  # type: ignore[no-untyped-call]
    by_module = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    tables: Any = model.network(OUTCOME).encoder
    users, items = tables.user_table, tables.item_table
    head = model.network(OUTCOME).head
    negative, other = batch.negative, batch.negative_features
    assert batch.user is not None and negative is not None and other is not None

    def row_loss(k: int, p: Tensor, q: Tensor, r: Tensor) -> Tensor:
        """-log sigmoid of the difference of two scores p.q + biases + what the head adds of the view's numbers."""
        i, j = int(batch.item[k]), int(negative[k])
        zero = torch.zeros(1, 1, dtype=p.dtype)
        added = [head(zero, zero, f[k : k + 1])[0] for f in (batch.features, other)]
        first, second = p @ q + items.bias[i] + added[0], p @ r + items.bias[j] + added[1]
        return -functional.logsigmoid(first - second)

    total = torch.zeros((), dtype=torch.float64)
    for k in range(len(batch)):
        ids = int(batch.user[k]), int(batch.item[k]), int(negative[k])
        vectors = [table.vectors[i] for table, i in zip((users, items, items), ids, strict=True)]
        leaves = [vector.detach().clone().requires_grad_() for vector in vectors]
        slopes = torch.autograd.grad(row_loss(k, *leaves), leaves)
        moved = [v + 0.3 * s / s.norm() for v, s in zip(vectors, slopes, strict=True)]
        total = total + (row_loss(k, *moved) - row_loss(k, *vectors)) / len(batch)
    torch.testing.assert_close(value(model, BPR(), Adversarial(epsilon=0.3), batch), total, rtol=0, atol=1e-10)
    total.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(by_module.get(name, torch.zeros_like(parameter)), expected, rtol=0, atol=1e-6)
    assert max(float(gradient.abs().max()) for gradient in by_module.values()) > 1e-3


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: type(each).__name__)
def test_the_second_loss_reads_the_moved_vectors_and_no_small_step_is_worse(
    tmp_path: Path, objective: AbstractObjective
) -> None:
    model, batch = model_and_batch(tmp_path, objective)
    rise = float(value(model, objective, Adversarial(epsilon=1e-3), batch).detach())
    assert rise > 0, "the second loss of clean vectors would not be larger"
    outputs = model(batch)
    loss = sum((term_loss(t, batch) for t in objective.terms(batch, outputs).values()), torch.zeros(()))
    user, item = outputs.vectors[OUTCOME]
    slopes = torch.autograd.grad(loss, [user, item], retain_graph=True)
    if objective.space != "triples":  # whose users are moved by both sides
        first_order = 1e-3 * sum(float(slope[..., :-2].norm(dim=-1).sum()) for slope in slopes)
        assert rise == pytest.approx(first_order, rel=0.02)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: type(each).__name__)
def test_epsilon_0_is_no_penalty_bit_for_bit(tmp_path: Path, objective: AbstractObjective) -> None:
    plain = task(tmp_path / "plain", objective).fit()
    none = task(tmp_path / "none", objective, penalties={"adversarial": Adversarial(epsilon=0)}).fit()
    some = task(tmp_path / "some", objective, penalties={"adversarial": Adversarial()}).fit()
    assert largest(plain.state, none.state) == 0 and plain.curve == none.curve
    assert largest(plain.state, some.state) > 1e-3


@pytest.mark.parametrize("objective", [IPS(), DRJL(), BPR()], ids=lambda each: type(each).__name__)
def test_stacked_fits_are_those_made_alone(tmp_path: Path, objective: AbstractObjective) -> None:
    requests: list[FitRequest] = [
        task(
            tmp_path / f"{weight}",
            objective,
            seed=int(10 * weight),
            optimizer=AdamW(lr=0.05, weight_decay=weight),
            penalties={"adversarial": Adversarial(weight=weight)},
        )
        for weight in (0.1, 0.5)
    ]
    assert len({stack_key(each) for each in requests}) == 1 and reason_to_fit_alone(requests[0]) is None
    other = replace(requests[0], penalties={"adversarial": Adversarial(epsilon=0.1)})
    assert stack_key(other) != stack_key(requests[0])
    for mine, alone in zip(fit_stacked(requests, lambda size: 99), [each.fit() for each in requests], strict=True):
        assert not isinstance(mine, Exception) and largest(mine.state, alone.state) < 1e-8
        np.testing.assert_allclose([e.loss for e in mine.curve], [e.loss for e in alone.curve], rtol=1e-5)


def test_the_module_adds_the_rise_and_biases_do_not_move(tmp_path: Path) -> None:
    model, batch = model_and_batch(tmp_path, Naive())
    penalty = Adversarial(epsilon=0.3, weight=0.25)
    module = CausalRecModule(model, Naive(), AdamW(), penalties={"adversarial": penalty})
    losses: list[Tensor] = []
    module._update = lambda loss: losses.append(loss.detach())  # type: ignore[method-assign]
    module.training_step(batch, 0)
    plain = term_loss(next(iter(Naive().terms(batch, model(batch)).values())), batch)
    expected = plain + 0.25 * value(model, Naive(), penalty, batch)
    torch.testing.assert_close(losses[0], expected.detach())
    outputs = model(batch)
    terms = Naive().terms(batch, outputs)
    loss = term_loss(next(iter(terms.values())), batch)
    moved = with_moved_vectors(model, Naive(), penalty, batch, replace(outputs, terms=terms), loss)
    for before, after in zip(outputs.vectors[OUTCOME], moved.vectors[OUTCOME], strict=True):
        assert torch.equal(before[:, -2:], after[:, -2:])
        torch.testing.assert_close((after - before).norm(dim=-1), torch.full((len(batch),), 0.3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            [
                "dataset=lastfm",
                "split=random",
                "objective=sampled_softmax",
                "sampler=in_batch",
                "penalty=[adversarial]",
            ],
            "penalty=adversarial: moves the vectors of rows, but objective=sampled_softmax compares users with many",
        ),
        (
            ["dataset=lastfm", "split=random", "objective=bpr", "encoder.prior=features"],
            "encoder.prior: is weighed against the errors of outcomes, which objective=bpr has not of this data set; ",
        ),
        (
            ["penalty=[adversarial]", "penalty.adversarial.epsilon=-1"],
            "penalty.adversarial.epsilon=-1: input should be greater than or equal to 0",
        ),
        (["encoder.prior=text"], "encoder.prior='text': input should be 'none' or 'features'"),
        (
            ["augmentation=[text_transfer]", "augmentation.text_transfer.weight=0"],
            "augmentation.text_transfer.weight=0",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        plan_run(compose_all([normalise_overrides(overrides)])[0])
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
