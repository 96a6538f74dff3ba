"""Objectives that rank by effect without telling it: worked numbers, gradients, and a ranking that is learnt."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dlce import DLCE
from causalrec.estimators.objective.ulbpr import ULBPR
from causalrec.estimators.objective.ulrmf import ULRMF
from causalrec.evaluation.baseline.popularity_effect import PopularityEffect
from causalrec.types import OUTCOME, Batch, Outputs, Term
from tests.test_effects import log_of


def batch_of(treatment: list[int], outcome: list[float], user: list[int], propensity: float = 0.5) -> Batch:
    rows = len(user)
    return Batch(
        item=torch.arange(rows),
        treatment=torch.tensor(treatment),
        outcome=torch.tensor(outcome, dtype=torch.float32),
        observed=torch.ones(rows),
        propensity=torch.full((rows,), propensity),
        weight=torch.ones(rows),
        features=torch.zeros(rows, 0),
        user=torch.tensor(user),
    )


def outputs_of(scores: list[float]) -> Outputs:
    return Outputs({OUTCOME: torch.tensor(scores, requires_grad=True)}, "logit")


def ratio_of(term: Term) -> float:
    assert term.normaliser is not None
    return float((term.value.sum() / term.normaliser.sum()).detach())


def soft(value: float) -> float:
    return float(functional.softplus(torch.tensor(float(value))))


def test_ulrmf_by_hand() -> None:
    batch = batch_of([1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0])
    values = ULRMF(alpha=0.25).terms(batch, outputs_of([2.0, 2.0, 2.0, 2.0]))["score"].value.tolist()
    assert values == pytest.approx([soft(-2), soft(2), soft(2), 0.25 * soft(-2) + 0.75 * soft(2)])


def test_ulbpr_by_hand() -> None:
    # user 0: an exposed choice (positive) against an exposed refusal; user 1 has one row, so no pair
    batch = batch_of([1, 1, 0], [1, 0, 1], [0, 0, 1])
    term = ULBPR(alpha=0.0).terms(batch, outputs_of([0.5, -1.0, 9.0]))["pairs"]
    assert ratio_of(term) == pytest.approx(soft(-1.5), rel=1e-5)
    mixed = batch_of([1, 0], [1, 0], [0, 0])  # the second is positive by half
    term = ULBPR(alpha=0.5).terms(mixed, outputs_of([1.0, 0.0]))["pairs"]
    assert ratio_of(term) == pytest.approx(soft(-1.0), rel=1e-5), "q_j (1 - q_i) of the sure positive is 0"


def test_dlce_by_hand() -> None:
    batch = batch_of([1, 0, 1], [1, 1, 0], [0, 0, 0], propensity=0.2)
    capped = DLCE(clip=0.4).terms(batch, outputs_of([1.0, 0.0, -1.0]))["bound"].value.tolist()
    assert capped == pytest.approx([2.5 * (soft(-1) + soft(-2)) / 2, 2.5 * (soft(-1) + soft(1)) / 2, 0.0])
    uncapped = DLCE(clip=0.0).terms(batch, outputs_of([1.0, 0.0, -1.0]))["bound"].value.tolist()
    assert uncapped[0] == pytest.approx(2 * capped[0])


@pytest.mark.long
@pytest.mark.parametrize("objective", [ULRMF(alpha=1.0), ULBPR(alpha=1.0), DLCE()])
def test_scores_that_are_learnt_rank_by_effect_where_popularity_does_not(objective: AbstractObjective) -> None:
    """One user, 6 items: the most popular have the least effect."""
    rng = np.random.default_rng(0)
    control = np.array([0.9, 0.7, 0.5, 0.3, 0.2, 0.1])
    treated = np.array([0.9, 0.75, 0.65, 0.6, 0.6, 0.6])
    rows = 600
    item, z = rng.integers(6, size=rows), rng.integers(2, size=rows)
    y = (rng.random(rows) < np.where(z, treated[item], control[item])).astype(np.float32)
    batch = dataclasses.replace(
        batch_of(z.tolist(), y.tolist(), [0] * rows), item=torch.from_numpy(item), outcome=torch.from_numpy(y)
    )
    scores = torch.zeros(6, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.1)
    for _ in range(120):
        optimizer.zero_grad()
        (term,) = objective.terms(batch, Outputs({OUTCOME: scores[batch.item]}, "logit")).values()
        assert term.normaliser is not None
        (term.value.sum() / term.normaliser.sum()).backward()
        optimizer.step()
    learnt = np.corrcoef(scores.detach().numpy(), treated - control)[0, 1]
    assert learnt > 0.7
    popular = PopularityEffect()
    popular.fit(log_of(z.tolist(), y.tolist(), item.tolist()))
    assert np.corrcoef(popular.predict(np.zeros(6, np.int64), np.arange(6)), treated - control)[0, 1] < 0


@pytest.mark.parametrize("right", [True, False])
def test_dlce_ranks_by_effect_where_exposure_follows_popularity_if_its_propensities_are_right(right: bool) -> None:
    """The popular half is exposed nine times in ten and gains nothing; of the other, one in ten, which gains."""
    rng = np.random.default_rng(0)
    control, gain, chance = np.array([0.8] * 3 + [0.1] * 3), np.array([0.0] * 3 + [0.3] * 3), np.array([0.9, 0.1])
    rows = 3000
    item = rng.integers(6, size=rows)
    exposed = chance[item // 3]
    z = rng.random(rows) < exposed
    y = rng.random(rows) < control[item] + z * gain[item]
    batch = dataclasses.replace(
        batch_of(z.astype(int).tolist(), y.astype(float).tolist(), (np.arange(rows) % 100).tolist()),
        item=torch.from_numpy(item),
        propensity=torch.from_numpy(np.where(z, exposed, 1 - exposed) if right else np.full(rows, 0.5)).float(),
    )
    scores = torch.zeros(6, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.1)
    for _ in range(25):
        optimizer.zero_grad()
        term = DLCE(clip=0.01).terms(batch, Outputs({OUTCOME: scores[batch.item]}, "logit"))["bound"]
        assert term.normaliser is not None
        (term.value.sum() / term.normaliser.sum()).backward()
        optimizer.step()
    popular, gaining = scores.detach()[:3], scores.detach()[3:]
    assert bool(gaining.min() > popular.max()) == right


@pytest.mark.parametrize("objective", [ULRMF(), ULBPR(), DLCE()])
def test_validation_rows_are_judged_one_by_one(objective: AbstractObjective) -> None:
    batch, outputs = batch_of([1, 0, 1], [1, 1, 0], [0, 0, 0]), outputs_of([1.0, 0.0, -1.0])
    assert objective.error(batch, outputs).shape == (3,)
    assert objective.predict(outputs).shape == (3,)
