"""Networks read the row of each logged row, alone, side by side and when they predict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.sampler.rows import SampledRows
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.errors import DataError
from causalrec.estimators.objective.factual import Factual
from causalrec.features.row_columns import CategoryOfRow, NumberOfRow
from causalrec.features.views import FeatureMatrix
from causalrec.heads.t_net import TNet
from causalrec.models import CausalModel, vector_width
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import LogDataModule, LogTensors
from causalrec.training.fit_request import FitRequest
from causalrec.training.fit_store import fit_fingerprint
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.stacked.batches import StackedBatches
from causalrec.training.stacked.stacked_trainer import StackedTrainer, fit_stacked
from causalrec.training.trainer import TrainerSettings

USERS, ITEMS, ROWS = 5, 4, 90  # pairs repeat, at other hours
NAMES = ("age", "hour", "store=a", "store=b")
FEATURES = FeatureMatrix(
    NAMES,
    (),
    np.arange(USERS, dtype=np.float32)[:, None],
    np.zeros((ITEMS, 0), np.float32),
    (),
    (NumberOfRow("hour", 12.0, 6.0), CategoryOfRow("store", ("a", "b"))),
)


def log_of(rows: int, seed: int) -> InteractionLog:
    """The outcome is the hour, whatever the pair."""
    rng = np.random.default_rng(seed)
    hour = rng.uniform(0, 24, rows)
    return InteractionLog(
        item=rng.integers(ITEMS, size=rows),
        treatment=rng.integers(2, size=rows),
        outcome=((hour - 12) / 6).astype(np.float32),
        num_items=ITEMS,
        user=rng.integers(USERS, size=rows),
        num_users=USERS,
        propensity=np.full(rows, 0.5, np.float32),
        columns={"hour": hour, "store": np.array(["a", "b"])[rng.integers(2, size=rows)]},
    )


TRAIN, VALIDATION = log_of(ROWS, 0), log_of(30, 1)


def model() -> CausalModel:
    encoder = MF(EncoderInputs(USERS, ITEMS, (), Path(), Path()), width=2)
    (role,) = Factual().roles
    head = TNet(len(FEATURES), vector_width(encoder, FEATURES), 2, width=8)
    return CausalModel({role: RoleNetwork(encoder, head)}, "identity")


def request(folder: Path, **changes: Any) -> FitRequest:
    defaults: dict[str, Any] = {
        "model": model,
        "objective": Factual(),
        "optimizer": AdamW(lr=0.02, weight_decay=0.01),
        "trainer": TrainerSettings(progress=False, max_epochs=40, patience=40, precision="64-true"),
        "sampler": Balanced(batch_size=32),
        "features": FEATURES,
        "train": TRAIN,
        "validation": VALIDATION,
        "seed": 0,
        "criterion": "naive",
        "clip": 0.01,
        "validation_space": "logged",
        "pair_propensity": None,
        "logger": None,
        "folder": folder,
        "label": "test",
        "prefix": "",
    }
    return FitRequest(**{**defaults, **changes})


def test_a_batch_holds_the_row_of_each_of_its_rows() -> None:
    order = np.array([[7, 3], [0, 80]])
    rows = SampledRows(order, TRAIN.users[order], TRAIN.item[order], np.ones((2, 2), np.float32))
    batch = LogTensors(TRAIN, FEATURES).batches(rows)
    np.testing.assert_array_equal(batch.features, FEATURES.of_log(TRAIN)[order])
    np.testing.assert_allclose(batch.features[..., 1], batch.outcome, rtol=1e-6)
    unlogged = replace(rows, row=np.array([[7, -1], [0, 80]]))
    with pytest.raises(DataError, match="pairs that were never logged have no hour, store; choose an objective over"):
        LogTensors(TRAIN, FEATURES).batches(unlogged)


def test_stacked_batches_hold_the_rows_of_each_fit(tmp_path: Path) -> None:
    requests = [request(tmp_path, seed=seed) for seed in (0, 1)]
    for batch in StackedBatches(requests, torch.float32, torch.device("cpu")).training(0):
        features = torch.as_tensor(batch.features[..., :])  # what stands for a tensor is made here
        torch.testing.assert_close(features[..., 1], batch.outcome)


def test_fits_side_by_side_read_rows_as_each_would_alone(tmp_path: Path) -> None:
    requests = [request(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    together = fit_stacked(requests, lambda _: 2)
    for wanted, fit in zip(requests, together, strict=True):
        alone = wanted.fit()
        for name, value in alone.state.items():
            torch.testing.assert_close(fit.state[name].double(), value.double(), rtol=1e-8, atol=1e-10)
        assert fit.criterion == pytest.approx(alone.criterion, rel=1e-6)
        assert alone.criterion < 0.05, "the hour tells the outcome, whose variance is about 1.3"


def test_what_is_predicted_follows_the_row(tmp_path: Path) -> None:
    fitted = model()
    state = request(tmp_path).fit().state
    fitted.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})
    block = FEATURES.row_block(VALIDATION)
    arguments = (VALIDATION.users, VALIDATION.item, FEATURES, Factual(), None, Factual().potential_outcomes)
    by_arm = fitted.predict(*arguments, block)
    factual = by_arm[np.arange(len(VALIDATION)), VALIDATION.treatment]
    assert np.corrcoef(factual, VALIDATION.outcome)[0, 1] > 0.97
    with pytest.raises(DataError, match="features: hour, store are of the row"):
        fitted.predict(*arguments)


def test_another_row_is_another_fit(tmp_path: Path) -> None:
    later = replace(TRAIN, columns={**TRAIN.columns, "hour": TRAIN.columns["hour"] + 1})
    digests = []
    for train in (TRAIN, later):
        torch.manual_seed(0)
        module = CausalRecModule(model(), Factual(), AdamW())
        data = LogDataModule(train, VALIDATION, FEATURES, Balanced(), "logged", 0)
        digests.append((fit_fingerprint(module, data, ""), StackedTrainer([request(tmp_path, train=train)]).identity))
    assert digests[0][0] != digests[1][0] and digests[0][1] != digests[1][1]
