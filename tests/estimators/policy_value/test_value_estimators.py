"""Estimators of a policy's value against plain loops, numbers worked by hand, and the special cases they nest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import exp, inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.errors import RequestError
from causalrec.estimators.policy_value import action_groups, action_kernel
from causalrec.estimators.policy_value.action_kernel import action_space
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.estimator.clipped_ips import ClippedIPSValue
from causalrec.estimators.policy_value.estimator.dm import DirectMethod
from causalrec.estimators.policy_value.estimator.dr import DRValue
from causalrec.estimators.policy_value.estimator.dros import DRosValue
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.estimator.mips import MIPSValue
from causalrec.estimators.policy_value.estimator.offcem import OffCEMValue
from causalrec.estimators.policy_value.estimator.sndr import SNDRValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.estimator.subgaussian_ips import SubGaussianIPSValue
from causalrec.estimators.policy_value.estimator.switch_dr import SwitchDRValue
from causalrec.estimators.policy_value.estimator.text_kernel import TextKernelValue
from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds
from tests.estimators.policy_value.simulated_rounds import simulate_rounds

CONF = package_folder("conf") / "task" / "value_estimator"
Round = dict[str, Any]  # a round as a plain loop sees it: lists and numbers
Terms = tuple[float, float, float]  # base, numerator, denominator


def ratio(near: Callable[[int, int], float], row: Round) -> float:
    above, below = 0.0, 0.0
    for action in range(len(row["target"])):
        above += row["target"][action] * near(action, row["action"])
        below += row["logging"][action] * near(action, row["action"])
    return above / below


def mean_reward(row: Round) -> float:
    total = 0.0
    for probability, reward in zip(row["target"], row["model"], strict=True):
        total += probability * reward
    return total


def robust(row: Round, weight: float) -> Terms:
    return mean_reward(row) + weight * (row["reward"] - row["model"][row["action"]]), 0.0, 1.0


def same_cluster(row: Round) -> float:
    return ratio(lambda a, b: float(row["cluster"][a] == row["cluster"][b]), row)


def same_categories(row: Round) -> float:
    return ratio(lambda a, b: float(row["categories"][a] == row["categories"][b]), row)


def same_genre(row: Round) -> float:
    return ratio(lambda a, b: float(row["categories"][a][0] == row["categories"][b][0]), row)


def near_text(row: Round) -> float:
    def kernel(a: int, b: int) -> float:
        distance = 0.0
        for x, y in zip(row["points"][a], row["points"][b], strict=True):
            distance += (x - y) ** 2
        return exp(-distance / (2 * (0.5 * row["unit"]) ** 2))

    return min(ratio(kernel, row), 1.2)


LOOPS: dict[AbstractValueEstimator, Callable[[Round], Terms]] = {
    DirectMethod(): lambda row: (mean_reward(row), 0.0, 1.0),
    IPSValue(): lambda row: (row["w"] * row["reward"], 0.0, 1.0),
    SNIPSValue(): lambda row: (0.0, row["w"] * row["reward"], row["w"]),
    ClippedIPSValue(clip=1.5): lambda row: (min(row["w"], 1.5) * row["reward"], 0.0, 1.0),
    SubGaussianIPSValue(shrinkage=0.3): lambda row: (row["w"] / (0.7 + 0.3 * row["w"]) * row["reward"], 0.0, 1.0),
    DRValue(): lambda row: robust(row, row["w"]),
    SNDRValue(): lambda row: (mean_reward(row), row["w"] * (row["reward"] - row["model"][row["action"]]), row["w"]),
    SwitchDRValue(threshold=1.5): lambda row: robust(row, row["w"] if row["w"] <= 1.5 else 0.0),
    DRosValue(shrinkage=1.5): lambda row: robust(row, 1.5 * row["w"] / (row["w"] ** 2 + 1.5)),
    MIPSValue(): lambda row: (same_categories(row) * row["reward"], 0.0, 1.0),
    MIPSValue(categories=("genre",)): lambda row: (same_genre(row) * row["reward"], 0.0, 1.0),
    TextKernelValue(bandwidth=0.5, components=2, clip=1.2): lambda row: (
        0.0,
        near_text(row) * row["reward"],
        near_text(row),
    ),
    OffCEMValue(): lambda row: robust(row, same_cluster(row)),
}


def plain_rounds(rounds: LoggedRounds) -> list[Round]:
    actions = rounds.actions
    assert actions is not None and actions.cluster is not None
    assert rounds.target_distribution is not None and rounds.logging_distribution is not None
    assert rounds.model is not None
    points, unit = principal_components(actions.vectors, 2)
    shared = {
        "cluster": actions.cluster.tolist(),
        "categories": actions.categories.tolist(),
        "points": points.tolist(),
        "unit": unit,
    }
    return [
        shared
        | {
            "reward": float(rounds.reward[i]),
            "action": int(rounds.action[i]),
            "w": float(rounds.target[i]) / float(rounds.propensity[i]),
            "target": rounds.target_distribution[i].tolist(),
            "logging": rounds.logging_distribution[i].tolist(),
            "model": rounds.model[i].tolist(),
        }
        for i in range(len(rounds))
    ]


def principal_components(vectors: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """By the eigenvectors of the covariance, and the farthest neighbour of six actions by sorting."""
    centred = vectors - vectors.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    points = centred @ axes[:, ::-1][:, :count]
    farthest = [sorted(float(np.linalg.norm(a - b)) for b in points)[-1] for a in points]
    return points, float(np.median(farthest))


def contributions(estimator: AbstractValueEstimator, rounds: LoggedRounds | None = None) -> Contributions:
    return estimator.contributions(simulate_rounds() if rounds is None else rounds)


@pytest.mark.parametrize(("estimator", "loop"), LOOPS.items(), ids=[str(estimator) for estimator in LOOPS])
def test_it_is_its_formula_in_a_plain_loop(
    estimator: AbstractValueEstimator, loop: Callable[[Round], Terms], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_groups, "GATHERED", 50)  # rounds are walked in several steps
    monkeypatch.setattr(action_kernel, "GATHERED", 50)
    rounds = simulate_rounds()
    terms = np.array([loop(row) for row in plain_rounds(rounds)])
    base, numerator, denominator = terms.sum(0)
    np.testing.assert_allclose(contributions(estimator, rounds).terms, terms.T, atol=1e-9)
    assert contributions(estimator, rounds).value == pytest.approx(
        base / len(terms) + numerator / denominator, abs=1e-9
    )


@pytest.mark.parametrize("estimator", LOOPS, ids=str)
def test_a_round_contributes_the_same_in_any_block(estimator: AbstractValueEstimator) -> None:
    rounds = simulate_rounds()
    blocks = [contributions(estimator, take(rounds, np.arange(at, min(at + 70, 200)))) for at in range(0, 200, 70)]
    terms, weight = contributions(estimator, rounds).terms, contributions(estimator, rounds).weight
    np.testing.assert_allclose(np.concatenate([b.terms for b in blocks], 1), terms, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([b.weight for b in blocks]), weight, rtol=1e-12)


def take(rounds: LoggedRounds, rows: np.ndarray) -> LoggedRounds:
    arrays = {f.name: getattr(rounds, f.name) for f in dataclasses.fields(rounds) if f.name != "actions"}
    return LoggedRounds(actions=rounds.actions, **{name: values[rows] for name, values in arrays.items()})


def with_features(rounds: LoggedRounds, **changes: Any) -> LoggedRounds:
    assert rounds.actions is not None
    return dataclasses.replace(rounds, actions=dataclasses.replace(rounds.actions, **changes))


def in_groups(group: np.ndarray) -> LoggedRounds:
    return with_features(simulate_rounds(), categories=group[:, None], category_names=(), cluster=group)


SAME = simulate_rounds()
ONE_EACH, ALL_ALIKE = in_groups(np.arange(6)), in_groups(np.zeros(6, int))
NO_MODEL = dataclasses.replace(SAME, model=np.zeros((200, 6)))
FLAT_MODEL = dataclasses.replace(SAME, model=np.full((200, 6), 0.7))


@pytest.mark.parametrize(
    ("general", "special", "rounds"),
    [
        (ClippedIPSValue(clip=inf), IPSValue(), SAME),
        (SubGaussianIPSValue(shrinkage=0.0), IPSValue(), SAME),
        (SwitchDRValue(threshold=inf), DRValue(), SAME),
        (SwitchDRValue(threshold=0.0), DirectMethod(), SAME),
        (DRosValue(shrinkage=inf), DRValue(), SAME),
        (DRosValue(shrinkage=0.0), DirectMethod(), SAME),
        (DRValue(), IPSValue(), NO_MODEL),
        (SNDRValue(), SNIPSValue(), NO_MODEL),
        (SNDRValue(), SNIPSValue(), FLAT_MODEL),
        (MIPSValue(), IPSValue(), ONE_EACH),
        (OffCEMValue(), DRValue(), ONE_EACH),
        (TextKernelValue(bandwidth=1e-6, clip=1e9), SNIPSValue(), SAME),
    ],
    ids=lambda value: str(value) if isinstance(value, AbstractValueEstimator) else "",
)
def test_it_nests_its_special_case(
    general: AbstractValueEstimator, special: AbstractValueEstimator, rounds: LoggedRounds
) -> None:
    assert contributions(general, rounds).value == pytest.approx(contributions(special, rounds).value, abs=1e-12)


def test_actions_that_are_all_alike_earn_the_mean_reward() -> None:
    mean = ALL_ALIKE.reward.mean()
    assert contributions(MIPSValue(), ALL_ALIKE).value == pytest.approx(mean, abs=1e-12)
    assert contributions(TextKernelValue(bandwidth=1e6), SAME).value == pytest.approx(mean, abs=1e-9)
    no_model = dataclasses.replace(ALL_ALIKE, model=np.zeros((200, 6)))
    assert contributions(OffCEMValue(), no_model).value == pytest.approx(mean, abs=1e-12)


def test_the_logging_policy_itself_earns_the_mean_reward_by_ips_and_mips() -> None:
    logged = dataclasses.replace(SAME, target=SAME.propensity, target_distribution=SAME.logging_distribution)
    for estimator in (IPSValue(), SNIPSValue(), MIPSValue(), TextKernelValue(bandwidth=0.5)):
        assert contributions(estimator, logged).value == pytest.approx(SAME.reward.mean(), abs=1e-12)


def test_full_shrinkage_weighs_every_action_that_the_target_may_take_alike() -> None:
    rounds = LoggedRounds(
        reward=np.array([1.0, 4.0]), action=np.array([0, 1]), propensity=np.array([0.2, 0.8]), target=np.array([0.9, 0])
    )
    assert SubGaussianIPSValue(shrinkage=1.0).contributions(rounds).weight.tolist() == [1.0, 0.0]


def test_weights_are_what_rewards_are_multiplied_by() -> None:
    assert contributions(DirectMethod()).weight.tolist() == [0.0] * 200
    assert contributions(ClippedIPSValue(clip=0.5)).weight.max() == 0.5
    assert contributions(TextKernelValue(bandwidth=0.1, clip=2.0)).weight.max() == 2.0


@pytest.mark.parametrize(
    "estimator", [ClippedIPSValue(), SubGaussianIPSValue(), SwitchDRValue(), DRosValue(), TextKernelValue()], ids=str
)
def test_candidates_are_the_estimator_at_each_value_least_biased_first(estimator: AbstractValueEstimator) -> None:
    candidates = estimator.candidates()
    weights = [contributions(candidate).weight for _, candidate in candidates]
    spread = [float(weight.var()) for weight in weights]
    assert len(candidates) >= 4 and spread == sorted(spread, reverse=True) and spread[0] > spread[-1]
    assert all(candidate.candidates() == () for _, candidate in candidates), "a parameter that is set is not chosen"
    assert all(value in dataclasses.astuple(candidate) for value, candidate in candidates)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="to be chosen"):
        contributions(estimator)


def test_a_text_kernel_keeps_its_other_settings_in_its_candidates() -> None:
    candidates = TextKernelValue(components=2, clip=5.0).candidates()
    assert {(c.components, c.clip) for _, c in candidates} == {(2, 5.0)}


def test_the_space_of_actions_is_made_once_for_all_blocks() -> None:
    features = SAME.actions
    assert features is not None and action_space(features, 2) is action_space(features, 2)
    assert action_space(features, 2) is not action_space(features, 3)


NOTHING = ActionFeatures(categories=np.zeros((4, 0), int), vectors=np.zeros((4, 0)))
COINCIDING = ActionFeatures(categories=np.zeros((40, 0), int), vectors=np.repeat(np.eye(2), 20, axis=0))


@pytest.mark.parametrize(
    ("estimator", "actions", "message"),
    [
        (MIPSValue(), NOTHING, "MIPSValue: reads the categories of actions, which these data do not have: leave"),
        (MIPSValue(), None, "MIPSValue: reads the categories of actions, which these data do not have: leave"),
        (OffCEMValue(), NOTHING, "OffCEMValue: reads the cluster of actions, which these data do not have: leave"),
        (TextKernelValue(), NOTHING, "TextKernelValue: reads the vectors of actions, which these data do not have"),
        (TextKernelValue(), COINCIDING, "TextKernelValue: the vectors of most actions are those of ten others"),
        (MIPSValue(categories=("gnre",)), SAME.actions, "actions have no category 'gnre'; did you mean 'genre'"),
        (MIPSValue(categories=()), SAME.actions, "MIPSValue: categories: names none; leave it out to read all"),
    ],
    ids=str,
)
def test_actions_that_do_not_serve_it_are_refused(
    estimator: AbstractValueEstimator, actions: ActionFeatures | None, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        estimator.check(actions)


@pytest.mark.parametrize("estimator", LOOPS, ids=str)
def test_it_requires_no_more_than_it_reads_and_no_less(estimator: AbstractValueEstimator) -> None:
    estimator.check(SAME.actions)
    empty = ActionFeatures(categories=np.zeros((6, 0), int), vectors=np.zeros((6, 0)))
    for name in ("target_distribution", "logging_distribution", "model"):
        if name not in estimator.requires:
            contributions(estimator, dataclasses.replace(SAME, **{name: None}))
            continue
        with pytest.raises(ValueError, match=f"these rounds have no {name}"):
            contributions(estimator, dataclasses.replace(SAME, **{name: None}))
    if not estimator.requires & {"categories", "vectors", "cluster"}:
        contributions(estimator, dataclasses.replace(SAME, actions=None))
    else:
        with pytest.raises(RequestError):
            estimator.check(empty)


def test_names_of_categories_are_as_many_as_these() -> None:
    with pytest.raises(ValueError, match="1 names of 2 categories"):
        ActionFeatures(categories=np.zeros((3, 2), int), vectors=np.zeros((3, 0)), category_names=("genre",))


YAMLS = sorted(CONF.glob("*.yaml"))


def test_each_estimator_has_a_yaml_of_its_name() -> None:
    files = Path(action_groups.__file__).parent.glob("estimator/[a-z]*.py")
    assert {path.stem for path in YAMLS} == {path.stem for path in files} and len(YAMLS) == 12


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_a_yaml_holds_its_estimator_under_its_name(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (name,) = nodes = yaml.safe_load(text)
    estimator = validate_component("value_estimator", nodes[name], AbstractValueEstimator).build()
    assert text.startswith("# @package task.value_estimators\n") and name == path.stem
    assert type(estimator).__module__.rpartition(".")[2] == name and not type(estimator).__subclasses__()
    assert dataclasses.is_dataclass(estimator) and hash(estimator) is not None


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("clipped_ips", {"clip": 0}),
        ("subgaussian_ips", {"shrinkage": 1.5}),
        ("switch_dr", {"threshold": -1}),
        ("dros", {"shrinkage": "best"}),
        ("text_kernel", {"bandwidth": 0}),
        ("text_kernel", {"components": 0}),
        ("dr", {"clip": 2}),
    ],
)
def test_settings_without_a_meaning_are_refused(name: str, setting: dict[str, Any]) -> None:
    node = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))[name]
    with pytest.raises(RequestError, match=next(iter(setting))):
        validate_component("value_estimator", node | setting, AbstractValueEstimator)
