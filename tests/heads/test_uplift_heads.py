"""Heads that give outcomes under each treatment."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from causalrec.config.compose import package_folder
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.dr_learner import DRLearner
from causalrec.features.views import FeatureMatrix
from causalrec.heads.base import AbstractHead
from causalrec.heads.descn import DESCN
from causalrec.heads.dragonnet import DragonNet
from causalrec.heads.euen import EUEN
from causalrec.heads.s_net import SNet
from causalrec.heads.t_net import TNet
from causalrec.heads.tarnet import TARNet
from causalrec.heads.treatment_head import AbstractTreatmentHead
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.types import ARMS, EFFECT, EPSILON, PROPENSITY, REPRESENTATION, Role

ROWS, WIDTH, FEATURES = 7, 3, 2


def load_heads() -> dict[str, type[AbstractHead]]:
    heads = {}
    for path in sorted((package_folder("conf") / "head").glob("*.yaml")):
        module, _, name = yaml.safe_load(path.read_text())["_target_"].rpartition(".")
        head = getattr(importlib.import_module(module), name)
        if head.head_outputs:
            heads[path.stem] = head
    return heads


HEADS = load_heads()
each_head = pytest.mark.parametrize("name", HEADS)
each_count = pytest.mark.parametrize("arms", [2, 3])


def random_inputs(seed: int = 0, *lead: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*lead, ROWS, size, generator=draw) for size in (WIDTH, WIDTH, FEATURES))  # type: ignore[return-value]


def test_the_heads_of_effects_are_all_here() -> None:
    assert set(HEADS) == {"s_net", "t_net", "tarnet", "dragonnet", "euen", "descn"}


@each_head
@each_count
def test_a_head_gives_what_it_says_in_the_shapes_of_the_contract(name: str, arms: int) -> None:
    given = HEADS[name](FEATURES, WIDTH, arms)(*random_inputs())
    assert set(given) == HEADS[name].head_outputs
    assert given[ARMS].shape == (ROWS, arms)
    assert all(given[output].shape[0] == ROWS for output in given)
    if PROPENSITY in given:
        assert given[PROPENSITY].shape == (ROWS, arms)
    if EFFECT in given:
        assert given[EFFECT].shape == (ROWS, arms - 1)


@each_head
@each_count
def test_stacked_parameters_give_what_each_gives_alone(name: str, arms: int) -> None:
    alone = []
    for seed in range(2):
        torch.manual_seed(seed)
        alone.append(HEADS[name](FEATURES, WIDTH, arms))
    assert HEADS[name].vectorizable
    stacked, inputs = HEADS[name](FEATURES, WIDTH, arms), random_inputs(3, 2)
    parameters = [dict(head.named_parameters()) for head in alone]
    for parameter_name, parameter in stacked.named_parameters():
        parameter.data = torch.stack([replica_parameters[parameter_name].data for replica_parameters in parameters])
    given = stacked(*inputs)
    for replica, head in enumerate(alone):
        for output, value in head(*(tensor[replica] for tensor in inputs)).items():
            torch.testing.assert_close(given[output][replica], value)


@each_head
def test_every_parameter_moves_an_output(name: str) -> None:
    head = HEADS[name](FEATURES, WIDTH, 3)
    sum(output.square().sum() + output.sum() for output in head(*random_inputs()).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())


def find_moved_arms(head: AbstractHead, submodule: str, before: dict[Any, Tensor]) -> list[bool]:
    """Which columns of the arms change when a submodule's parameters do."""
    with torch.no_grad():
        for parameter in head.get_submodule(submodule).parameters():
            parameter.add_(0.1)
    after = head(*random_inputs())
    return [bool((after[ARMS][:, a] != before[ARMS][:, a]).any()) for a in range(after[ARMS].shape[1])]


def test_a_t_network_shares_nothing_and_tarnet_shares_its_representation() -> None:
    for head, submodule, expected in (
        (TNet(FEATURES, WIDTH, 3), "outcome_heads.1", [False, True, False]),
        (TARNet(FEATURES, WIDTH, 3), "outcome_heads.1", [False, True, False]),
        (TARNet(FEATURES, WIDTH, 3), "trunk", [True, True, True]),
        (DragonNet(FEATURES, WIDTH, 3), "propensity_head", [False, False, False]),
        (EUEN(FEATURES, WIDTH, 3), "effect_heads.0", [False, True, False]),
        (EUEN(FEATURES, WIDTH, 3), "outcome_heads.0", [True, True, True]),
    ):
        assert find_moved_arms(head, submodule, head(*random_inputs())) == expected


def test_an_s_network_reads_the_treatment_as_one_more_input() -> None:
    head = SNet(FEATURES, WIDTH, 2, layers=1)
    user, item, features = random_inputs()
    x = torch.cat([user * item, features], 1)
    for arm in range(2):
        one_hot = torch.zeros(ROWS, 2)
        one_hot[:, arm] = 1
        torch.testing.assert_close(
            head(user, item, features)[ARMS][:, arm], head.outcome_heads[0](torch.cat([x, one_hot], 1))[:, 0]
        )


def test_a_normalised_representation_has_length_one() -> None:
    phi = TARNet(FEATURES, WIDTH, 2, normalised=True)(*random_inputs())[REPRESENTATION]
    torch.testing.assert_close(phi.norm(dim=1), torch.ones(ROWS))
    assert not torch.allclose(
        TARNet(FEATURES, WIDTH, 2)(*random_inputs())[REPRESENTATION].norm(dim=1), torch.ones(ROWS)
    )


def test_epsilon_is_one_number_that_begins_at_nothing() -> None:
    head = DragonNet(FEATURES, WIDTH, 2)
    assert head(*random_inputs())[EPSILON].tolist() == [0.0] * ROWS
    with torch.no_grad():
        head.epsilon.fill_(2)
    assert head(*random_inputs())[EPSILON].tolist() == [2.0] * ROWS


def test_outcomes_are_predicted_in_their_unit_and_effects_in_its_spread() -> None:
    """What training reads is in standard deviations: the same whatever the unit."""
    torch.manual_seed(0)
    inputs, objective = EncoderInputs(3, 0, (), Path(), Path()), DRLearner()
    networks = {role: RoleNetwork(MF(inputs, width=1), DESCN(0, 3, 2)) for role in objective.roles}
    plain, scaled = CausalModel(networks, "identity"), CausalModel(networks, "identity", (10.0, 2.0))
    view = FeatureMatrix((), ("user",), np.zeros((3, 0), np.float32), np.zeros((1, 0), np.float32), ())
    pairs = np.arange(3), np.zeros(3, np.int64), view
    batch, first = inference_batch(*pairs), objective.roles[0]

    def predict(model: CausalModel, role: Role, name: Role) -> Tensor:
        return torch.from_numpy(model.predict(*pairs, objective, extract=lambda o: o.components[role][name]))

    for role, name, mean in ((first, ARMS, 10), (first, EFFECT, 0), (EFFECT, ARMS, 0)):
        torch.testing.assert_close(predict(scaled, role, name), mean + 2 * predict(plain, role, name))
        assert torch.equal(scaled(batch).components[role][name], plain(batch).components[role][name])
    assert torch.equal(predict(scaled, first, PROPENSITY), predict(plain, first, PROPENSITY))
    seen = replace(batch, outcome=torch.tensor([10.0, 12.0, 7.0]), observed=torch.tensor([1.0, 1.0, 0.0]))
    assert scaled.standardise(seen).outcome.tolist() == [0.0, 1.0, 0.0] and plain.standardise(seen) is seen
    assert all(parameter.requires_grad for role in objective.roles for parameter in scaled.parameters_of(role))


@pytest.mark.parametrize("head", [SNet, TNet, TARNet, DragonNet, EUEN, DESCN])
def test_a_head_starts_at_the_constant_it_is_given(head: type[AbstractTreatmentHead]) -> None:
    built, zeros = head(FEATURES, WIDTH, 3), torch.zeros(1, WIDTH)  # type: ignore[call-arg]
    built.start_at(torch.tensor(-2.5))
    with torch.no_grad():
        for network in built.outcome_heads:
            for layer in network.maps[:-1]:
                layer.weight.zero_()
            network.maps[-1].weight.zero_()
        for effect in getattr(built, "effect_heads", ()):
            effect.maps[-1].weight.zero_()
    assert built(zeros, zeros, torch.zeros(1, FEATURES))[ARMS].tolist() == [[-2.5] * 3]
