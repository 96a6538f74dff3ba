"""What an objective fits between epochs and draws in passes: alone, stacked, and over an interruption the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from causalrec.data.sampler.all_pairs import AllPairs
from causalrec.errors import RequestError
from causalrec.estimators.certificate.certificate import certify
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.models import inference_batch
from causalrec.training.dropout_passes import draw_generators, with_passes
from causalrec.training.epoch_rows import draw_epoch_rows, hold_out
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import StackedTrainer, fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import IMPUTATION, OUTCOME, Batch, EpochRows, Outputs, Role, Space, Term
from tests.training.test_stacked import TRAIN, VIEW, log_of, task

SLOPE = Role("slope")


@dataclass(frozen=True, kw_only=True)
class Probe(AbstractObjective):
    """Uses every hook at once: a free scalar and a free matrix, passes, and buffers of held-out rows and pairs."""

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, SLOPE)
    space: ClassVar[Space] = "all_pairs"
    epoch_rows: ClassVar[EpochRows | None] = EpochRows("held_out", 2)
    pass_roles: ClassVar[tuple[Role, ...]] = (IMPUTATION,)
    share: float = 0.2

    @property
    def passes(self) -> int:
        return 3

    @property
    def held_out(self) -> float:
        return self.share

    def free_parameters(self, width: int) -> Mapping[Role, Mapping[str, Tensor]]:
        return {SLOPE: {"scalar": torch.zeros(()), "matrix": torch.randn(2, width)}}

    def between_epochs(
        self, rows: Batch, outputs: Outputs, epoch: int, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        before = outputs.buffers.get("mean", torch.zeros(1).to(outputs[OUTCOME]))
        noise = 0.01 * torch.rand(1, generator=generator).to(before)
        seen = (rows.weight * torch.sigmoid(outputs[OUTCOME])).mean()[None]
        return {"mean": 0.5 * before + 0.5 * seen + noise}

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        spread = outputs.passes[IMPUTATION].std(0)
        user, _ = outputs.vectors[OUTCOME]
        free = outputs.parameters[SLOPE]
        moved = (user.detach() @ free["matrix"].transpose(-1, -2)).sum(-1) + free["scalar"]
        imputed = pointwise_error(outputs[IMPUTATION], batch.outcome, outputs.link)
        return {
            "outcome": Term(batch.observed * error * outputs.buffers["mean"], OUTCOME),
            "imputation": Term(batch.observed * imputed * spread, IMPUTATION),
            "slope": Term((moved - batch.outcome).square(), SLOPE),
        }


def fit_request(folder: Path, **changes: Any) -> Any:
    return task(folder, Probe(**changes.pop("objective", {})), **changes).with_held_out()


def test_a_stack_gives_what_each_gives_alone(tmp_path: Path) -> None:
    requests = [fit_request(tmp_path / str(k), seed=k, objective={"share": 0.2}) for k in range(3)]
    assert reason_to_fit_alone(requests[0]) is None
    for request, stacked in zip(requests, fit_stacked(requests, lambda size: 8), strict=True):
        alone = request.fit()
        assert not isinstance(stacked, Exception) and alone.epochs == stacked.epochs
        for mine, others in ((alone.state, stacked.state), (alone.buffers, stacked.buffers)):
            assert mine.keys() == others.keys() and mine
            for name, value in mine.items():
                torch.testing.assert_close(others[name].to(value), value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stacks", [False, True])
def test_the_buffers_of_a_fit_are_those_of_its_best_epoch_and_are_kept_with_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stacks: bool
) -> None:
    by_epoch: list[Tensor] = []
    fit_between_epochs = Probe.between_epochs

    def noting(probe: Probe, rows: Batch, outputs: Outputs, epoch: int, generator: torch.Generator) -> Any:
        fitted = fit_between_epochs(probe, rows, outputs, epoch, generator)
        by_epoch.append(fitted["mean"])
        return fitted

    monkeypatch.setattr(Probe, "between_epochs", noting)
    settings = TrainerSettings(progress=False, max_epochs=6, patience=2, precision="64-true")
    request = fit_request(tmp_path, trainer=settings, optimizer=AdamW(lr=2.0))
    (fit,) = fit_stacked([request], lambda size: 1) if stacks else [request.fit()]
    assert not isinstance(fit, Exception) and fit.best_epoch + 1 < fit.epochs == len(by_epoch)
    assert torch.equal(fit.buffers["mean"].to(by_epoch[0]), by_epoch[fit.best_epoch])
    if not stacks:
        again = request.fit()  # from the folder of the finished fit
        assert len(by_epoch) == fit.epochs and torch.equal(again.buffers["mean"], fit.buffers["mean"])


def test_a_stack_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    requests = [fit_request(tmp_path / str(k), seed=k) for k in range(2)]
    uncut, cut = StackedTrainer(requests), StackedTrainer(requests)
    for _ in range(2):
        uncut.epoch(), cut.epoch()
    resumed = StackedTrainer(requests)
    resumed.load(cut.state())
    uncut.epoch(), resumed.epoch()
    torch.testing.assert_close(resumed.buffers, uncut.buffers, rtol=0, atol=0)
    torch.testing.assert_close(resumed.best_buffers, uncut.best_buffers, rtol=0, atol=0)
    for mine, other in zip(resumed.parameters, uncut.parameters, strict=True):
        assert torch.equal(mine, other)


class Stop(Exception):
    """Ends a fit from within."""


@pytest.mark.parametrize("at", [1, 3, 5, 8])
def test_a_fit_stopped_at_a_step_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    settings = TrainerSettings(progress=False, max_epochs=3, patience=9, precision="64-true", checkpoint_steps=1)
    uncut = fit_request(tmp_path / "uncut", trainer=settings).fit()
    calls, step = [0], CausalRecModule.training_step

    def stopping(module: CausalRecModule, batch: Batch, batch_idx: int) -> None:
        calls[0] += 1
        if calls[0] == at + 1:
            raise Stop
        step(module, batch, batch_idx)

    monkeypatch.setattr(CausalRecModule, "training_step", stopping)
    with pytest.raises(Stop):
        fit_request(tmp_path / "cut", trainer=settings).fit()
    monkeypatch.setattr(CausalRecModule, "training_step", step)
    resumed = fit_request(tmp_path / "cut", trainer=settings).fit()
    assert [point.loss for point in resumed.curve] == [point.loss for point in uncut.curve]
    assert all(torch.equal(resumed.state[name], value) for name, value in uncut.state.items())
    assert torch.equal(resumed.buffers["mean"], uncut.buffers["mean"])


def test_the_hooks_have_a_certificate(tmp_path: Path) -> None:
    failed = [check.name for check in certify(Probe()).checks if check.failed and not check.name.startswith("claims")]
    assert failed == []


def test_pairs_and_rows_together_stand_for_all_pairs() -> None:
    request = fit_request(Path("unused"))
    rows = draw_epoch_rows(EpochRows("held_out", 3), request.train, request.held_out, seed=0, epoch=1)
    logged = rows.row >= 0
    assert len(request.train) + len(request.held_out) == len(TRAIN) and logged.sum() == len(request.held_out)
    assert (~logged).sum() == 3 * logged.sum()
    share = rows.weight[logged].sum() / rows.weight.sum()
    assert share == pytest.approx(len(request.train) / TRAIN.num_pairs, rel=1e-5), "of the rows that steps meet"
    codes = rows.user * TRAIN.num_items + rows.item
    assert not np.isin(codes[~logged], request.train.codes).any()
    assert np.isin(codes[~logged], request.held_out.codes).any(), "to steps, what is held out is not logged"
    again = draw_epoch_rows(EpochRows("held_out", 3), request.train, request.held_out, seed=0, epoch=1)
    other = draw_epoch_rows(EpochRows("held_out", 3), request.train, request.held_out, seed=0, epoch=2)
    assert (again.item == rows.item).all() and not (other.item == rows.item).all()


def test_propensities_of_what_is_left_are_those_of_fewer_rows() -> None:
    request = fit_request(Path("unused"))
    shares = [len(log) / len(TRAIN) for log in (request.train, request.held_out)]
    for log, share in zip((request.train, request.held_out), shares, strict=True):
        uncut = TRAIN.propensity[TRAIN.finder(log.codes)]  # type: ignore[index]
        np.testing.assert_allclose(log.propensity, uncut * share, rtol=1e-6)


def test_dropout_keeps_the_mean_and_no_two_steps_share_their_draws(tmp_path: Path) -> None:
    request = fit_request(tmp_path)
    model, objective = request.fresh_model(), Probe()
    batch = _batch()
    outputs = model(batch)
    first, same, other = (
        with_passes(model, objective, batch, outputs, draw_generators([0], 0, step)).passes[IMPUTATION]
        for step in (0, 0, 1)
    )
    assert first.shape == (3, len(batch)) and not first.requires_grad
    assert torch.equal(first, same) and not torch.equal(first, other)
    steps = [with_passes(model, objective, batch, outputs, draw_generators([0], 1, step)) for step in range(300)]
    draws = torch.cat([each.passes[IMPUTATION] for each in steps])
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - outputs[IMPUTATION]).abs() <= 5 * error + 1e-6).all()


def _batch() -> Batch:
    return inference_batch(np.arange(10) % 5, np.arange(10), VIEW)


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_an_empty_part_is_refused_before_a_step(tmp_path: Path, share: float) -> None:
    with pytest.raises(RequestError, match=rf"objective.held_out={share}.* none is (held out|left to train on)"):
        fit_request(tmp_path, objective={"share": share}, train=log_of(20))


@pytest.mark.parametrize("weight", [None, 0.25, 3.0])
def test_rows_of_one_pair_and_row_weights_count_as_steps_have_them(weight: float | None) -> None:
    rows = log_of(40).take(np.repeat(np.arange(40), 4))
    rows = rows if weight is None else replace(rows, weight=np.full(len(rows), weight, np.float32))
    train, held_out = hold_out(rows, 0.2, "objective")
    assert not np.isin(held_out.codes, train.codes).any() and len(train) + len(held_out) == len(rows)
    shown = draw_epoch_rows(EpochRows("held_out", 3), train, held_out, seed=0, epoch=0)
    sampler = AllPairs(batch_size=len(train))
    steps = [batch for epoch in range(40) for batch in sampler.epoch(train, "all_pairs", 0, epoch)]
    exposed = np.mean([(batch.weight * (batch.row >= 0)).mean() for batch in steps])
    assert (shown.weight * (shown.row >= 0)).mean() == pytest.approx(exposed, rel=0.02)
    unexposed = np.mean([(batch.weight * (batch.row < 0)).mean() for batch in steps])
    assert (shown.weight * (shown.row < 0)).mean() == pytest.approx(unexposed, rel=0.02)
