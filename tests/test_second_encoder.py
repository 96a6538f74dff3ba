"""Two encoders of one learner: who reads by which, and one line where they do not go together."""

from __future__ import annotations

import pytest

from causalrec.config.component import ComponentConfig, validate_component
from causalrec.config.compose import compose_all, compose_config, normalise_overrides, validate_config
from causalrec.encoders.mf import MF
from causalrec.encoders.neumf import NeuMF
from causalrec.errors import RequestError
from causalrec.learners.network import NetworkLearner
from causalrec.learners.network_model import build_model, encoder_inputs
from causalrec.models import CausalModel
from causalrec.running.cache import PreparedCache
from causalrec.running.prepare import plan_run
from causalrec.types import Role

MR = ("objective=mr", "dataset=ml100k_semisynthetic")
TWO = ("learner=two_encoders", *MR)


def refusal(*overrides: str) -> str:
    with pytest.raises(RequestError) as caught:
        plan_run(compose_all([normalise_overrides(overrides)])[0])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_objective_of_two_models_of_a_nuisance_asks_for_two_encoders() -> None:
    assert refusal(*MR) == (
        "objective=mr: has two networks of imputation and propensity, the second by an encoder of its own, but "
        "learner=network gives one encoder; set learner=two_encoders, with a learner.second_encoder"
    )


def test_a_second_encoder_that_was_taken_away_is_named() -> None:
    assert refusal(*MR, "learner=two_encoders", "learner.second_encoder=null").endswith(
        "learner=two_encoders gives one encoder; set learner=two_encoders, with a learner.second_encoder"
    )


def test_an_encoder_that_nothing_would_read_by_is_refused() -> None:
    message = "learner=two_encoders: objective=dr_jl has no network that would read by learner.second_encoder"
    assert refusal("learner=two_encoders", "objective=dr_jl").startswith(message)


NAMED = "learner.second_encoder._target_=causalrec.encoders."


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"{NAMED}bert4rec.BERT4Rec", "learner.second_encoder: BERT4Rec reads texts or histories, which belong in"),
        (f"{NAMED}mf.MG", "learner.second_encoder._target_=causalrec.encoders.mf.MG: there is no such class"),
        ("learner.second_encoder._target_=causalrec.heads.dot.Dot", "learner.second_encoder._target_=causalrec.heads"),
        ("learner.second_encoder.widht=3", "learner.second_encoder.widht: unknown key; did you mean 'width'"),
        ("learner.second_encoder.width=0", "learner.second_encoder.width=0: input should be greater than 0"),
    ],
)
def test_a_second_encoder_is_checked_as_the_first_is(override: str, message: str) -> None:
    assert refusal(*TWO, f"+{override}" if "widht" in override else override).startswith(message)


@pytest.mark.parametrize("value", ["mf", 3, {"target": MF, "arguments": {}}])
def test_what_is_no_component_is_refused(value: object) -> None:
    """Not even a mapping that has the fields of a checked component: it would be one without a check."""
    node = {"_target_": "causalrec.learners.network.NetworkLearner", "second_encoder": value}
    with pytest.raises(RequestError, match=r"learner\.second_encoder=.*: expected a mapping with a _target_"):
        validate_component("learner", node, NetworkLearner)


def test_the_owner_is_handed_the_checked_component_and_an_absent_one_is_none() -> None:
    node = {"_target_": "causalrec.encoders.neumf.NeuMF", "width": 3}
    config = validate_component("learner", {"_target_": "causalrec.learners.network.NetworkLearner"})
    assert config.build().second_encoder is None  # type: ignore[attr-defined]
    second = config.replace(second_encoder=validate_component("x", node)).build().second_encoder  # type: ignore[attr-defined]
    assert isinstance(second, ComponentConfig) and second.target is NeuMF and second.setting("width") == 3


def test_a_learner_of_one_encoder_keeps_the_key_it_had() -> None:
    plain = validate_config(compose_config(normalise_overrides([])))
    assert plain.to_dict()["learner"]["second_encoder"] is None  # type: ignore[index]
    other = plain.replace(learner=ComponentConfig(NetworkLearner, {"second_encoder": None}))
    two = plain.replace(learner=ComponentConfig(NetworkLearner, {"second_encoder": ComponentConfig(NeuMF, {})}))
    assert plain.key == other.key != two.key


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CausalModel:
    folder = tmp_path_factory.mktemp("world")
    overrides = ["dataset=coat", "dataset.threshold=3", "objective=mr", "learner=two_encoders", "trainer=smoke"]
    overrides += [
        "learner.second_encoder.width=4",
        "logger=none",
        *(f"paths.{n}={folder / n}" for n in ("cache", "runs")),
    ]
    config = validate_config(compose_config(normalise_overrides(overrides)))
    prepared = PreparedCache().prepare(config, plan_run(config))
    return build_model(config, prepared, encoder_inputs(config, prepared))


def test_the_second_network_of_each_nuisance_reads_by_the_second_encoder(model: CausalModel) -> None:
    kinds = {role: type(model.network(Role(role)).encoder) for role in model.networks}
    second = {"propensity[1]", "imputation[1]"}
    assert set(kinds) == {"outcome", "propensity[0]", "imputation[0]", *second}
    assert {role for role, kind in kinds.items() if kind is NeuMF} == second
    assert {kind for role, kind in kinds.items() if role not in second} == {MF}
    encoder = model.network(Role("imputation[1]")).encoder
    assert isinstance(encoder, NeuMF) and encoder.width == 4
