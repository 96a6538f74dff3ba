"""NeuMF: its sum by hand, MF as its special case, unseen ids, and rows of ids alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from causalrec.encoders.base import AbstractIdRows
from causalrec.encoders.mf import MF
from causalrec.encoders.neumf import NeuMF
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.optimizer import AdamWRows
from causalrec.training.stacked.stack_key import reason_to_fit_alone
from causalrec.training.stacked.stacked_trainer import fit_stacked
from causalrec.training.trainer import TrainerSettings
from causalrec.training.unseen_ids import set_unseen_to_mean
from causalrec.types import OUTCOME
from tests.encoders.test_mf import ITEMS, USERS, inputs, pairs
from tests.test_config import refusal
from tests.training.test_stacked import VIEW, largest, objective_of, task


def sum_of(encoder: NeuMF) -> Tensor:
    return encoder.pairs(pairs()).sum(-1)


def test_the_sum_by_hand() -> None:
    """width 1, one layer: p q + h relu((w . [p', q']) / 2 + a) + b + c."""
    encoder = NeuMF(inputs(), width=1, layers=1)
    with torch.no_grad():
        for table, rows in ((encoder.user_table, (2.0, 4.0)), (encoder.item_table, (3.0, 6.0))):
            assert table.vectors is not None
            table.vectors.copy_(torch.tensor(rows).expand_as(table.vectors))
        encoder.user_table.bias.fill_(0.5)
        encoder.item_table.bias.fill_(0.25)
        encoder.tower[0].weight.copy_(torch.tensor([[1.0, 0.5]]))  # type: ignore[operator]
        encoder.tower[0].bias.fill_(-1.0)  # type: ignore[operator]
        encoder.mix.fill_(10.0)
    expected = 2 * 3 + 10 * (7 / 2 - 1) + 0.75
    torch.testing.assert_close(sum_of(encoder), torch.full((USERS * ITEMS,), expected))


def test_it_starts_as_the_mf_of_its_width() -> None:
    encoder, mf = NeuMF(inputs(), width=3), MF(inputs(), width=3)
    with torch.no_grad():
        for mine, other in ((encoder.user_table, mf.user_table), (encoder.item_table, mf.item_table)):
            assert mine.vectors is not None and other.vectors is not None
            other.vectors.copy_(mine.vectors[:, :3])
    expected = (mf.users(pairs()) * mf.items(pairs().item)).sum(-1)
    torch.testing.assert_close(sum_of(encoder), expected)
    assert set(NeuMF.submodels({"width": 3, "layers": 2}, {})) == {"mf", "biases"}
    assert NeuMF.submodels({"width": 3}, {})["mf"].settings == {"width": 3}


def test_it_tells_what_no_sum_of_products_tells() -> None:
    """Log-odds that depend on a user and an item by their maximum, of one factor: the tower learns it, MF does not."""
    user, item = torch.arange(20) // 5 / 3.0, torch.arange(20) % 5 / 4.0
    target = 4 * torch.maximum(user, item)
    misses = {}
    for name, encoder in (("mf", MF(inputs(), width=1)), ("neumf", NeuMF(inputs(), width=4))):
        torch.manual_seed(0)
        model = RoleNetwork(encoder, Dot(2))  # type: ignore[arg-type]
        optimizer = torch.optim.Adam(model.parameters(), 0.03)
        for _ in range(500):
            miss = (model(pairs()) - target).square().mean()
            optimizer.zero_grad()
            miss.backward()
            optimizer.step()
        misses[name] = float(miss.detach())
    assert misses["neumf"] < 0.1 * misses["mf"]


def request_of(folder: Path, seed: int, **changes: object) -> object:
    ids = inputs(14, 11)
    brief = TrainerSettings(progress=False, max_epochs=3, precision="64-true")
    model = lambda: CausalModel({OUTCOME: RoleNetwork(NeuMF(ids, width=2), Dot(len(VIEW)))}, "logit")  # noqa: E731
    return task(folder, objective_of("naive"), model=model, seed=seed, trainer=brief, **changes)


def test_a_stack_gives_what_each_gives_alone_without_vmap(tmp_path: Path) -> None:
    requests = [request_of(tmp_path / str(seed), seed) for seed in (0, 1)]
    assert NeuMF.vectorizable and reason_to_fit_alone(requests[0]) is None  # type: ignore[arg-type]
    for packed, request in zip(fit_stacked(requests, lambda size: 9), requests, strict=True):  # type: ignore[arg-type]
        assert not isinstance(packed, Exception) and largest(packed.state, request.fit().state) < 1e-8  # type: ignore[attr-defined]


def test_rows_of_ids_are_stepped_alone_and_unseen_ids_read_at_the_mean(tmp_path: Path) -> None:
    fit = request_of(tmp_path, 0, optimizer=AdamWRows(lr=0.05, weight_decay=0.1)).fit()  # type: ignore[attr-defined]
    assert all(torch.isfinite(value).all() for value in fit.state.values())
    encoder = NeuMF(inputs(), width=2)
    assert sum(isinstance(module, AbstractIdRows) for module in encoder.modules()) == 2
    set_unseen_to_mean(encoder, {"user": torch.tensor([True, False, True, True])})
    vectors = encoder.user_table.vectors
    assert vectors is not None and vectors.shape == (USERS, 2 + 4)
    torch.testing.assert_close(vectors[1], vectors[[0, 2, 3]].mean(0))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("encoder.layers=0", "encoder.layers=0: input should be greater than or equal to 1"),
        ("encoder.width=0", "encoder.width=0: input should be greater than 0"),
    ],
)
def test_a_tower_of_nothing_is_refused(override: str, message: str) -> None:
    assert refusal("encoder=neumf", override).startswith(message)
