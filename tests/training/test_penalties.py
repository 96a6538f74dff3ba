"""Penalties beside an objective: worked numbers, rows of their own, stacks, and what ends a fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import CausalRecError, RequestError
from causalrec.estimators.objective.bpr import BPR
from causalrec.estimators.objective.cfr import CFR
from causalrec.estimators.objective.ips import IPS
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.penalty.base import AbstractPenalty, AbstractPenaltyRows
from causalrec.estimators.penalty.gap import Gap
from causalrec.estimators.pointwise_error import mean_of
from causalrec.features.batch_columns import BatchColumn, batch_column
from causalrec.models import inference_batch
from causalrec.training.datamodule import BatchLoader, LogTensors
from causalrec.training.fit_request import FitRequest
from causalrec.training.optimizer import AdamW
from causalrec.training.stacked.stack_key import reason_to_fit_alone, stack_key
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME, Batch, Outputs, Term
from tests.training import test_stacked
from tests.training.test_stacked import ITEMS, TRAIN, USERS, VIEW, task

GROUP = (np.arange(USERS) % 2).astype(np.int64)
COLUMNS = {"group": BatchColumn("group", "user", ("a", "b"), GROUP)}


def dataset() -> CausalDataset:
    columns = (Column("user", "user", "id"), Column("group", "user", "category"), Column("age", "user", "numeric"))
    card = DatasetCard("toy", "", "", (), {}, (*columns, Column("title", "item", "text")), "click", "explicit")
    users = pl.DataFrame({"group": ["b", "a"] * (USERS // 2), "age": range(USERS)})
    return CausalDataset(card, TRAIN, users, pl.DataFrame({"title": ["x"] * ITEMS}))


# --- worked numbers


def batch_of(groups: list[int], weight: list[float] | None = None) -> Batch:
    ids = np.zeros(len(groups), np.int64)
    weights = torch.ones(len(groups)) if weight is None else torch.tensor(weight)
    return dataclasses.replace(inference_batch(ids, ids, VIEW), columns={"group": torch.tensor(groups)}, weight=weights)


def value_of(penalty: AbstractPenalty, batch: Batch, raw: Tensor) -> Tensor:
    from causalrec.training.stacked.merge import penalty_value

    return penalty_value(penalty, batch, Outputs({OUTCOME: raw}, "identity"))


def test_the_gap_is_the_weighted_difference_of_two_means_by_hand() -> None:
    raw = torch.tensor([4.0, 1.0, 2.0, 3.0], requires_grad=True)
    value = value_of(Gap(column="group"), batch_of([1, 1, 0, 0], [1.0, 2.0, 1.0, 1.0]), raw)
    assert float(value.detach()) == pytest.approx(abs((4 + 2 * 1) / 3 - (2 + 3) / 2))
    value.backward()  # type: ignore[no-untyped-call]
    assert raw.grad is not None and raw.grad.tolist() == pytest.approx([-1 / 3, -2 / 3, 0.5, 0.5])


def test_a_batch_without_one_of_the_groups_says_nothing_of_the_gap() -> None:
    raw = torch.tensor([4.0, 1.0], requires_grad=True)
    value = value_of(Gap(column="group"), batch_of([1, 1]), raw)
    value.backward()  # type: ignore[no-untyped-call]
    assert float(value.detach()) == 0.0 and raw.grad is not None and raw.grad.tolist() == [0.0, 0.0]


def test_by_default_ratios_are_summed_and_a_weight_below_0_is_refused() -> None:
    from causalrec.config.component import validate_component

    @dataclass(frozen=True, kw_only=True)
    class Plain(AbstractPenalty):
        def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
            return {"a": Term(outputs[OUTCOME], OUTCOME), "b": Term(2 * outputs[OUTCOME], OUTCOME)}

    assert float(value_of(Plain(), batch_of([0, 1]), torch.tensor([1.0, 3.0]))) == 6.0
    node = {"_target_": "causalrec.estimators.penalty.gap.Gap", "column": "group"}
    assert validate_component("penalty.gap", node).build() == Gap(column="group", weight=1.0)
    with pytest.raises(RequestError, match=r"penalty\.gap\.weight=-1"):
        validate_component("penalty.gap", {**node, "weight": -1})


# --- columns


def test_columns_are_level_codes_or_numbers_and_others_are_refused() -> None:
    data = dataset()
    group = batch_column(data, "group", "penalty.gap")
    assert group.levels == ("a", "b") and group.table is not None and group.table.tolist()[:3] == [1, 0, 1]
    assert group.is_binary and not batch_column(data, "age", "x").is_binary
    with pytest.raises(RequestError, match=r"penalty\.gap: reads column 'grop', but toy has no such column; did you m"):
        batch_column(data, "grop", "penalty.gap")
    with pytest.raises(RequestError, match=r"'title', but toy has it of kind text"):
        batch_column(data, "title", "penalty.gap")
    with pytest.raises(RequestError, match=r"penalty\.gap\.column='age': compares two groups, but this column is a n"):
        Gap(column="age").check_columns("gap", {"age": batch_column(data, "age", "x")})
    three = {"group": BatchColumn("group", "user", ("a", "b", "c"), GROUP)}
    with pytest.raises(RequestError, match="this column has 3 levels; name one of two levels"):
        Gap(column="group").check_columns("gap", three)


def test_batches_hold_the_columns_that_are_named_also_of_pairs_that_are_not_logged() -> None:
    tensors = LogTensors(TRAIN, VIEW, columns={"age": batch_column(dataset(), "age", "x"), **COLUMNS})
    rows = SampledRows(np.array([-1, 3]), np.array([5, 2]), np.array([1, 1]), np.ones(2, np.float32))
    batch = tensors.batch(rows)
    assert batch.columns["group"].tolist() == [1, 0] and batch.columns["group"].dtype == torch.int64
    assert batch.columns["age"].tolist() == [5.0, 2.0] and batch.columns["age"].dtype == torch.float32
    assert batch.to("meta").columns["age"].device.type == "meta"
    assert batch.map_tensors(lambda column: column[:1]).columns["group"].tolist() == [1]


def test_what_a_penalty_is_not_defined_for_is_refused() -> None:
    gap = Gap(column="group")
    gap.check_fit("gap", IPS.roles, "exposed_mean", "logit", "explicit")
    gap.check_fit("gap", BPR.roles, "exposed_mean", "logit", "positive_only")
    with pytest.raises(RequestError, match="penalty=gap: undefined for the estimand effect; it is defined for expo"):
        gap.check_fit("gap", CFR.roles, "effect", "identity", "explicit")
    with pytest.raises(RequestError, match="penalty=gap: reads the network outcome, which the objective does not tra"):
        gap.check_fit("gap", (), "exposed_mean", "logit", "explicit")


# --- fits


def request(folder: Path, objective: Any = None, **changes: Any) -> FitRequest:
    return task(folder, objective or Naive(), **{"columns": COLUMNS, **changes})


def gap_after(fit: Any, fit_request: FitRequest) -> float:
    """The gap over all pairs of what was learnt."""
    model = fit_request.model()
    model.load_state_dict({name.removeprefix("model."): value for name, value in fit.state.items()})
    codes = np.arange(USERS * ITEMS)
    user, item = codes // ITEMS, codes % ITEMS
    with torch.no_grad():
        predicted = mean_of(model(inference_batch(user, item, VIEW))[OUTCOME], "logit").numpy()
    return float(abs(predicted[GROUP[user] == 1].mean() - predicted[GROUP[user] == 0].mean()))


def unfair(log: InteractionLog) -> InteractionLog:
    """The same rows, liked by one group far more often."""
    assert log.user is not None
    rate = np.where(GROUP[log.user] == 1, 0.85, 0.15)
    outcome = (np.random.default_rng(3).random(len(log)) < rate).astype(np.float32)
    return dataclasses.replace(log, outcome=outcome)


def test_the_gap_falls_as_its_weight_grows(tmp_path: Path) -> None:
    settings = TrainerSettings(progress=False, max_epochs=40, patience=40)
    gaps = []
    for weight in (0.0, 0.5, 5.0):
        fit_request = request(
            tmp_path / f"{weight}",
            train=unfair(TRAIN),
            validation=unfair(TRAIN),
            epochs=40,
            trainer=settings,
            optimizer=AdamW(lr=0.02, weight_decay=0.1),
            penalties={"gap": Gap(column="group", weight=weight)},
        )
        gaps.append(gap_after(fit_request.fit(), fit_request))
    assert gaps[0] > 0.25 and gaps[0] > 1.2 * gaps[1] and gaps[1] > 1.2 * gaps[2] and gaps[2] < 0.3 * gaps[0]


def test_a_weight_of_0_leaves_every_bit_as_it_is(tmp_path: Path) -> None:
    plain = request(tmp_path / "plain").fit()
    with_gap = request(tmp_path / "gap", penalties={"gap": Gap(column="group", weight=0.0)}).fit()
    assert test_stacked.largest(plain.state, with_gap.state) == 0 and plain.curve == with_gap.curve


def test_stacked_penalties_of_different_weights_are_the_fits_made_alone(tmp_path: Path) -> None:
    weights = (0.1, 1.0, 3.0)
    requests = [
        request(tmp_path / f"{weight}", penalties={"gap": Gap(column="group", weight=weight)}) for weight in weights
    ]
    assert len({stack_key(each) for each in requests}) == 1
    stacked, alone = fit_stacked(requests, lambda size: 99), [each.fit() for each in requests]
    for mine, other in zip(stacked, alone, strict=True):
        assert not isinstance(mine, Exception)
        assert test_stacked.largest(mine.state, other.state) < 1e-8
        np.testing.assert_allclose([e.loss for e in mine.curve], [e.loss for e in other.curve], rtol=1e-5)
    assert len({fit.criterion for fit in alone}) == 3
    assert stack_key(request(tmp_path)) != stack_key(requests[0])


def test_gradients_are_clipped_by_role_alone_and_stacked(tmp_path: Path) -> None:
    from causalrec.estimators.objective.dr_jl import DRJL

    fits = []
    for clip in (None, 0.05):
        settings = TrainerSettings(progress=False, max_epochs=4, patience=4, precision="64-true", gradient_clip=clip)
        requests = [request(tmp_path / f"{clip}{s}", DRJL(), trainer=settings, seed=s) for s in range(2)]
        alone = [each.fit() for each in requests]
        for mine, other in zip(fit_stacked(requests, lambda size: 99), alone, strict=True):
            assert not isinstance(mine, Exception) and test_stacked.largest(mine.state, other.state) < 1e-8
        fits.append(alone[0])
    assert test_stacked.largest(fits[0].state, fits[1].state) > 1e-4
    with pytest.raises(RequestError, match=r"trainer\.gradient_clip: .*set trainer\.strategy=ddp"):
        TrainerSettings(strategy="fsdp", gradient_clip=1.0).check()


def test_a_clipped_gradient_has_the_norm_that_is_allowed(tmp_path: Path) -> None:
    norms: list[float] = []

    class Norms(Callback):
        def on_before_zero_grad(self, *_: Any) -> None:
            raise AssertionError("manual optimization calls no such hook")

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            gradients = [p.grad for p in pl_module.model.parameters() if p.grad is not None]
            norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))

    for clip in (None, 0.01):
        settings = TrainerSettings(progress=False, max_epochs=1, limit_batches=3, gradient_clip=clip)
        object.__setattr__(settings, "callbacks", (Norms(),))
        object.__setattr__(settings, "callbacks", _same(settings.callbacks))
        request(tmp_path / f"{clip}", trainer=settings).fit()
    assert min(norms[:3]) > 0.02 and norms[3:] == pytest.approx([0.01] * 3, rel=1e-3)


class _same(tuple):  # type: ignore[type-arg]
    """Callbacks that a copy leaves as they are, so that a test can read them."""

    def __deepcopy__(self, memo: Any) -> Any:
        return self


# --- what ends a fit


@dataclass(frozen=True, kw_only=True)
class Broken(AbstractPenalty):
    """Not a number from the seventh step on, of a fit whose predictions have moved."""

    vectorizable = True
    above: float = 0.0

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return {"mean": Term(outputs[OUTCOME].square(), OUTCOME)}

    def combine(self, values: Mapping[str, Tensor]) -> Tensor:
        return values["mean"] + torch.where(values["mean"] > self.above, torch.nan, 0.0)


def test_a_penalty_that_is_no_number_ends_the_fit_with_its_name_epoch_and_step(tmp_path: Path) -> None:
    fit_request = request(tmp_path, penalties={"mine": Broken(above=0.02)})
    with pytest.raises(
        CausalRecError, match=r"^penalty=mine: its value is nan at epoch \d+, step \d+; lower"
    ) as caught:
        fit_request.fit()
    assert "\n" not in str(caught.value)


def test_a_penalty_that_is_no_number_ends_the_fits_of_its_stack_where_it_is_none_and_no_other(tmp_path: Path) -> None:
    optimizers = [AdamW(lr=lr, weight_decay=0.1) for lr in (0.05, 1e-9)]
    penalties = {"mine": Broken(above=0.02)}
    requests = [
        request(tmp_path / f"{k}", penalties=penalties, optimizer=optimizer) for k, optimizer in enumerate(optimizers)
    ]
    failed, fine = fit_stacked(requests, lambda size: 99)
    assert isinstance(failed, CausalRecError) and "penalty=mine: its value is nan at epoch" in str(failed)
    assert not isinstance(fine, Exception)
    assert test_stacked.largest(fine.state, requests[1].fit().state) < 1e-8


# --- rows of its own


@dataclass(frozen=True)
class UniformPairs(AbstractPenaltyRows):
    size: int

    def draw(self, log: InteractionLog, generator: np.random.Generator, count: int) -> SampledRows:
        codes = generator.integers(log.num_pairs, size=(count, self.size))
        weight = np.ones(codes.shape, np.float32)
        return SampledRows(log.finder(codes), codes // log.num_items, codes % log.num_items, weight)


@dataclass(frozen=True, kw_only=True)
class Level(AbstractPenalty):
    """How far the mean prediction over all pairs is from `target`: the objective's rows alone do not tell it."""

    target: float = 0.5

    @property
    def rows(self) -> AbstractPenaltyRows:
        return UniformPairs(24)

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        assert len(batch) == 24 and len(outputs[OUTCOME]) == 24
        return {"mean": Term(mean_of(outputs[OUTCOME], outputs.link), OUTCOME)}

    def combine(self, values: Mapping[str, Tensor]) -> Tensor:
        return (values["mean"] - self.target).square()


def loader(start: tuple[int, int] = (0, 0), rank: int = 0, world: int = 1) -> BatchLoader:
    from causalrec.data.sampler.balanced import Balanced

    tensors = LogTensors(TRAIN, VIEW, columns=COLUMNS)
    rows = {"level": UniformPairs(24)}
    return BatchLoader(TRAIN, tensors, Balanced(batch_size=16), "logged", 0, rank, world, None, start, None, rows)


def test_rows_of_its_own_stand_beside_each_batch_and_are_a_function_of_seed_and_epoch() -> None:
    batches = list(loader())
    assert [len(batch.penalty_batches["level"]) for batch in batches] == [24] * len(batches)
    penalty_items = [batch.penalty_batches["level"].item.tolist() for batch in batches]
    assert len({tuple(items) for items in penalty_items}) == len(penalty_items)
    assert [b.penalty_batches["level"].item.tolist() for b in loader(start=(0, 2))] == penalty_items[2:], (
        "entered midway"
    )
    assert "group" in batches[0].penalty_batches["level"].columns
    rank_batches = [list(loader(rank=rank, world=2)) for rank in range(2)]
    for batch, *ranks in zip(batches, *rank_batches, strict=True):
        together = torch.cat([each.penalty_batches["level"].item for each in ranks])
        assert together.sort().values.tolist() == batch.penalty_batches["level"].item.sort().values.tolist()
    again = loader()
    again.set_epoch(1)
    assert next(iter(again)).penalty_batches["level"].item.tolist() != penalty_items[0]


def test_a_penalty_over_rows_of_its_own_moves_what_it_speaks_of(tmp_path: Path) -> None:
    settings = TrainerSettings(progress=False, max_epochs=30, patience=30)
    means = []
    for weight in (0.0, 30.0):
        fit_request = request(
            tmp_path / f"{weight}",
            trainer=settings,
            validation=TRAIN,
            epochs=30,
            penalties={"level": Level(weight=weight, target=0.9)},
        )
        assert reason_to_fit_alone(fit_request) == "penalty=level does not stack"
        fit, model = fit_request.fit(), fit_request.model()
        model.load_state_dict({name.removeprefix("model."): value for name, value in fit.state.items()})
        codes = np.arange(USERS * ITEMS)
        with torch.no_grad():
            raw = model(inference_batch(codes // ITEMS, codes % ITEMS, VIEW))[OUTCOME]
        means.append(float(torch.sigmoid(raw).mean()))
    assert means[0] < 0.7 < 0.8 < means[1]
