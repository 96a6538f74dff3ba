"""Ids without a training row are read at the mean of those that have one, wherever effects are learnt by id."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from causalrec.data.log import InteractionLog
from causalrec.encoders.base import AbstractIdRows, EncoderInputs, IdTable
from causalrec.encoders.bert4rec import BERT4Rec
from causalrec.encoders.hybrid import Hybrid
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.factual import Factual
from causalrec.training.checkpoint import read_checkpoint
from causalrec.training.fit_request import FitRequest
from causalrec.training.folds import fold_logs
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.unseen_ids import set_unseen_to_mean, trained_ids
from causalrec.types import Space
from tests.training.test_stacked import ITEMS, USERS, VIEW, log_of, task, with_treatments

ROWS = with_treatments(log_of(120))
NEW_USER, NEW_ITEM = 13, 10
INSIDE = (ROWS.users != NEW_USER) & (ROWS.item != NEW_ITEM)
TRAIN, VALIDATION = ROWS.take(np.flatnonzero(INSIDE)), ROWS.take(np.flatnonzero(~INSIDE))


def inputs() -> EncoderInputs:
    return EncoderInputs(USERS, ITEMS, (), Path(), Path(), history_log=dataclasses.replace(TRAIN, time=TRAIN.item))


def request_of(folder: Path, **changes: Any) -> FitRequest:
    return dataclasses.replace(task(folder, Factual()), **{"train": TRAIN, "validation": VALIDATION, **changes})


def assert_unseen_at_mean(tables: dict[str, torch.Tensor], log: InteractionLog, seen: set[str]) -> None:
    """Of each table whose entity is in `seen`, rows of ids without a row in the log are the mean of the others."""
    for name, table in tables.items():
        entity = "user" if "user" in name else "item"
        ids, count = (log.users, USERS) if entity == "user" else (log.item, ITEMS)
        with_rows = np.isin(np.arange(count), ids)
        assert not with_rows.all()
        mean = table[:count][with_rows].mean(0).expand_as(table[:count][~with_rows])
        assert torch.allclose(table[:count][~with_rows], mean, atol=1e-6) == (entity in seen), name


def id_tables(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights.items() if "_table.vectors" in name}


@pytest.mark.parametrize(
    "encoder",
    [
        lambda: MF(inputs(), width=3),
        lambda: MF(inputs(), width=0),
        lambda: Hybrid(inputs(), model="none", item=("id",), user=("id",), width=3),
        lambda: BERT4Rec(inputs(), width=4, layers=1, heads=1, length=3),
    ],
)
def test_each_encoder_of_ids_says_which_rows_are_of_ids(encoder: Any) -> None:
    torch.manual_seed(0)
    built = encoder()
    modules = [module for module in built.modules() if isinstance(module, AbstractIdRows)]
    assert modules and all(module.id_rows() for module in modules)
    before = {name: value.clone() for name, value in built.state_dict().items()}
    set_unseen_to_mean(built, trained_ids(TRAIN, "logged"))
    for module in modules:
        new, count = (NEW_USER, USERS) if module.entity == "user" else (NEW_ITEM, ITEMS)
        for table in module.id_rows():
            others = [k for k in range(count) if k != new]
            torch.testing.assert_close(table[new], table[others].mean(0))
    changed = sum(int((before[name] != value).any()) for name, value in built.state_dict().items())
    assert changed <= sum(len(module.id_rows()) for module in modules)


@pytest.mark.parametrize(
    ("space", "entities"), [("logged", {"user", "item"}), ("triples", {"user"}), ("all_pairs", set())]
)
def test_pairs_that_are_drawn_train_ids_without_a_row(space: Space, entities: set[str]) -> None:
    assert set(trained_ids(TRAIN, space)) == entities
    exposed = dataclasses.replace(TRAIN, treatment=np.ones(len(TRAIN), np.int64))
    assert trained_ids(exposed, space) == {}, "nothing changes where exposure is all that is logged"
    assert set(trained_ids(dataclasses.replace(TRAIN, user=None), "logged")) == {"item"}


def test_a_fit_and_its_checkpoint_hold_the_mean_and_a_refit_too(tmp_path: Path) -> None:
    request = request_of(tmp_path / "one")
    fit = request.fit()
    assert_unseen_at_mean(id_tables(fit.state), TRAIN, {"user", "item"})
    saved = read_checkpoint(request.folder / "best.ckpt")["state_dict"]
    assert_unseen_at_mean(id_tables(saved), TRAIN, {"user", "item"})
    refit = request_of(tmp_path / "two", validation=TRAIN, epochs=2).fit()
    assert_unseen_at_mean(id_tables(refit.state), TRAIN, {"user", "item"})


def test_the_criterion_of_unseen_rows_is_that_of_average_ids(tmp_path: Path) -> None:
    fit = request_of(tmp_path).fit()
    model = request_of(tmp_path).fresh_model()
    model.load_state_dict({name.removeprefix("model."): value.float() for name, value in fit.state.items()})
    unseen = np.array([NEW_USER]), np.array([NEW_ITEM])
    before = model.predict(*unseen, VIEW, Factual())
    set_unseen_to_mean(model, trained_ids(TRAIN, "logged"))
    np.testing.assert_allclose(model.predict(*unseen, VIEW, Factual()), before, atol=1e-6)


def test_a_stack_of_folds_reads_each_replica_s_unseen_ids_at_its_own_mean(tmp_path: Path) -> None:
    user, item = np.repeat(np.arange(USERS), 6), (np.arange(6 * USERS) * 5) % ITEMS
    columns = {
        "treatment": user % 2,
        "outcome": (item % 2).astype(np.float32),
        "propensity": np.full(84, 0.5, np.float32),
    }
    unit = dataclasses.replace(ROWS, user=user, item=item, unit=user, unit_level="user", **columns)
    requests = [
        request_of(tmp_path / str(k), train=train, validation=held, seed=k)
        for k, (train, held) in enumerate(fold_logs(unit, 4))
    ]
    sizes = {(len(request.train), len(request.validation)) for request in requests}
    assert len(sizes) == 2, "two stacks of two replicas, of other users each"
    alone = [request.fit() for request in requests]
    for request, fit, stacked in zip(requests, alone, fit_stacked(requests, lambda _: 9), strict=True):
        assert not isinstance(stacked, Exception)
        users = {name: table for name, table in id_tables(fit.state).items() if "user" in name}
        assert_unseen_at_mean(users, request.train, {"user"})
        for name, value in fit.state.items():
            torch.testing.assert_close(stacked.state[name], value, atol=1e-6, rtol=1e-5)


def test_where_every_id_has_a_row_or_none_is_read_nothing_is_set() -> None:
    table = IdTable("user", 3, 2)
    before = table.vectors
    assert before is not None
    copy = before.detach().clone()
    set_unseen_to_mean(table, {"user": torch.tensor([True, True, True])})
    torch.testing.assert_close(table.vectors, copy, rtol=0, atol=0)  # type: ignore[misc]
    assert IdTable("item", 0, 2).id_rows() == []
