"""Objectives of effects: worked numbers, and the contract that each of them keeps under every head it may have."""

from __future__ import annotations

import copy
import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy.stats import wasserstein_distance

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.arms import crossfit_fold, doubly_robust_effects, effects_of
from causalrec.estimators.cross_fitting import CROSSFIT_ROLES, crossfit_means, fold_of, nuisance_terms
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.cfr import CFR
from causalrec.estimators.objective.descn import Descn
from causalrec.estimators.objective.dr_learner import DRLearner
from causalrec.estimators.objective.dragonnet import Dragon
from causalrec.estimators.objective.factual import Factual
from causalrec.estimators.objective.r_learner import RLearner
from causalrec.estimators.objective.x_learner import XLearner
from causalrec.estimators.pointwise_error import mean_of
from causalrec.estimators.representation_distance import mmd, wasserstein
from causalrec.heads.base import AbstractHead
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.criterion import validation_errors
from causalrec.types import ARMS, EFFECT, EPSILON, OUTCOME, PROPENSITY, REPRESENTATION, Batch, Link, Outputs, Role
from tests.heads.test_uplift_heads import HEADS

LINKS: tuple[Link, ...] = ("identity", "logit", "log")
ROWS = 40


def declared_objectives() -> dict[str, AbstractObjective]:
    files = sorted((package_folder("conf") / "objective").glob("*.yaml"))
    built = {
        f.stem: validate_component("objective", yaml.safe_load(f.read_text()), AbstractObjective).build() for f in files
    }
    return {
        name: objective
        for name, objective in built.items()
        if objective.estimand == "effect" and objective.required_head_outputs
    }


OBJECTIVES = declared_objectives()
PAIRS = [
    (name, head)
    for name, objective in OBJECTIVES.items()
    for head in HEADS
    if objective.required_head_outputs <= HEADS[head].head_outputs
]
each_pair = pytest.mark.parametrize(("name", "head"), PAIRS)


def batch_of(arms: int, seed: int = 0, rows: int = ROWS) -> Batch:
    rng = np.random.default_rng(seed)
    treatment = torch.from_numpy(rng.permutation(np.arange(rows) % (arms + 1)))
    return Batch(
        item=torch.zeros(rows, dtype=torch.int64),
        treatment=treatment,
        outcome=torch.from_numpy(rng.integers(2, size=rows).astype(np.float32)),
        observed=torch.ones(rows),
        propensity=torch.from_numpy(rng.uniform(0.2, 0.9, rows).astype(np.float32)),
        weight=torch.ones(rows),
        features=torch.from_numpy(rng.normal(size=(rows, 3)).astype(np.float32)),
        user=torch.arange(rows),
        arm_propensities=None if arms == 1 else torch.from_numpy(rng.dirichlet([3] * (arms + 1), rows)).float(),
    )


def model_of(objective: AbstractObjective, head: type[AbstractHead], arms: int, link: Link) -> CausalModel:
    torch.manual_seed(1)
    inputs = EncoderInputs(ROWS, 0, (), Path(), Path())
    networks = {role: RoleNetwork(MF(inputs, width=4), head(3, 6, arms + 1)) for role in objective.roles}
    return CausalModel(networks, link)


def outputs_of(components: dict[Role, dict[Role, Any]], link: Link = "identity") -> Outputs:
    return Outputs(
        {},
        link,
        components={role: {k: torch.tensor(v) for k, v in outputs.items()} for role, outputs in components.items()},
    )


def test_the_objectives_of_effects_are_all_here() -> None:
    learners = {"factual", "cfr_wass", "cfr_mmd", "dragonnet", "descn", "x_learner", "r_learner", "dr_learner"}
    assert set(OBJECTIVES) >= learners


@each_pair
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("arms", [1, 2])
def test_terms_are_one_number_per_row_and_train_their_role_alone(name: str, head: str, link: Link, arms: int) -> None:
    objective = OBJECTIVES[name]
    if arms > objective.max_treatments:
        return
    model, batch = model_of(objective, HEADS[head], arms, link), batch_of(arms)
    terms = objective.terms(batch, model(batch))
    assert {term.trains for term in terms.values()} == set(objective.roles)
    for term in terms.values():
        model.zero_grad()
        assert term.value.shape == (ROWS,) and torch.isfinite(term.value).all()
        term.value.sum().backward(retain_graph=True)
        for role in objective.roles:
            moved = any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters_of(role))
            assert moved == (role == term.trains)
    assert objective.error(batch, model(batch)).shape == (ROWS,)
    assert objective.predict(model(batch)).shape == (ROWS, arms)
    assert objective.potential_outcomes(model(batch)).shape == (ROWS, arms + 1)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_terms_draw_nothing_and_change_nothing(name: str) -> None:
    objective = OBJECTIVES[name]
    head = HEADS[dict(PAIRS)[name]]
    model, batch = model_of(objective, head, 1, "identity"), batch_of(1)
    before = copy.deepcopy(batch.tensors())
    states = random.getstate(), torch.get_rng_state()
    first, second = (objective.terms(batch, model(batch)) for _ in range(2))
    assert all(torch.equal(first[term].value, second[term].value) for term in first)
    assert states[0] == random.getstate() and torch.equal(states[1], torch.get_rng_state())
    after = batch.tensors()
    assert before.keys() == after.keys() and all(torch.equal(value, after[key]) for key, value in before.items())


def test_factual_by_hand() -> None:
    batch = dataclasses.replace(batch_of(1, rows=2), treatment=torch.tensor([0, 1]), outcome=torch.tensor([1.0, 5.0]))
    batch = dataclasses.replace(batch, propensity=torch.tensor([0.5, 0.25]))
    outputs = outputs_of({OUTCOME: {ARMS: [[0.0, 9.0], [7.0, 3.0]]}})
    plain, weighted = (Factual(weighted=w).terms(batch, outputs)["outcome"] for w in (False, True))
    assert plain.value.tolist() == [1.0, 4.0]
    assert weighted.value.tolist() == [2.0, 16.0] and weighted.normaliser is not None
    assert weighted.normaliser.tolist() == [2.0, 4.0]
    assert Factual().predict(outputs).tolist() == [[9.0], [-4.0]]


def test_effects_are_differences_of_mean_outcomes() -> None:
    arms = torch.tensor([[0.0, 1.0, -1.0]])
    torch.testing.assert_close(effects_of(arms, "log"), torch.tensor([[np.e - 1, 1 / np.e - 1]], dtype=torch.float32))
    sigmoid = torch.sigmoid(arms)
    torch.testing.assert_close(effects_of(arms, "logit"), sigmoid[:, 1:] - sigmoid[:, :1])


@pytest.mark.parametrize(("means_right", "chances_right"), [(True, True), (True, False), (False, True), (False, False)])
def test_pseudo_effects_are_right_where_either_model_is(means_right: bool, chances_right: bool) -> None:
    """Over all outcomes of a finite population, so that the expectation is exact."""
    truth, chance = torch.tensor([[0.3, 0.7, 0.4]]), torch.tensor([0.2, 0.5, 0.3])
    believed = truth if means_right else torch.tensor([[0.5, 0.5, 0.5]])
    used = chance if chances_right else torch.tensor([0.4, 0.3, 0.3])
    mean = torch.zeros(2)
    for arm in range(3):
        for outcome in (0.0, 1.0):
            likely = chance[arm] * (truth[0, arm] if outcome else 1 - truth[0, arm])
            received = torch.tensor([arm])
            pseudo = doubly_robust_effects(believed, torch.tensor([outcome]), received, 1 / used[received])
            mean += likely * pseudo[0]
    close = torch.allclose(mean, truth[0, 1:] - truth[0, 0], atol=1e-6)
    assert close == (means_right or chances_right)


def test_halves_are_even_and_do_not_follow_parity() -> None:
    user = torch.arange(20_000)
    half = crossfit_fold(user, torch.zeros_like(user))
    assert set(half.tolist()) == {0.0, 1.0} and abs(float(half.mean()) - 0.5) < 0.02
    for step in (2, 3, 5, 16):
        assert abs(float(half[::step].mean()) - 0.5) < 0.04
    assert torch.equal(half[100:200], crossfit_fold(user[100:200], torch.zeros(100, dtype=torch.int64)))


def test_a_row_never_meets_the_network_that_learnt_from_it() -> None:
    model, batch = model_of(DRLearner(), HEADS["t_net"], 1, "identity"), batch_of(1)
    outputs, half = model(batch), fold_of(batch)
    assert 0 < half.sum() < len(half)
    means = crossfit_means(batch, outputs)
    for k, role in enumerate(CROSSFIT_ROLES):
        mine = half == k
        term = nuisance_terms(batch, outputs)[str(role)]
        assert (term.value[~mine] == 0).all() and term.normaliser is not None
        assert torch.equal(term.normaliser, mine.float())
        torch.testing.assert_close(means[~mine], mean_of(outputs.components[role][ARMS][~mine], "identity"))


def crossfit_outputs(effect: list[list[float]], means: list[list[float]]) -> Outputs:
    return outputs_of({CROSSFIT_ROLES[0]: {ARMS: means}, CROSSFIT_ROLES[1]: {ARMS: means}, EFFECT: {ARMS: effect}})


def rows_of(treatment: list[int], outcome: list[float], propensity: list[float]) -> Batch:
    columns = {"treatment": torch.tensor(treatment), "outcome": torch.tensor(outcome)}
    return dataclasses.replace(batch_of(1, rows=len(outcome)), **columns, propensity=torch.tensor(propensity))


def test_second_stages_by_hand() -> None:
    batch = rows_of([1, 0], [5.0, 2.0], [0.25, 0.8])
    outputs = crossfit_outputs([[9.0, 1.0], [9.0, 2.0]], [[3.0, 4.0], [1.0, 6.0]])
    # X: the treated row 5 - 3 = 2, weight .75 / .25; the other 6 - 2 = 4, weight .2 / .8
    assert XLearner().error(batch, outputs).tolist() == pytest.approx([3 * 1, 0.25 * 4])
    assert XLearner(clip=0.5).error(batch, outputs).tolist() == pytest.approx([1.5 * 1, 0.25 * 4])
    # R: e = .25 and .2; m = 3.25 and 2.0
    assert RLearner().error(batch, outputs).tolist() == pytest.approx([(1.75 - 0.75) ** 2, (0.0 + 0.2 * 2) ** 2])
    # DR: 1 + (5 - 4) / .25 = 5; 5 - (2 - 1) / .8 = 3.75
    assert DRLearner().error(batch, outputs).tolist() == pytest.approx([16.0, 1.75**2])
    assert DRLearner(clip=0.5).error(batch, outputs).tolist() == pytest.approx([(3 - 1) ** 2, 1.75**2])
    assert XLearner().predict(outputs).tolist() == [[1.0], [2.0]]
    assert XLearner().potential_outcomes(outputs).tolist() == [[3.0, 4.0], [1.0, 6.0]]


def test_with_two_arms_an_x_learner_compares_each_row_to_what_it_can_tell() -> None:
    shares = torch.tensor([[0.5, 0.25, 0.25]] * 2)
    batch = dataclasses.replace(rows_of([2, 0], [5.0, 2.0], [0.25, 0.5]), arm_propensities=shares)
    outputs = crossfit_outputs([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[3.0, 4.0, 6.0], [1.0, 6.0, 5.0]])
    # arm 2's row tells only its own effect, 5 - 3; the untreated row tells both, 6 - 2 and 5 - 2
    assert XLearner().error(batch, outputs).tolist() == pytest.approx([2 * 4 / 2, 0.5 * (16 + 9) / 2])


SHARES_OF_CONTROLS = [
    ([0.98, 0.02], 1, 0.02),
    ([0.5, 0.5], 1, 0.5),
    ([0.1, 0.9], 1, 0.9),
    ([0.5, 0.25, 0.25], 1, 1 / 3),
    ([0.5, 0.25, 0.25], 2, 1 / 3),
    ([0.2, 0.7, 0.1], 1, 7 / 9),
]


@pytest.mark.parametrize(("shares", "arm", "of_controls"), SHARES_OF_CONTROLS)
def test_an_x_learner_weighs_both_sides_by_how_well_the_other_is_known(
    shares: list[float], arm: int, of_controls: float
) -> None:
    """The effect of least expected error is `g tau_0 + (1 - g) tau_a`, g = p_a / (p_0 + p_a): of one arm e.

    Outcome networks say 0, so that tau_a is the outcome of arm a and tau_0 less that of the untreated.
    """
    count, outcome = len(shares), [-1.5, 1.0, 3.0][: len(shares)]
    batch = rows_of(list(range(count)), outcome, shares)
    if count > 2:
        batch = dataclasses.replace(batch, arm_propensities=torch.tensor([shares] * count))

    def expected_error(effect: float) -> float:
        effects = [effect if a == arm else 0.0 for a in range(count)]
        outputs = crossfit_outputs([effects] * count, [[0.0] * count] * count)
        return float(torch.tensor(shares) @ XLearner().error(batch, outputs))

    low, middle, high = map(expected_error, (-1.0, 0.0, 1.0))
    best = (low - high) / (2 * (low + high - 2 * middle))  # of a parabola
    assert best == pytest.approx(of_controls * 1.5 + (1 - of_controls) * outcome[arm], abs=1e-4)


@pytest.mark.parametrize(("name", "best"), [("dr_learner", 2.0), ("r_learner", 2.0), ("x_learner", 0.1 * 2 + 0.9 * 1)])
def test_second_stages_are_chosen_by_the_effect_that_they_learn(name: str, best: float) -> None:
    """By the criterion `ips`, where the effect is 2 and the untreated's outcome network is wrong by 1."""
    shares = torch.tensor([0.9, 0.1])
    batch = rows_of([0, 1], [1.0, 3.0], shares.tolist())

    def criterion(effect: float) -> float:
        outputs = crossfit_outputs([[0.0, effect]] * 2, [[2.0, 3.0]] * 2)
        error, weight = validation_errors(OBJECTIVES[name], outputs, batch, "ips", 0.01)
        return float(shares @ (error * weight))

    low, middle, high = map(criterion, (best - 1, best, best + 1))
    assert low == pytest.approx(high, rel=1e-4) and middle < low


def test_probabilities_of_several_arms_are_asked_for() -> None:
    outputs = crossfit_outputs([[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="no arm_propensities: the objective must say reads_arm_propensities"):
        XLearner().error(rows_of([2], [1.0], [0.5]), outputs)
    assert {name for name, objective in OBJECTIVES.items() if objective.reads_arm_propensities} == {"x_learner"}
    assert all(o.space == "logged" for o in OBJECTIVES.values() if o.reads_arm_propensities)


def test_dragonnet_by_hand() -> None:
    batch = rows_of([1, 0], [2.0, 1.0], [0.5, 0.5])
    components = {ARMS: [[0.0, 1.0], [0.5, 0.0]], PROPENSITY: [[0.0, 0.0], [0.0, np.log(3.0)]], EPSILON: [0.1, 0.1]}
    terms = Dragon(alpha=2.0, beta=3.0).terms(batch, outputs_of({OUTCOME: components}))
    assert terms["outcome"].value.tolist() == pytest.approx([1.0, 0.25])
    assert terms["treatment"].value.tolist() == pytest.approx([2 * np.log(2), 2 * np.log(4)])
    squeezed = [(0.5 + 0.01) / 1.02, (0.25 + 0.01) / 1.02]
    moved = [1.0 + 0.1 / squeezed[0], 0.5 - 0.1 / squeezed[1]]
    assert terms["targeted"].value.tolist() == pytest.approx([3 * (2 - moved[0]) ** 2, 3 * (1 - moved[1]) ** 2])


def test_descn_by_hand() -> None:
    batch = rows_of([1, 0], [2.0, 1.0], [0.5, 0.5])
    components = {ARMS: [[0.5, 1.0], [0.5, 3.0]], PROPENSITY: [[0.0, 0.0], [0.0, np.log(3.0)]], EFFECT: [[0.25], [1.0]]}
    terms = Descn().terms(batch, outputs_of({OUTCOME: components}))
    assert terms["treated"].value.tolist() == pytest.approx([(2 - 0.5 * 1) ** 2, (0.75 * 3) ** 2])
    assert terms["control"].value.tolist() == pytest.approx([(0.5 * 0.5) ** 2, (1 - 0.25 * 0.5) ** 2])
    # crossed: control's 0.5 + 0.25 for the treated row; the treated 3 - 1 for the other
    assert terms["cross"].value.tolist() == pytest.approx([0.5 * 1.25**2, 0.5 * 1.0])


def test_cfr_weighs_arms_alike_and_penalises_imbalance() -> None:
    batch = rows_of([1, 0, 0, 0], [1.0, 1.0, 1.0, 1.0], [0.5] * 4)
    components = {ARMS: [[0.0, 0.0]] * 4, REPRESENTATION: [[3.0], [0.0], [0.0], [0.0]]}
    terms = CFR(alpha=0.5).terms(batch, outputs_of({OUTCOME: components}))
    assert terms["outcome"].value.tolist() == pytest.approx([2.0, 2 / 3, 2 / 3, 2 / 3])
    assert terms["imbalance"].value.tolist() == pytest.approx([1.5] * 4, rel=1e-3)
    near = {**components, REPRESENTATION: [[0.0]] * 4}
    for distance in ("mmd", "wasserstein"):
        imbalance = CFR(distance=distance).terms(batch, outputs_of({OUTCOME: near}))["imbalance"].value  # type: ignore[arg-type]
        assert imbalance.tolist() == pytest.approx([0.0] * 4, abs=1e-5)


def test_distances_between_samples() -> None:
    rng = np.random.default_rng(0)
    phi = torch.from_numpy(np.concatenate([rng.normal(size=30), rng.normal(1.5, 2, size=20)]))[:, None]
    treatment = torch.from_numpy(np.repeat([0, 1], [30, 20]))
    exact = wasserstein_distance(phi[:30, 0].numpy(), phi[30:, 0].numpy())
    distance = float(wasserstein(phi, treatment, sharpness=200.0, rounds=2000))
    assert distance == pytest.approx(exact, rel=0.02)
    a, b = phi[30:, 0].numpy(), phi[:30, 0].numpy()

    def kernel(x: Any, y: Any) -> float:
        return float(np.exp(-((x[:, None] - y[None]) ** 2) / (2 * 0.7**2)).mean())

    assert float(mmd(phi, treatment, bandwidth=0.7)) == pytest.approx(kernel(a, a) + kernel(b, b) - 2 * kernel(a, b))
    alone = torch.zeros_like(treatment)
    assert float(mmd(phi, alone)) == 0 and float(wasserstein(phi, alone)) == 0


def test_distances_have_gradients_that_bring_samples_together() -> None:
    phi = torch.tensor([[0.0], [0.2], [2.0], [2.2]], requires_grad=True)
    treatment = torch.tensor([0, 0, 1, 1])
    for distance in (mmd, wasserstein):
        (gradient,) = torch.autograd.grad(distance(phi, treatment), phi)
        assert torch.isfinite(gradient).all()
        assert (gradient[:2] < 0).all() and (gradient[2:] > 0).all()
