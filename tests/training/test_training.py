"""The one module, its optimizers and batches, and what a fit leaves behind."""

from __future__ import annotations

import copy
import csv
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger, Logger
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.sampler.rows import SampledRows
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.errors import DataError
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.ips import IPS
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.objective.snips import SNIPS
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.estimators.reduction import batch_mean, batch_sum
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.training.checkpoint import read_checkpoint
from causalrec.training.datamodule import BatchLoader, LogDataModule, LogTensors
from causalrec.training.module import MONITOR, CausalRecModule
from causalrec.training.optimizer import SGD, AbstractOptimizer, Adam, AdamW
from causalrec.training.trainer import FitResult, TrainerSettings, seed_everything
from causalrec.types import IMPUTATION, OUTCOME, Batch, Role, Term

USERS, ITEMS = 24, 18
OBJECTIVES: list[AbstractObjective] = [Naive(), IPS(), SNIPS(), DRJL()]


def log_of(seed: int, rows: int) -> InteractionLog:
    """Outcomes are coin flips, so that a model can only overfit."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    treatment = np.ones(rows, np.int64)
    outcome = (rng.random(rows) < 0.5).astype(np.float32)
    propensity = rng.uniform(0.1, 0.9, rows).astype(np.float32)
    return InteractionLog(codes % ITEMS, treatment, outcome, ITEMS, codes // ITEMS, USERS, propensity=propensity)


TRAIN, VALIDATION = log_of(0, 150), log_of(1, 60)


def numbers() -> FeatureMatrix:
    rng = np.random.default_rng(2)
    blocks = [rng.normal(size=(count, 1)).astype(np.float32) for count in (USERS, ITEMS)]
    return FeatureMatrix(("a", "b"), ("user", "item"), *blocks, ())


FEATURES = numbers()


def module_of(objective: AbstractObjective, optimizer: AbstractOptimizer | None = None, **more: Any) -> CausalRecModule:
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
    networks = {role: RoleNetwork(MF(inputs, width=4), Dot(2)) for role in objective.roles}
    return CausalRecModule(CausalModel(networks, "logit"), objective, optimizer or AdamW(weight_decay=0.0), **more)


def data_of(objective: AbstractObjective, batch_size: int = 32, seed: int = 0) -> LogDataModule:
    return LogDataModule(TRAIN, VALIDATION, FEATURES, Balanced(batch_size=batch_size), objective.space, seed)


def fit(
    folder: Path,
    objective: AbstractObjective,
    settings: TrainerSettings,
    optimizer: AbstractOptimizer | None = None,
    seed: int = 0,
    **more: Any,
) -> FitResult:
    seed_everything(seed)
    module = module_of(objective, optimizer, **more)
    return settings.fit(module, data_of(objective, seed=seed), None, folder, "test")


def quiet(**settings: Any) -> TrainerSettings:
    return TrainerSettings(progress=False, **settings)


# --- reduction


def test_a_squared_term_is_the_square_of_the_ratio_with_the_gradient_of_the_square() -> None:
    module, batch = module_of(Naive()), hand_batch([1.0, 2.0, 0.5])
    value = torch.tensor([3.0, 1.0, 4.0], requires_grad=True)
    loss = module.reduce(Term(value, OUTCOME, squared=True), batch)
    assert float(loss.detach()) == pytest.approx((7 / 3) ** 2)
    (gradient,) = torch.autograd.grad(loss, value)
    (expected,) = torch.autograd.grad(torch.dot(batch.weight, value).div(3).square(), value)
    assert torch.allclose(gradient, expected) and expected.abs().min() > 0


def test_a_batch_mean_is_weighted_and_carries_no_gradient() -> None:
    value = torch.tensor([1.0, 4.0], requires_grad=True)
    mean = batch_mean(value, torch.tensor([2.0, 1.0]))
    assert float(mean) == 2.0 and not mean.requires_grad


def hand_batch(weight: list[float]) -> Batch:
    ids = np.arange(len(weight))
    bare = inference_batch(ids, ids, FEATURES)
    return dataclasses.replace(bare, weight=torch.tensor(weight))


def test_a_term_without_normaliser_is_the_weighted_mean_over_rows() -> None:
    module, batch = module_of(Naive()), hand_batch([1.0, 2.0, 0.5])
    term = Term(torch.tensor([3.0, 1.0, 4.0]), OUTCOME)
    assert float(module.reduce(term, batch)) == pytest.approx((3 + 2 + 2) / 3)


def test_a_term_with_normaliser_is_divided_by_its_weighted_sum() -> None:
    module, batch = module_of(Naive()), hand_batch([1.0, 2.0, 0.5])
    term = Term(torch.tensor([3.0, 1.0, 4.0]), OUTCOME, normaliser=torch.tensor([1.0, 0.5, 2.0]))
    assert float(module.reduce(term, batch)) == pytest.approx((3 + 2 + 2) / (1 + 1 + 1))


def test_the_normaliser_takes_no_gradient() -> None:
    module, batch = module_of(Naive()), hand_batch([1.0, 1.0])
    value, normaliser = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 3.0], requires_grad=True)
    module.reduce(Term(value, OUTCOME, normaliser=normaliser), batch).backward()
    assert value.grad is not None and value.grad.tolist() == [0.25, 0.25]
    assert normaliser.grad is None
    assert float(batch_sum(value)) == 3.0 and not batch_sum(value).requires_grad


# --- a training step


@dataclass(frozen=True)
class Separately:
    """The parameters after each term alone was stepped on the role it trains."""

    state: dict[str, Tensor]
    reached: dict[str, set[str]]


def step_each_term(module: CausalRecModule, batch: Batch) -> Separately:
    state = {name: value.clone() for name, value in module.model.state_dict().items()}
    reached = {}
    for key, trained in (
        (key, term.trains) for key, term in module.objective.terms(batch, module.model(batch)).items()
    ):
        module_copy = copy.deepcopy(module)
        module_copy.reduce(module_copy.objective.terms(batch, module_copy.model(batch))[key], batch).backward()
        with_gradient = {n for n, p in module_copy.model.named_parameters() if p.grad is not None and p.grad.any()}
        reached[key] = {name.split(".")[1] for name in with_gradient}
        module_copy.optimizer.build(module_copy.model.parameters_of(trained)).step()
        state |= {n: v for n, v in module_copy.model.state_dict().items() if n.startswith(f"networks.{trained}.")}
    return Separately(state, reached)


@pytest.mark.parametrize("optimizer", [SGD(), AdamW(weight_decay=0.5)], ids=["sgd", "adamw"])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_a_step_changes_each_role_by_its_own_term_only(
    tmp_path: Path, objective: AbstractObjective, optimizer: AbstractOptimizer
) -> None:
    seed_everything(3)
    module, data = module_of(objective, optimizer), data_of(objective)
    before = copy.deepcopy(module.model.state_dict())
    loader = data.train_dataloader()
    expected = step_each_term(copy.deepcopy(module), next(iter(loader)))
    assert all(
        roles == {str(term_role)} for term_role, roles in zip(objective.roles, expected.reached.values(), strict=True)
    )
    stepped_state = quiet(max_epochs=1, limit_batches=1).fit(module, data, None, tmp_path, "one step").state
    for name, value in expected.state.items():
        torch.testing.assert_close(stepped_state[f"model.{name}"], value, rtol=1e-5, atol=1e-7)
    for role in objective.roles:
        moved = [n for n, v in before.items() if f".{role}." in n and not torch.equal(stepped_state[f"model.{n}"], v)]
        assert moved


def test_there_is_one_optimizer_per_role_over_its_parameters() -> None:
    module = module_of(DRJL())
    optimizers = module.configure_optimizers()
    assert len(optimizers) == 2
    for role, optimizer in zip((OUTCOME, IMPUTATION), optimizers, strict=True):
        owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert owned == {id(p) for p in module.model.parameters_of(role)}


@pytest.mark.parametrize(
    "optimizer",
    [
        AdamW(lr=0.1, weight_decay=0.5, bias_decay=0.2),
        SGD(lr=0.1, weight_decay=0.5, bias_decay=0.2, momentum=0.0),
    ],
)
def test_a_step_without_gradient_decays_factors_and_biases_apart_and_no_scalar(optimizer: AbstractOptimizer) -> None:
    module = module_of(Naive())
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter.fill_(2.0)
    built = optimizer.build(module.model.parameters_of(OUTCOME))
    for parameter in module.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    built.step()
    scalars = [p for p in module.model.parameters() if p.ndim == 0]
    assert [float(p.detach()) for p in scalars] == [2.0]  # the global bias
    kinds = {
        name.rpartition(".")[2]: parameter for name, parameter in module.model.named_parameters() if parameter.ndim
    }
    assert set(kinds) == {"vectors", "bias", "coefficients"}  # of the tables, and of the head's columns
    for name, parameter in kinds.items():
        decay = 0.5 if name == "vectors" else 0.2
        torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, 2 * (1 - 0.1 * decay)))


def test_scalars_are_not_decayed_whatever_the_optimizer() -> None:
    for optimizer in (AdamW(weight_decay=3.0), Adam(weight_decay=3.0), SGD(weight_decay=3.0)):
        groups = optimizer.build(module_of(Naive()).model.parameters()).param_groups
        assert {g["weight_decay"] for g in groups if all(p.ndim == 0 for p in g["params"])} == {0.0}
        assert {g["weight_decay"] for g in groups if any(p.ndim > 1 for p in g["params"])} == {3.0}


# --- batches


def test_rows_that_are_not_logged_are_unobserved() -> None:
    tensors = LogTensors(TRAIN, FEATURES)
    rows = SampledRows(
        np.array([-1, 7, -1]), np.array([3, 5, 0]), np.array([2, 4, 1]), np.array([1.5, 0.5, 1.0], np.float32)
    )
    batch = tensors.batch(rows)
    assert TRAIN.propensity is not None
    assert batch.observed.tolist() == [0, 1, 0]
    assert batch.outcome.tolist() == [0, TRAIN.outcome[7], 0]
    assert batch.propensity.tolist() == [1, TRAIN.propensity[7], 1]
    assert batch.treatment.tolist() == [0, 1, 0]
    assert batch.user is not None and batch.user.tolist() == [3, 5, 0] and batch.item.tolist() == [2, 4, 1]
    assert batch.weight.tolist() == [1.5, 0.5, 1.0]
    np.testing.assert_array_equal(batch.features, FEATURES(rows.user, rows.item))


def test_a_nan_outcome_of_an_unexposed_row_reaches_no_batch() -> None:
    log = InteractionLog(
        item=np.array([0, 1]),
        treatment=np.array([0, 1]),
        outcome=np.array([np.nan, 1.0], np.float32),
        num_items=ITEMS,
        user=np.array([0, 0]),
        num_users=USERS,
        propensity=np.array([0.5, 0.5], np.float32),
    )
    rows = SampledRows(np.array([0, 1]), np.array([0, 0]), np.array([0, 1]), np.ones(2, np.float32))
    assert LogTensors(log, FEATURES).batch(rows).outcome.isfinite().all()


def test_a_log_without_propensities_is_refused() -> None:
    with pytest.raises(DataError, match="has no propensities"):
        LogTensors(dataclasses.replace(TRAIN, propensity=None, name="toy"), FEATURES)


def loader(space: Any, rank: int = 0, world: int = 1) -> BatchLoader:
    return BatchLoader(TRAIN, LogTensors(TRAIN, FEATURES), Balanced(batch_size=32), space, 0, rank, world)


@pytest.mark.parametrize("space", ["logged", "all_pairs"])
def test_a_loader_yields_whole_batches_as_many_as_it_says(space: str) -> None:
    batches = list(loader(space))
    assert len(batches) == Balanced(batch_size=32).batches(TRAIN, space)
    assert all(isinstance(batch, Batch) for batch in batches)
    size = 32 if space == "logged" else 64  # the drawn pairs come on top
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 0 < len(batches[-1]) <= size
    assert sum(int(batch.observed.sum()) for batch in batches) >= len(TRAIN)


@pytest.mark.parametrize("space", ["logged", "all_pairs"])
def test_ranks_together_see_each_row_of_a_global_batch_once(space: str) -> None:
    batches, rank_batches = list(loader(space)), [list(loader(space, rank, 2)) for rank in range(2)]
    for batch, first, second in zip(batches, *rank_batches, strict=True):
        assert abs(len(first) - len(second)) <= 1
        for column in ("user", "item", "outcome", "weight", "propensity"):
            together = torch.cat([getattr(first, column), getattr(second, column)]).sort().values
            assert torch.equal(together, getattr(batch, column).sort().values)


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    def first(epoch: int, seed: int = 0) -> list[int]:
        batch_loader = BatchLoader(TRAIN, LogTensors(TRAIN, FEATURES), Balanced(batch_size=32), "logged", seed, 0, 1)
        batch_loader.set_epoch(epoch)
        return [int(k) for k in next(iter(batch_loader)).item]

    assert first(2) == first(2)
    assert first(2) != first(3) and first(2) != first(2, seed=1)


def test_a_batch_moves_as_a_whole() -> None:
    batch = dataclasses.replace(next(iter(loader("logged"))), columns={"age": torch.ones(3)})
    moved = batch.to("meta")
    assert moved.tensors().keys() == batch.tensors().keys() >= {("item",), ("columns", "age")}
    assert {tensor.device.type for tensor in moved.tensors().values()} == {"meta"}
    for column in dataclasses.fields(Batch):
        assert (getattr(moved, column.name) is None) == (getattr(batch, column.name) is None)


# --- fits


@dataclass(frozen=True, kw_only=True)
class Watched(TrainerSettings):
    """Keeps the criterion, the weights and the batches of every epoch."""

    criteria: list[float] = field(default_factory=list)
    states: list[dict[str, Tensor]] = field(default_factory=list)
    firsts: list[list[int]] = field(default_factory=list)

    def build(self, logger: Logger | None, callbacks: list[Callback], *more: Any) -> pl.Trainer:  # type: ignore[override]
        return super().build(logger, [*callbacks, _Watcher(self)], *more)


class _Watcher(Callback):
    def __init__(self, watched: Watched) -> None:
        self.watched = watched

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0:
            self.watched.firsts.append(batch.item.tolist())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.watched.criteria.append(float(trainer.callback_metrics[MONITOR]))
        self.watched.states.append({name: value.clone() for name, value in pl_module.state_dict().items()})


def watched_settings(**settings: Any) -> Watched:
    return Watched(progress=False, **settings)


@pytest.mark.parametrize("objective", [Naive(), DRJL()], ids=["naive", "dr_jl"])
def test_early_stopping_returns_the_weights_of_the_best_epoch(tmp_path: Path, objective: AbstractObjective) -> None:
    settings = watched_settings(max_epochs=40, patience=3)
    result = fit(tmp_path, objective, settings, AdamW(lr=0.05, weight_decay=0.0))
    best = int(np.argmin(settings.criteria))
    assert (result.criterion, result.best_epoch) == (pytest.approx(min(settings.criteria), rel=1e-6), best)
    assert result.epochs == len(settings.criteria) == best + 1 + 3 < 40
    assert settings.criteria[-1] > settings.criteria[best]
    for name, value in settings.states[best].items():
        assert torch.equal(result.state[name], value)
    table = "model.networks.outcome.encoder.item_table.vectors"
    assert not torch.equal(result.state[table], settings.states[-1][table])


@pytest.mark.parametrize("criterion", ["ips", "naive"])
def test_the_criterion_is_the_mean_error_of_biased_validation_rows_whatever_the_objective_clips(
    tmp_path: Path, criterion: Any
) -> None:
    objective = IPS(clip=0.3)
    result = fit(tmp_path, objective, quiet(max_epochs=2), criterion=criterion)
    module = module_of(objective)
    module.load_state_dict(result.state)
    assert VALIDATION.user is not None and VALIDATION.propensity is not None
    with torch.no_grad():
        raw = module.model(inference_batch(VALIDATION.user, VALIDATION.item, FEATURES))[OUTCOME]
    error = pointwise_error(raw, torch.from_numpy(VALIDATION.outcome), "logit").numpy()
    weight = 1 / np.maximum(VALIDATION.propensity, 0.01) if criterion == "ips" else np.ones(len(error))
    assert result.criterion == pytest.approx((weight * error).sum() / weight.sum(), rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_the_same_seed_gives_identical_weights_and_another_does_not(
    tmp_path: Path, objective: AbstractObjective
) -> None:
    first, second, other = (
        fit(tmp_path / name, objective, quiet(max_epochs=2), seed=seed)
        for name, seed in (("one", 5), ("two", 5), ("other", 6))
    )
    assert first.criterion == second.criterion != other.criterion
    for name, value in first.state.items():
        assert torch.equal(value, second.state[name])


def test_every_epoch_meets_other_batches_the_same_in_every_run(tmp_path: Path) -> None:
    runs = [watched_settings(max_epochs=3) for _ in range(2)]
    for number, settings in enumerate(runs):
        fit(tmp_path / str(number), Naive(), settings)
    assert runs[0].firsts == runs[1].firsts
    assert len({tuple(first) for first in runs[0].firsts}) == 3


def test_a_fit_learns_what_there_is_to_learn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    chance = 1 / (1 + np.exp(-2 * rng.normal(size=ITEMS)))
    logs = []
    for rows in (300, 100):
        codes = rng.choice(USERS * ITEMS, rows, replace=False)
        outcome = (rng.random(rows) < chance[codes % ITEMS]).astype(np.float32)
        half = np.full(rows, 0.5, np.float32)
        treatment = np.ones(rows, np.int64)
        logs.append(InteractionLog(codes % ITEMS, treatment, outcome, ITEMS, codes // ITEMS, USERS, propensity=half))
    for objective in OBJECTIVES:
        seed_everything(0)
        module = module_of(objective, AdamW(lr=0.03, weight_decay=0.1))
        data = LogDataModule(logs[0], logs[1], FEATURES, Balanced(batch_size=64), objective.space, 0)
        result = quiet(max_epochs=30).fit(module, data, None, tmp_path / type(objective).__name__, "learn")
        base = float(logs[0].outcome.mean())
        constant = -(logs[1].outcome * np.log(base) + (1 - logs[1].outcome) * np.log(1 - base)).mean()
        assert result.criterion < 0.95 * constant


@pytest.mark.parametrize("prefix", ["", "wd=1/"])
def test_a_candidate_logs_its_curve_under_its_prefix_and_is_monitored_without(tmp_path: Path, prefix: str) -> None:
    settings, logger = watched_settings(max_epochs=3), CSVLogger(tmp_path / "curves", name="", version="")
    seed_everything(0)
    result = settings.fit(module_of(Naive(), prefix=prefix), data_of(Naive()), logger, tmp_path / "fit", "logs")
    assert [float(point.criterion or 0) for point in result.curve] == settings.criteria
    with (tmp_path / "curves" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {f"{prefix}train/loss", f"{prefix}{MONITOR}", "epoch", "step"}
    logged_curve = [(int(r["step"]), float(r[f"{prefix}train/loss"]), float(r[f"{prefix}{MONITOR}"])) for r in rows]
    assert logged_curve == [(point.epoch, point.loss, point.criterion) for point in result.curve]


def test_the_logged_loss_is_the_mean_over_the_batches_of_the_epoch(tmp_path: Path) -> None:
    settings = quiet(max_epochs=2, limit_batches=1)
    seed_everything(0)
    module, data = module_of(Naive(), SGD(lr=1e-9, weight_decay=0.0)), data_of(Naive())
    batches = data.train_dataloader()
    expected = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        batch = next(iter(batches))
        term = module.objective.terms(batch, module.model(batch))["outcome"]
        expected.append(float(module.reduce(term, batch).detach()))
    result = settings.fit(module, data, None, tmp_path, "loss")
    assert [point.loss for point in result.curve] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_bf16_trains_an_epoch_to_nearly_the_same_criterion(tmp_path: Path, objective: AbstractObjective) -> None:
    half = fit(tmp_path / "other", objective, quiet(max_epochs=1, precision="bf16-mixed"))
    assert np.isfinite(half.curve[0].loss)
    plain = fit(tmp_path / "plain", objective, quiet(max_epochs=1))
    assert half.criterion == pytest.approx(plain.criterion, rel=0.02)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_float64_trains_in_float64_to_nearly_the_same_fit(tmp_path: Path, objective: AbstractObjective) -> None:
    double = fit(tmp_path / "double", objective, quiet(max_epochs=3, precision="64-true"))
    single = fit(tmp_path / "single", objective, quiet(max_epochs=3))
    assert {value.dtype for value in double.state.values()} == {torch.float64}
    assert double.criterion == pytest.approx(single.criterion, rel=1e-4)
    for name, value in double.state.items():
        assert torch.allclose(value.float(), single.state[name], rtol=1e-3, atol=1e-4)
        assert not torch.equal(value, value.float().double())  # computed so, not widened at the end


def test_the_criterion_is_summed_in_float64(tmp_path: Path) -> None:
    module, rows = module_of(Naive(), criterion="naive"), np.arange(3)
    batch = dataclasses.replace(inference_batch(rows, rows, FEATURES), observed=torch.tensor([2.0**25, 1.0, 1.0]))
    with torch.no_grad():
        module.validation_step(batch, 0)
    assert float(module._validation_sums[1]) == 2**25 + 2  # float32 keeps no such odd ones
    for _ in range(2):
        with torch.no_grad():
            module.validation_step(dataclasses.replace(batch, observed=torch.tensor([0.0, 0.0, 1.0])), 1)
    assert float(module._validation_sums[1]) == 2**25 + 4


def test_the_best_checkpoint_stays_and_a_second_fit_takes_its_place(tmp_path: Path) -> None:
    for seed in (0, 1):
        result = fit(tmp_path, Naive(), quiet(max_epochs=1), seed=seed)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "fit.json"]
        checkpoint_state = read_checkpoint(tmp_path / "best.ckpt")["state_dict"]
        assert all(torch.equal(checkpoint_state[name], value) for name, value in result.state.items())


def test_a_progress_bar_goes_to_stderr_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, Naive(), TrainerSettings(max_epochs=1))
    assert capsys.readouterr().out == ""


@pytest.fixture(autouse=True)
def keep_the_seeds_of_others() -> Iterator[None]:
    state, legacy = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    yield
    torch.set_rng_state(state)
    np.random.set_state(legacy)  # noqa: NPY002


def test_a_role_is_named_by_its_string() -> None:
    assert set(module_of(DRJL()).model.networks) == {Role("outcome"), Role("imputation")}
