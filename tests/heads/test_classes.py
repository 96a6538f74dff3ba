"""One raw output per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.features.views import FeatureMatrix
from causalrec.heads.classes import Classes
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, inference_batch, vector_width
from causalrec.role_network import RoleNetwork
from causalrec.types import OUTCOME

VIEW = FeatureMatrix(
    ("a", "b"),
    ("user", "item"),
    np.array([[1.0], [-1.0], [0.5]], np.float32),
    np.array([[0.0], [2.0]], np.float32),
    (),
)


def test_by_hand() -> None:
    head = Classes(1, 2, num_classes=2)
    with torch.no_grad():
        head.met.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        head.met.bias.copy_(torch.tensor([0.5, 0.0]))
        head.coefficients.copy_(torch.tensor([10.0, -10.0]))
    raw = head(torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 1.0]]), torch.tensor([[0.1]]))
    assert raw.tolist() == [[2 + 6 + 0.5 + 1, -3 - 1]]
    bare = Classes(0, 2, num_classes=4)
    assert bare(torch.ones(5, 2), torch.ones(5, 2), torch.zeros(5, 0)).shape == (5, 4)


def test_every_parameter_is_reached_by_the_first_gradient() -> None:
    torch.manual_seed(0)
    encoder = MF(EncoderInputs(3, 2, (), Path(), Path()), width=4)
    network = RoleNetwork(encoder, Classes(2, vector_width(encoder, VIEW), num_classes=3))
    batch = inference_batch(np.array([0, 1, 2]), np.array([0, 1, 1]), VIEW)
    network(batch).log_softmax(-1)[:, 2].sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize("width", [2, 7])
def test_the_width_of_vectors_is_asked_of_the_encoder_and_draws_nothing(width: int) -> None:
    encoder = MF(EncoderInputs(3, 2, (), Path(), Path()), width=width)
    state = torch.get_rng_state()
    assert vector_width(encoder, VIEW) == width + 2  # two for the biases
    assert torch.equal(state, torch.get_rng_state()) and encoder.training


def test_a_model_predicts_the_chance_of_each_class() -> None:
    torch.manual_seed(0)
    encoder = MF(EncoderInputs(3, 2, (), Path(), Path()), width=4)
    model = CausalModel({OUTCOME: RoleNetwork(encoder, Classes(2, 6, num_classes=3))}, "softmax")
    from causalrec.estimators.objective.naive import Naive

    user, item = np.array([0, 1, 2, 2]), np.array([0, 1, 1, 0])
    predicted = model.predict(user, item, VIEW, Naive())
    raw = model(inference_batch(user, item, VIEW))[OUTCOME]
    np.testing.assert_allclose(predicted, raw.softmax(-1).detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(predicted.sum(1), 1, rtol=1e-5)


def test_neither_head_stacks_what_the_other_gives() -> None:
    assert Classes.links == {"softmax"} and "softmax" not in Dot.links
    assert Classes.reads_width and not Dot.reads_width and not Classes.vectorizable
