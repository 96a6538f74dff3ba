"""The relevance risk from positives or clicks alone: within three standard errors under the assumption, outside not.

The world: pairs with a relevance g and a prediction q, so that d1 = -log q and d0 = -log(1 - q) and the true risk is
the mean of g d1 + (1 - g) d0. A pair is positive where it is exposed (or its slot examined), with probability theta,
and relevant. Better pairs are exposed more often, as popular items are. Seeds are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.estimators.objective.position_ips import PositionIPS, debiased_click
from causalrec.estimators.objective.rel_mf import RelMF, unbiased_relevance
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.position import Position
from causalrec.training.datamodule import LogTensors
from causalrec.types import OUTCOME, Outputs


@dataclass(frozen=True)
class World:
    """`relevance[n]`, `theta[n]`, `raw[n]` (log-odds of the prediction); `positive[R,n]` in R replications."""

    relevance: Tensor
    theta: Tensor
    raw: Tensor
    positive: Tensor

    @property
    def errors(self) -> tuple[Tensor, Tensor]:
        if_relevant = -torch.nn.functional.logsigmoid(self.raw).expand_as(self.positive)
        return if_relevant, -torch.nn.functional.logsigmoid(-self.raw).expand_as(self.positive)

    def risk(self, relevance: Tensor) -> float:
        d1, d0 = self.errors
        return float((relevance * d1[0] + (1 - relevance) * d0[0]).mean())

    @property
    def truth(self) -> float:
        return self.risk(self.relevance)

    @property
    def flat(self) -> Tensor:
        return torch.full_like(self.theta, float(self.theta.mean()))


def world(pairs: int, replications: int, seed: int, slots: tuple[float, ...] | None = None) -> World:
    rng = np.random.default_rng(seed)
    relevance = rng.beta(1.5, 2.5, size=pairs)
    if slots is None:
        theta = np.clip(0.08 + 0.8 * relevance + 0.05 * rng.normal(size=pairs), 0.05, 0.95)
    else:  # ranked by a noisy guess at the relevance
        slot = np.argsort(np.argsort(-(relevance + 0.2 * rng.normal(size=pairs)))) * len(slots) // pairs
        theta = np.array(slots)[slot]
    raw = 2 * relevance - 1 + 0.5 * rng.normal(size=pairs)
    exposed = rng.random((replications, pairs)) < theta
    positive = exposed & (rng.random((replications, pairs)) < relevance)
    return World(*(torch.from_numpy(column) for column in (relevance, theta, raw, positive.astype(np.float64))))


@pytest.fixture(scope="module")
def pairs() -> World:
    return world(1000, 2000, 0)


@pytest.fixture(scope="module")
def slot_world() -> World:
    return world(1000, 2000, 1, slots=(1.0, 0.6, 0.35, 0.2))


def distance(estimates: Tensor, target: float) -> float:
    """Return how many standard errors the mean of the estimates lies from the target."""
    return float((estimates.mean() - target) / (estimates.std() / len(estimates) ** 0.5))


def test_the_relevance_risk_is_unbiased_under_the_true_exposure(pairs: World) -> None:
    estimates = unbiased_relevance(*pairs.errors, pairs.positive, pairs.theta).mean(1)
    assert abs(distance(estimates, pairs.truth)) < 3


def test_the_relevance_risk_is_biased_under_wrong_exposure_by_what_theory_says(pairs: World) -> None:
    for wrong in (pairs.flat, pairs.theta**0.5, torch.ones_like(pairs.theta)):
        estimates = unbiased_relevance(*pairs.errors, pairs.positive, wrong).mean(1)
        assert abs(distance(estimates, pairs.truth)) > 3
        assert abs(distance(estimates, pairs.risk(pairs.relevance * pairs.theta / wrong))) < 3


def test_clipping_trades_bias_for_variance(pairs: World) -> None:
    free = unbiased_relevance(*pairs.errors, pairs.positive, pairs.theta).mean(1)
    clipped = unbiased_relevance(*pairs.errors, pairs.positive, pairs.theta, clip=0.4).mean(1)
    assert clipped.std() < free.std()
    assert abs(distance(clipped, pairs.truth)) > 3


def test_clicks_are_unbiased_under_the_true_examination_however_items_were_placed(slot_world: World) -> None:
    assert float(torch.corrcoef(torch.stack([slot_world.relevance, slot_world.theta]))[0, 1]) > 0.5
    estimates = debiased_click(*slot_world.errors, slot_world.positive, slot_world.theta).mean(1)
    assert abs(distance(estimates, slot_world.truth)) < 3


def test_clicks_are_biased_where_slots_are_ignored_or_mistaken(slot_world: World) -> None:
    for wrong in (torch.ones_like(slot_world.theta), slot_world.flat, slot_world.theta.flip(0)):
        estimates = debiased_click(*slot_world.errors, slot_world.positive, wrong).mean(1)
        assert abs(distance(estimates, slot_world.truth)) > 3
        assert abs(distance(estimates, slot_world.risk(slot_world.relevance * slot_world.theta / wrong))) < 3


# --- the same through logs and batches

USERS, ITEMS = 25, 40
BARE = FeatureMatrix((), (), np.zeros((USERS, 0), "f4"), np.zeros((ITEMS, 0), "f4"), ())


def rel_mf_over_an_epoch(truth: World, positive: Tensor, epoch: int) -> float:
    """The loss of Rel-MF on one log of positives, averaged over the weighted batches of an epoch."""
    codes = np.flatnonzero(positive.numpy())
    unit = np.ones(len(codes), np.int64)
    log = InteractionLog(
        codes % ITEMS,
        unit,
        unit.astype("f4"),
        ITEMS,
        codes // ITEMS,
        USERS,
        propensity=truth.theta[torch.from_numpy(codes)].numpy().astype("f4"),
    )
    tensors, losses = LogTensors(log, BARE), []
    for rows in Balanced(batch_size=len(codes)).epoch(log, "all_pairs", 0, epoch):
        batch = tensors.batch(rows)
        raw = truth.raw[torch.from_numpy(rows.user * ITEMS + rows.item)].float()
        term = RelMF(clip=0.0).terms(batch, Outputs({OUTCOME: raw}, "logit"))["outcome"]
        losses.append(float((batch.weight * term.value).mean()))
    return float(np.mean(losses))


@pytest.mark.long
def test_rel_mf_over_sampled_pairs_estimates_the_relevance_risk_of_all_pairs(pairs: World) -> None:
    losses = [rel_mf_over_an_epoch(pairs, pairs.positive[k], k) for k in range(300)]
    assert abs(distance(torch.tensor(losses, dtype=torch.float64), pairs.truth)) < 3
    unaware = [
        rel_mf_over_an_epoch(World(pairs.relevance, pairs.flat, pairs.raw, pairs.positive), p, k)
        for k, p in enumerate(pairs.positive[:300])
    ]
    assert abs(distance(torch.tensor(unaware, dtype=torch.float64), pairs.truth)) > 3


def test_position_ips_with_slots_fitted_on_random_placement_estimates_the_risk_under_ranking() -> None:
    slots = np.array([0.8, 0.5, 0.3])  # the estimate is relative to the best slot: relevance is then 0.8 times as much
    rng = np.random.default_rng(4)

    def log_of(position: np.ndarray, relevance: np.ndarray) -> InteractionLog:
        click = (rng.random(len(position)) < slots[position] * relevance).astype("f4")
        unit = np.ones(len(position), np.int64)
        return InteractionLog(unit * 0, unit, click, 1, position=position)

    relevance = rng.beta(1.5, 2.5, size=400_000)
    examined = Position()
    examined.fit(log_of(rng.integers(3, size=400_000), relevance), BARE)
    ranked = log_of(np.where(relevance > 0.5, 0, np.where(relevance > 0.25, 1, 2)), relevance)
    ranked = ranked.with_propensity(examined.predict(ranked))
    rows = next(iter(Balanced(batch_size=len(ranked)).epoch(ranked, "logged", 0, 0)))
    batch = LogTensors(ranked, BARE).batch(rows)
    raw = torch.from_numpy(2 * relevance[rows.row] - 1).float()
    term = PositionIPS().terms(batch, Outputs({OUTCOME: raw}, "logit"))["outcome"]
    assert term.normaliser is not None
    risk = float((batch.weight * term.value).sum() / (batch.weight * term.normaliser).sum())
    seen = 0.8 * torch.from_numpy(relevance[rows.row])
    d1, d0 = -torch.nn.functional.logsigmoid(raw), -torch.nn.functional.logsigmoid(-raw)
    assert risk == pytest.approx(float((seen * d1 + (1 - seen) * d0).mean()), abs=0.003)
    assert float(torch.nn.functional.binary_cross_entropy_with_logits(raw, batch.outcome)) != pytest.approx(
        risk, abs=0.02
    )
