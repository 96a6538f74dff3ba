"""Fits trained as one stacked program are the fits each would be alone."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.errors import RequestError
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.features.views import FeatureMatrix
from causalrec.heads.base import AbstractHead
from causalrec.heads.descn import DESCN
from causalrec.heads.dot import Dot
from causalrec.heads.dragonnet import DragonNet
from causalrec.heads.t_net import TNet
from causalrec.heads.tarnet import TARNet
from causalrec.models import CausalModel
from causalrec.role_network import ROLE_INPUTS, RoleNetwork
from causalrec.training.dropout_passes import draw_generators, with_passes
from causalrec.training.epoch_rows import run_between_epochs, with_buffers
from causalrec.training.fit_request import FitRequest
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import SGD, AdamW, AdamWRows
from causalrec.training.stacked import stacked_trainer
from causalrec.training.stacked.batches import StackedBatches
from causalrec.training.stacked.deduplicated_features import DeduplicatedFeatures, RowSources
from causalrec.training.stacked.merge import merge_objectives, reduce_term, stack_models
from causalrec.training.stacked.stack_key import reason_to_fit_alone, replica_bytes, stack_key
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME, Batch

USERS, ITEMS = 14, 11
Buffers = dict[str, torch.Tensor]
OBJECTIVES = {path.stem: path for path in sorted((package_folder("conf") / "objective").glob("*.yaml"))}


def view(numbers: int = 2) -> FeatureMatrix:
    rng = np.random.default_rng(5)
    blocks = [rng.normal(size=(count, 1)).astype(np.float32) for count in (USERS, ITEMS)]
    names = ("a", "b") if numbers else ()
    none = [np.zeros((count, 0), np.float32) for count in (USERS, ITEMS)]
    return FeatureMatrix(names, ("user", "item"), *(blocks if numbers else none), ())


VIEW = view()


def log_of(rows: int, seed: int = 0) -> InteractionLog:
    """Items differ in quality, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    outcome = (rng.random(rows) < np.linspace(0.05, 0.95, ITEMS)[codes % ITEMS]).astype(np.float32)
    propensity = rng.uniform(0.2, 0.9, rows).astype(np.float32)
    treatment = np.ones(rows, np.int64)
    return InteractionLog(codes % ITEMS, treatment, outcome, ITEMS, codes // ITEMS, USERS, propensity=propensity)


def with_treatments(log: InteractionLog) -> InteractionLog:
    """A log whose rows are treated or not."""
    return replace(log, treatment=np.random.default_rng(9).integers(2, size=len(log)))


TRAIN, VALIDATION = log_of(95), log_of(40, seed=1)
ARMED = with_treatments(TRAIN), with_treatments(VALIDATION)


def chance(user: Any, item: Any) -> Any:
    return (0.2 + 0.02 * user + 0.03 * item).astype(np.float32)


def task(folder: Path, objective: AbstractObjective, **changes: Any) -> FitRequest:
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())

    def head() -> AbstractHead:
        if not objective.required_head_outputs:
            return Dot(len(VIEW))
        kind = next(
            head_class
            for head_class in (TNet, TARNet, DragonNet, DESCN)
            if objective.required_head_outputs <= head_class.head_outputs
        )
        return kind(len(VIEW), 5, 2, **({"width": 8} if kind is TNet else {"width": 8, "arm_width": 4}))  # type: ignore[arg-type]

    def model() -> CausalModel:
        free = objective.free_parameters(width=5)  # of [p, b, 1]
        roles = [role for role in objective.roles if role not in free]
        networks = {r: RoleNetwork(MF(inputs, width=3), head(), ROLE_INPUTS.get(r, "pair")) for r in roles}
        return CausalModel(networks, "logit", free=free)

    defaults: dict[str, Any] = {
        "model": model,
        "objective": objective,
        "optimizer": AdamW(lr=0.05, weight_decay=0.1),
        "trainer": TrainerSettings(progress=False, max_epochs=6, patience=2, precision="64-true"),
        "sampler": Balanced(batch_size=16),
        "features": VIEW,
        "train": ARMED[0] if objective.required_head_outputs else TRAIN,
        "validation": ARMED[1] if objective.required_head_outputs else VALIDATION,
        "seed": 0,
        "criterion": "ips",
        "clip": 0.01,
        "validation_space": "triples" if objective.space == "triples" else "logged",
        "pair_propensity": chance if objective.reads_pair_propensity else None,
        "logger": None,
        "folder": folder,
        "label": "test",
        "prefix": "",
    }
    return FitRequest(**{**defaults, **changes})


def objective_of(name: str, **changes: Any) -> AbstractObjective:
    node = yaml.safe_load(OBJECTIVES[name].read_text())
    objective: AbstractObjective = validate_component("objective", {**node, **changes}).build()
    return objective


def vary_numbers(name: str) -> list[AbstractObjective]:
    """Three of one objective, whose every number differs where it may."""
    first, objectives = objective_of(name), []
    numbers = [f.name for f in fields(first) if isinstance(getattr(first, f.name), float)]  # type: ignore[arg-type]
    for step in (0.0, 0.01, 0.02):
        changes = {}
        for number in numbers:
            value = getattr(first, number)
            for moved in (value + step, value - step):
                try:
                    objective_of(name, **{number: moved})
                except RequestError:
                    continue
                changes[number] = moved
                break
        objectives.append(objective_of(name, **changes))
    return objectives


def fit_between_epochs(batches: StackedBatches, tasks: list[FitRequest], models: list[CausalModel]) -> list[Buffers]:
    """What the objective of each has fitted before its first epoch."""
    if tasks[0].objective.epoch_rows is None:
        return [{} for _ in tasks]
    rows, fitted = batches.epoch_rows(0), []
    for k, (fit_request, model) in enumerate(zip(tasks, models, strict=True)):
        mine: Batch = rows.map_tensors(lambda column, k=k: column[k])  # type: ignore[misc]
        fitted.append(run_between_epochs(fit_request.objective, mine, model(mine), 0, fit_request.seed))
    return fitted


def largest(state: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert set(state) == set(other)
    return max(float((state[name].double() - other[name].double()).abs().max()) for name in state)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_maps_unchanged_losses_and_gradients_are_each_replicas_own(name: str, tmp_path: Path) -> None:
    objectives = vary_numbers(name)
    tasks = [task(tmp_path, objective, seed=seed) for seed, objective in enumerate(objectives)]
    models = [fit_request.fresh_model().double() for fit_request in tasks]
    together = stack_models(models)
    batches = StackedBatches(tasks, torch.float64, torch.device("cpu"))
    batch = next(batches.training(0))
    shared = merge_objectives(objectives, next(together.parameters()))
    fitted = fit_between_epochs(batches, tasks, models)
    outputs = with_buffers(together(batch), {name: torch.stack([each[name] for each in fitted]) for name in fitted[0]})
    terms = shared.terms(batch, with_passes(together, shared, batch, outputs, draw_generators(range(3), 0, 0)))
    losses = torch.stack([reduce_term(term, batch) for term in terms.values()]).sum(0)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    gradients = {key: value.grad for key, value in together.named_parameters()}
    distinct = set()
    for k, (fit_request, model) in enumerate(zip(tasks, models, strict=True)):
        module = CausalRecModule(model, fit_request.objective, fit_request.optimizer)
        mine: Batch = batch.map_tensors(lambda column, k=k: column[k])  # type: ignore[misc]
        outputs = with_buffers(model(mine), fitted[k])
        outputs = with_passes(model, fit_request.objective, mine, outputs, draw_generators([k], 0, 0))
        alone = fit_request.objective.terms(mine, outputs)
        loss = reduce(torch.add, [module.reduce(term, mine) for term in alone.values()])
        loss.backward()  # type: ignore[no-untyped-call]
        assert float(losses[k].detach()) == pytest.approx(float(loss.detach()), rel=1e-10)
        for key, value in model.named_parameters():
            got = gradients[key]
            assert (got is None) == (value.grad is None), key
            if got is not None and value.grad is not None:
                torch.testing.assert_close(got[k], value.grad, rtol=1e-9, atol=1e-12, msg=key)
        distinct.add(round(float(loss.detach()), 9))
    assert len(distinct) == 3


@pytest.mark.parametrize(
    "name",
    [
        *("naive", "snips", "dr_jl", "cvib", "dragonnet"),
        *(
            pytest.param(name, marks=pytest.mark.long)
            for name in ("tdr_jl", "stable_dr", "dr_v2", "bpr", "macr", "dr_learner")
        ),
    ],
)
def test_in_float64_the_weights_are_those_of_fits_made_alone(name: str, tmp_path: Path) -> None:
    changes = [{"seed": 0}, {"seed": 1}, {"seed": 0, "optimizer": AdamW(lr=0.3, weight_decay=0.01)}]
    changes += [{"seed": 2, "optimizer": AdamW(lr=0.3, weight_decay=2.0)}]
    settings = TrainerSettings(progress=False, max_epochs=12, patience=2, precision="64-true")
    tasks = [
        task(tmp_path / f"{k}", objective_of(name), trainer=settings, **change) for k, change in enumerate(changes)
    ]
    packed, alone = fit_stacked(tasks, lambda size: 99), [fit_request.fit() for fit_request in tasks]
    for mine, other in zip(packed, alone, strict=True):
        assert largest(mine.state, other.state) < 1e-8
        assert mine.criterion == pytest.approx(other.criterion, rel=1e-6)
        assert (mine.best_epoch, mine.epochs) == (other.best_epoch, other.epochs)
        assert [e.epoch for e in mine.curve] == [e.epoch for e in other.curve] == list(range(mine.epochs))
        np.testing.assert_allclose([e.loss for e in mine.curve], [e.loss for e in other.curve], rtol=1e-5)
    assert len({fit.epochs for fit in packed}) > 1, "some must leave the stack before others"
    assert len({fit.criterion for fit in packed}) == 4


def test_momentum_and_moments_stay_with_their_replica_when_others_leave(tmp_path: Path) -> None:
    settings = TrainerSettings(progress=False, max_epochs=9, patience=2, precision="64-true")
    optimizers = [SGD(lr=lr, weight_decay=decay) for lr in (0.3, 3.0) for decay in (1e-4, 0.3)]
    tasks = [
        task(tmp_path / f"{k}", objective_of("naive"), trainer=settings, optimizer=optimizer)
        for k, optimizer in enumerate(reversed(optimizers))
    ]
    packed, alone = fit_stacked(tasks, lambda size: 99), [fit_request.fit() for fit_request in tasks]
    assert max(largest(a.state, b.state) for a, b in zip(packed, alone, strict=True)) < 1e-8
    assert len({fit.epochs for fit in packed}) > 1


def test_refits_take_each_their_number_of_epochs_and_no_criterion(tmp_path: Path) -> None:
    tasks = [task(tmp_path / f"{n}", objective_of("ips"), validation=TRAIN, epochs=n) for n in (3, 1, 2)]
    packed, alone = fit_stacked(tasks, lambda size: 99), [fit_request.fit() for fit_request in tasks]
    assert [fit.epochs for fit in packed] == [3, 1, 2] and [fit.best_epoch for fit in packed] == [2, 0, 1]
    assert all(np.isnan(fit.criterion) for fit in packed)
    assert max(largest(a.state, b.state) for a, b in zip(packed, alone, strict=True)) < 1e-8


def test_folds_of_different_sizes_are_stacks_of_their_own_and_epochs_may_be_cut_short(tmp_path: Path) -> None:
    settings = TrainerSettings(progress=False, max_epochs=3, patience=3, precision="64-true", limit_batches=2)
    logs = (TRAIN, log_of(94, seed=7), log_of(95, seed=8))
    tasks = [task(tmp_path / f"{k}", objective_of("dr_jl"), train=log, trainer=settings) for k, log in enumerate(logs)]
    assert stack_key(tasks[0]) == stack_key(tasks[2]) != stack_key(tasks[1])
    packed, alone = fit_stacked(tasks, lambda size: 99), [fit_request.fit() for fit_request in tasks]
    assert max(largest(a.state, b.state) for a, b in zip(packed, alone, strict=True)) < 1e-8


def test_in_float32_a_stack_gives_the_same_bits_again_and_small_stacks_nearly_the_same(tmp_path: Path) -> None:
    settings = TrainerSettings(progress=False, max_epochs=4, patience=4)
    tasks = [task(tmp_path, objective_of("dr_jl"), trainer=settings, seed=seed) for seed in range(5)]
    first, second = fit_stacked(tasks, lambda size: 99), fit_stacked(tasks, lambda size: 99)
    assert all(largest(a.state, b.state) == 0 for a, b in zip(first, second, strict=True))
    assert first[0].state["model.networks.outcome.head.bias"].dtype == torch.float32
    split = fit_stacked(tasks, lambda size: 2)
    assert 0 <= max(largest(a.state, b.state) for a, b in zip(first, split, strict=True)) < 1e-4


def test_a_group_that_would_not_fit_is_split_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack_sizes: list[int] = []
    real = stacked_trainer.StackedTrainer

    def counting(tasks: Any, *rest: Any) -> Any:
        stack_sizes.append(len(tasks))
        return real(tasks, *rest)

    monkeypatch.setattr(stacked_trainer, "StackedTrainer", counting)
    tasks = [task(tmp_path, objective_of("naive"), seed=seed) for seed in range(10)]
    bytes_each = replica_bytes(tasks[0])
    assert bytes_each > 8 * 8 * sum(p.numel() for p in tasks[0].model().parameters())
    fit_stacked(tasks, lambda size: 4 if size == bytes_each else 1)
    assert stack_sizes == [3, 3, 4]


def test_what_cannot_stack_says_why(tmp_path: Path) -> None:
    base = task(tmp_path, objective_of("naive"))
    assert reason_to_fit_alone(base) is None

    class Other(MF):
        vectorizable = False

        def items(self, ids: torch.Tensor) -> torch.Tensor:
            raise ValueError("it draws")

    def model() -> CausalModel:
        encoder = Other(EncoderInputs(USERS, ITEMS, (), Path(), Path()))
        return CausalModel({OUTCOME: RoleNetwork(encoder, Dot(2))}, "logit")

    reason = reason_to_fit_alone(replace(base, model=model))
    assert reason == "Other does not stack, nor by vmap: it draws"
    alone = reason_to_fit_alone(replace(base, optimizer=AdamWRows()))
    assert alone == "optimizer=AdamWRows steps the rows of a batch alone"
    settings = replace(base.trainer, precision="bf16-mixed")
    assert reason_to_fit_alone(replace(base, trainer=settings)) == "trainer.precision=bf16-mixed"
    assert reason_to_fit_alone(replace(base, trainer=replace(base.trainer, devices=2))) == "trainer.devices=2"


def test_numbers_apart_from_kind_decide_what_stacks(tmp_path: Path) -> None:
    base = task(tmp_path, objective_of("dr_jl"))
    alike = [replace(base, seed=3), replace(base, objective=objective_of("dr_jl", clip=0.3))]
    alike += [replace(base, optimizer=AdamW(lr=1e-3, weight_decay=9.0))]
    apart = [replace(base, objective=objective_of("dr_jl", legacy_public_code=True)), replace(base, optimizer=SGD())]
    apart += [replace(base, sampler=Balanced(batch_size=8)), replace(base, criterion="naive"), replace(base, epochs=2)]
    assert all(stack_key(other) == stack_key(base) for other in alike)
    assert all(stack_key(other) != stack_key(base) for other in apart)


def test_a_stack_cut_between_epochs_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainerSettings(progress=False, max_epochs=9, patience=2, checkpoint_seconds=0.0)
    optimizers = [AdamW(lr=lr, weight_decay=0.01) for lr in (0.5, 0.02, 0.5)]
    tasks = [
        task(tmp_path, objective_of("dr_jl"), trainer=settings, seed=seed, optimizer=optimizer)
        for seed, optimizer in enumerate(optimizers)
    ]
    full_fits = fit_stacked(tasks, lambda size: 99)
    assert len({fit.epochs for fit in full_fits}) > 1
    real = stacked_trainer.StackedTrainer.epoch
    for cut in range(1, max(fit.epochs for fit in full_fits) + 1):
        checkpoint_dir, left = tmp_path / f"checkpoint_dir{cut}", [cut]

        def dying(self: Any, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            real(self)

        monkeypatch.setattr(stacked_trainer.StackedTrainer, "epoch", dying)
        if cut < max(fit.epochs for fit in full_fits):
            with pytest.raises(KeyboardInterrupt):
                fit_stacked(tasks, lambda size: 99, checkpoint_dir=checkpoint_dir)
        else:
            fit_stacked(tasks, lambda size: 99, checkpoint_dir=checkpoint_dir)
        monkeypatch.setattr(stacked_trainer.StackedTrainer, "epoch", real)
        resumed = fit_stacked(tasks, lambda size: 99, checkpoint_dir=checkpoint_dir)
        assert all(largest(a.state, b.state) == 0 for a, b in zip(full_fits, resumed, strict=True)), cut
        assert [fit.curve for fit in resumed] == [fit.curve for fit in full_fits]
        assert [(f.criterion, f.best_epoch) for f in resumed] == [(f.criterion, f.best_epoch) for f in full_fits]


def test_a_damaged_or_foreign_stack_is_not_gone_on_with(tmp_path: Path) -> None:
    settings = TrainerSettings(progress=False, max_epochs=3, patience=3, checkpoint_seconds=0.0)
    tasks = [task(tmp_path, objective_of("naive"), trainer=settings, seed=seed) for seed in range(2)]
    full_fits = fit_stacked(tasks, lambda size: 99, checkpoint_dir=tmp_path / "checkpoint_dir")
    (checkpoint_file,) = (tmp_path / "checkpoint_dir").glob("*.ckpt")
    checkpoint_file.write_bytes(checkpoint_file.read_bytes()[:-7])
    with pytest.warns(UserWarning, match="damaged .* starting these fits again"):
        again = fit_stacked(tasks, lambda size: 99, checkpoint_dir=tmp_path / "checkpoint_dir")
    assert all(largest(a.state, b.state) == 0 for a, b in zip(full_fits, again, strict=True))
    fit_stacked(
        [replace(fit_request, seed=9 + fit_request.seed) for fit_request in tasks],
        lambda size: 99,
        checkpoint_dir=tmp_path / "checkpoint_dir",
    )
    assert len(list((tmp_path / "checkpoint_dir").glob("*.ckpt"))) == 2, "other tasks are another stack"


def test_numbers_that_replicas_share_are_held_once_and_give_what_a_copy_for_each_would() -> None:
    torch.manual_seed(0)
    sources = RowSources(["b", "a", "b", "c", "b"], torch.device("cpu"))
    rows, coefficients = torch.randn(3, 7, 4).double(), torch.randn(5, 4, 1).double().requires_grad_()
    shared = DeduplicatedFeatures(rows, sources)
    copies = rows[torch.tensor([0, 1, 0, 2, 0])]
    weight = torch.randn(5, 7, 1).double()
    results = []
    for numbers in (shared, copies):
        product = numbers @ coefficients
        (gradient,) = torch.autograd.grad((product * weight).sum(), coefficients)
        results += [product.detach(), gradient]
    torch.testing.assert_close(results[0], results[2], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(results[1], results[3], rtol=1e-12, atol=1e-12)
    assert shared.shape == copies.shape and shared.dtype == copies.dtype and torch.equal(shared[3], copies[3])
    assert torch.equal(torch.zeros_like(shared), torch.zeros_like(copies))


def test_replicas_of_one_seed_do_not_copy_its_numbers(tmp_path: Path) -> None:
    tasks = [task(tmp_path, objective_of("naive"), seed=seed) for seed in (0, 1, 0, 0)]
    batches = StackedBatches(tasks, torch.float64, torch.device("cpu"))
    features: Any = next(batches.training(0)).features
    assert features.rows.shape == (2, 16, 2) and features.shape == (4, 16, 2)
    judged: Any = next(batches.validation()).features
    assert judged.rows.shape == (1, len(VALIDATION), 2)


def test_the_weights_of_a_fit_hold_no_other_replicas(tmp_path: Path) -> None:
    tasks = [task(tmp_path, objective_of("naive"), seed=seed) for seed in range(3)]
    for fit in fit_stacked(tasks, lambda size: 99):
        assert all(value.untyped_storage().nbytes() == value.nbytes for value in fit.state.values())
