"""Matrix factorisation, the head that meets its towers, and the model by roles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from causalrec.encoders.base import EncoderInputs, IdTable
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.types import IMPUTATION, OUTCOME, Batch

USERS, ITEMS, WIDTH = 4, 5, 3


def inputs(users: int = USERS, items: int = ITEMS) -> EncoderInputs:
    return EncoderInputs(users, items, (), Path(), Path())


def numbers(features: int = 2) -> FeatureMatrix:
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(n, f)).astype(np.float32) for n, f in ((USERS, features), (ITEMS, 0))]
    return FeatureMatrix(tuple(f"f{k}" for k in range(features)), ("user", "item"), *blocks, ())


def every_pair() -> tuple[np.ndarray, np.ndarray]:
    every = np.arange(USERS * ITEMS)
    return every // ITEMS, every % ITEMS


def pairs() -> Batch:
    return inference_batch(*every_pair(), numbers())


def randomise(encoder: MF) -> MF:
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_()
    return encoder


def split_bias(table: IdTable, ids: Tensor) -> tuple[Tensor, Tensor]:
    assert table.vectors is not None
    return table.vectors[ids], table.bias[ids]


def test_the_product_of_the_towers_is_p_q_plus_both_biases() -> None:
    torch.manual_seed(0)
    encoder, batch = randomise(MF(inputs(), width=WIDTH)), pairs()
    assert batch.user is not None
    p, b = split_bias(encoder.user_table, batch.user)
    q, c = split_bias(encoder.item_table, batch.item)
    assert p.shape[1] == q.shape[1] == WIDTH
    product = (encoder.users(batch) * encoder.items(batch.item)).sum(-1)
    torch.testing.assert_close(product, (p * q).sum(1) + b + c)
    assert encoder.users(batch).shape == encoder.items(batch.item).shape == (USERS * ITEMS, WIDTH + 2)


def test_the_dot_head_adds_numbers_and_a_global_bias() -> None:
    head = Dot(2)
    with torch.no_grad():
        head.coefficients.copy_(torch.tensor([0.5, -1.0]))
        head.bias.fill_(0.25)
    user, item = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
    assert head(user, item, torch.tensor([[2.0, 3.0]])).tolist() == [11 + 1 - 3 + 0.25]


def test_biases_start_at_zero_and_towers_do_not() -> None:
    encoder = MF(inputs(), width=WIDTH)
    for table in (encoder.user_table, encoder.item_table):
        vector, bias = split_bias(table, torch.arange(4))
        assert not bias.any() and vector.abs().min() > 0


def test_width_zero_is_the_model_of_the_biases() -> None:
    encoder, batch = randomise(MF(inputs(), width=0)), pairs()
    assert batch.user is not None and encoder.user_table.vectors is None
    expected = encoder.user_table.bias[batch.user] + encoder.item_table.bias[batch.item]
    torch.testing.assert_close((encoder.users(batch) * encoder.items(batch.item)).sum(-1), expected)


def test_item_ids_of_any_shape_give_a_vector_each() -> None:
    encoder = MF(inputs(), width=WIDTH)
    ids = torch.tensor([[0, 1, 2], [4, 3, 2]])
    assert encoder.items(ids).shape == (2, 3, WIDTH + 2)
    assert torch.equal(encoder.items(ids)[1, 0], encoder.items(torch.tensor([4]))[0])


def test_without_a_user_in_the_view_all_users_share_one_row() -> None:
    encoder, batch = randomise(MF(inputs(users=0), width=WIDTH)), pairs()
    assert len(encoder.user_table.bias) == 1
    vectors = encoder.users(batch)
    assert torch.equal(vectors, vectors[:1].expand_as(vectors))
    assert len(torch.unique(encoder.items(batch.item), dim=0)) == ITEMS
    vectors.sum().backward()
    assert encoder.user_table.vectors is not None
    gradient = encoder.user_table.vectors.grad
    assert gradient is not None and gradient[0, 0] == USERS * ITEMS


def test_without_an_item_in_the_view_all_items_share_one_row() -> None:
    encoder, batch = randomise(MF(inputs(items=0), width=WIDTH)), pairs()
    vectors = encoder.items(batch.item)
    assert len(encoder.item_table.bias) == 1
    assert torch.equal(vectors, vectors[:1].expand_as(vectors))
    assert len(torch.unique(encoder.users(batch), dim=0)) == USERS


def test_a_userless_batch_reads_row_zero() -> None:
    encoder, batch = MF(inputs(users=0), width=WIDTH), pairs()
    userless = Batch(**{**vars(batch), "user": None})
    assert torch.equal(encoder.users(userless), encoder.users(batch))


def model(link: str = "logit") -> CausalModel:
    torch.manual_seed(1)
    networks = {r: RoleNetwork(randomise(MF(inputs(), width=WIDTH)), Dot(2)) for r in (OUTCOME, IMPUTATION)}
    return CausalModel(networks, link)  # type: ignore[arg-type]


def test_roles_share_no_parameter_and_together_own_all() -> None:
    causal_model = model()
    owned = [{id(p) for p in causal_model.parameters_of(role)} for role in (OUTCOME, IMPUTATION)]
    assert owned[0] and not owned[0] & owned[1]
    assert owned[0] | owned[1] == {id(p) for p in causal_model.parameters()}


@pytest.mark.parametrize(("link", "mean"), [("identity", lambda x: x), ("logit", torch.sigmoid), ("log", torch.exp)])
def test_predictions_are_mean_outcomes_in_any_chunk(link: str, mean: object) -> None:
    causal_model, (user, item) = model(link), every_pair()
    predicted = causal_model.predict(user, item, numbers(), Naive())
    causal_model.network(OUTCOME).encoder.rows_at_once = 7
    np.testing.assert_allclose(causal_model.predict(user, item, numbers(), Naive()), predicted, rtol=1e-6)
    raw = causal_model(pairs())[OUTCOME].detach()
    np.testing.assert_allclose(predicted, mean(raw).numpy(), rtol=1e-6)  # type: ignore[operator]
    assert predicted.dtype == np.float32
