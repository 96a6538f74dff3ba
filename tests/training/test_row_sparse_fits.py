"""Fits by `optimizer=adamw_rows` through Lightning: beside dense ones, in checkpoints, on two processes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import AbstractEncoder, EncoderInputs
from causalrec.encoders.bert4rec import BERT4Rec
from causalrec.encoders.hybrid import Hybrid
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.bpr import BPR
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training import checkpoint
from causalrec.training.checkpoint import read_checkpoint
from causalrec.training.datamodule import LogDataModule
from causalrec.training.fit_result import FitResult
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AbstractOptimizer, AdamW, AdamWRows
from causalrec.training.scheduler import Cosine
from causalrec.training.trainer import TrainerSettings, seed_everything

USERS, ITEMS = 30, 20
SETTINGS: dict[str, float] = {"lr": 0.02, "weight_decay": 1.0, "bias_decay": 0.3}


def log_of(seed: int, rows: int) -> InteractionLog:
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    return InteractionLog(
        item=codes % ITEMS,
        treatment=np.ones(rows, np.int64),
        outcome=(rng.random(rows) < 0.3 + 0.4 * (codes % 2)).astype(np.float32),
        num_items=ITEMS,
        user=codes // ITEMS,
        num_users=USERS,
        propensity=rng.uniform(0.1, 0.9, rows).astype(np.float32),
        time=np.arange(rows),
    )


def encoder_of(kind: type[AbstractEncoder]) -> AbstractEncoder:
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path(), history_log=log_of(0, 199))
    if kind is Hybrid:
        return Hybrid(inputs, model="", item=("id",), user=("id",), width=4)
    return BERT4Rec(inputs, width=4, length=5, dropout=0.0) if kind is BERT4Rec else MF(inputs, width=4)


def module_of(
    optimizer: AbstractOptimizer, objective: AbstractObjective, kind: type[AbstractEncoder] = MF
) -> CausalRecModule:
    seed_everything(0)
    networks = {role: RoleNetwork(encoder_of(kind), Dot(0)) for role in objective.roles}
    return CausalRecModule(CausalModel(networks, "logit"), objective, optimizer, scheduler=Cosine(least_lr=0.01))


def fit(
    folder: Path,
    optimizer: AbstractOptimizer,
    objective: AbstractObjective | None = None,
    kind: type[AbstractEncoder] = MF,
    batch_size: int = 33,
    **settings: Any,
) -> FitResult:
    objective = Naive() if objective is None else objective
    module = module_of(optimizer, objective, kind)
    empty = [np.zeros((count, 0), np.float32) for count in (USERS, ITEMS)]
    features, sampler = FeatureMatrix((), ("user", "item"), *empty, ()), Balanced(batch_size=batch_size)
    logs = log_of(0, 199), log_of(1, 61)
    data = LogDataModule(*logs, features, sampler, objective.space, 0, with_time=module.model.reads_time)
    chosen = {"max_epochs": 3, "progress": False, "precision": "64-true", **settings}
    return TrainerSettings(**chosen).fit(module, data, None, folder, "test")


def largest_difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    assert set(first) == set(second)
    return max(float((first[name] - second[name]).abs().max()) for name in first if first[name].numel())


@pytest.mark.parametrize("kind", [MF, Hybrid, BERT4Rec])
def test_where_a_batch_reads_every_id_fits_are_those_of_adamw(tmp_path: Path, kind: type[AbstractEncoder]) -> None:
    ours = fit(tmp_path / "rows", AdamWRows(**SETTINGS), kind=kind, batch_size=199)
    theirs = fit(tmp_path / "dense", AdamW(**SETTINGS), kind=kind, batch_size=199)
    assert largest_difference(ours.state, theirs.state) < 1e-7
    assert ours.criterion == pytest.approx(theirs.criterion, abs=1e-7)


@pytest.mark.parametrize(
    ("objective", "clip"),
    [
        pytest.param(BPR(), None, id="bpr"),
        pytest.param(Naive(), 0.05, id="naive-clipped"),
        pytest.param(Naive(), None, id="naive", marks=pytest.mark.long),
        pytest.param(DRJL(), 0.05, id="dr_jl-clipped", marks=pytest.mark.long),
    ],
)
def test_two_processes_give_the_fit_of_one(tmp_path: Path, objective: AbstractObjective, clip: float | None) -> None:
    fits = [
        fit(tmp_path / strategy, AdamWRows(**SETTINGS), objective, gradient_clip=clip, strategy=strategy, devices=count)
        for strategy, count in (("auto", 1), ("ddp", 2))
    ]
    assert largest_difference(fits[0].state, fits[1].state) < 1e-6
    assert fits[0].criterion == pytest.approx(fits[1].criterion, abs=1e-6)


def test_clipping_bites_and_is_that_of_dense_gradients(tmp_path: Path) -> None:
    clipped = {"batch_size": 199, "gradient_clip": 0.05, "max_epochs": 5}
    ours = fit(tmp_path / "rows", AdamWRows(**SETTINGS), **clipped)
    assert largest_difference(ours.state, fit(tmp_path / "dense", AdamW(**SETTINGS), **clipped).state) < 1e-7
    free = fit(tmp_path / "free", AdamWRows(**SETTINGS), **{**clipped, "gradient_clip": None})
    assert largest_difference(ours.state, free.state) > 1e-4


def test_checkpoints_hold_tables_with_all_their_decay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[dict[str, Any]] = []
    monkeypatch.setattr(checkpoint, "write_checkpoint", lambda path, content: saved.append(copy.deepcopy(content)))
    fit(tmp_path, AdamWRows(**SETTINGS), batch_size=2, max_epochs=1, checkpoint_steps=7, precision="32-true")
    name = "model.networks.outcome.encoder.user_table.vectors"
    start = module_of(AdamWRows(**SETTINGS), Naive()).state_dict()[name]
    waiting, caught_up = saved[0]["waiting"][name], saved[0]["state_dict"][name]
    untouched = (waiting == start).all(1)
    assert 5 < int(untouched.sum()) < USERS
    torch.testing.assert_close(caught_up[untouched], start[untouched] * (1 - 0.02) ** 7)


def test_weights_that_are_kept_hold_all_their_decay(tmp_path: Path) -> None:
    name = "model.networks.outcome.encoder.user_table.vectors"
    start = module_of(AdamWRows(**SETTINGS), Naive()).state_dict()[name].double()
    for epochs in (None, 1):  # judged, and a refit without validation
        state = fit(tmp_path / str(epochs), AdamWRows(**SETTINGS), batch_size=2, limit_batches=4, max_epochs=1).state
        ratio = state[name] / start
        untouched = (ratio - ratio.mean(1, keepdim=True)).abs().max(1).values < 1e-9
        assert 15 < int(untouched.sum()) < USERS
        torch.testing.assert_close(ratio[untouched], torch.full_like(ratio[untouched], 0.98**4))
    assert read_checkpoint(tmp_path / "1" / "best.ckpt")["state_dict"][name].equal(state[name])
