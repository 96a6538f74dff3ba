"""What the estimators promise, by simulation: within three standard errors when an assumption holds, outside when not.

The world: pairs with a true rate r and a prediction q, so that the squared error (y - q)^2 has a known mean; exposure
o ~ Bernoulli(p), more likely where the outcome is better, as self-selection does. Seeds are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.estimators.bootstrap import cluster_weights, percentile_interval
from causalrec.estimators.doubly_robust import doubly_robust
from causalrec.estimators.objective.ips import ips
from causalrec.estimators.objective.naive import naive
from causalrec.estimators.objective.snips import snips


@dataclass(frozen=True)
class World:
    """`mean[n]` true mean error, `propensity[n]`; `error[R,n]` and `observed[R,n]` as they fell in R replications."""

    mean: Tensor
    propensity: Tensor
    error: Tensor
    observed: Tensor

    @property
    def truth(self) -> float:
        return float(self.mean.mean())

    @property
    def flat(self) -> Tensor:
        """Propensities that know only how much is exposed, not what."""
        return torch.full_like(self.propensity, float(self.propensity.mean()))


def world(pairs: int, replications: int, seed: int) -> World:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=pairs)
    rate = 1 / (1 + np.exp(-z))
    prediction = np.clip(0.35 + 0.1 * rng.normal(size=pairs), 0.05, 0.95)
    propensity = np.clip(1 / (1 + np.exp(1.2 - 1.1 * z)), 0.05, 0.9)
    mean = rate * (1 - prediction) ** 2 + (1 - rate) * prediction**2
    outcome = rng.random((replications, pairs)) < rate
    observed = rng.random((replications, pairs)) < propensity
    columns = (mean, propensity, (outcome - prediction) ** 2, observed.astype(np.float64))
    return World(*(torch.from_numpy(column) for column in columns))


@pytest.fixture(scope="module")
def small() -> World:
    return world(1000, 2000, 0)


def distance(estimates: Tensor, target: float) -> float:
    """Return how many standard errors the mean of the estimates lies from the target."""
    return float((estimates.mean() - target) / (estimates.std() / len(estimates) ** 0.5))


def test_ips_is_unbiased_under_the_true_propensities(small: World) -> None:
    estimates = ips(small.error, small.observed, small.propensity).mean(1)
    assert abs(distance(estimates, small.truth)) < 3


def test_ips_is_biased_under_wrong_propensities_by_what_theory_says(small: World) -> None:
    estimates = ips(small.error, small.observed, small.flat).mean(1)
    assert abs(distance(estimates, small.truth)) > 3
    expected = float((small.mean * small.propensity / small.flat).mean())
    assert abs(distance(estimates, expected)) < 3


def test_ips_with_clipping_is_biased_downwards(small: World) -> None:
    assert distance(ips(small.error, small.observed, small.propensity, clip=0.3).mean(1), small.truth) < -3


def test_the_naive_mean_is_biased_under_selection(small: World) -> None:
    estimates = naive(small.error, small.observed).sum(1) / small.observed.sum(1)
    assert abs(distance(estimates, small.truth)) > 3


def test_the_naive_mean_is_right_when_exposure_is_at_random(small: World) -> None:
    rng = np.random.default_rng(1)
    observed = torch.from_numpy((rng.random(small.error.shape) < 0.3).astype(np.float64))
    estimates = naive(small.error, observed).sum(1) / observed.sum(1)
    assert abs(distance(estimates, small.truth)) < 3


def test_snips_is_consistent_under_the_true_propensities_and_not_under_wrong_ones() -> None:
    many = world(20_000, 200, 2)
    value, normaliser = snips(many.error, many.observed, many.propensity)
    estimates = value.sum(1) / normaliser.sum(1)
    assert abs(distance(estimates, many.truth)) < 3
    plain = ips(many.error, many.observed, many.propensity).mean(1)
    assert estimates.std() < plain.std()
    value, normaliser = snips(many.error, many.observed, many.flat)
    assert abs(distance(value.sum(1) / normaliser.sum(1), many.truth)) > 3


def test_dr_is_unbiased_when_the_imputation_is_right_though_the_propensities_are_wrong(small: World) -> None:
    estimates = doubly_robust(small.error, small.mean, small.observed, small.flat).mean(1)
    assert abs(distance(estimates, small.truth)) < 3


def test_dr_is_unbiased_when_the_propensities_are_right_though_the_imputation_is_wrong(small: World) -> None:
    wrong = 0.9 - small.mean
    estimates = doubly_robust(small.error, wrong, small.observed, small.propensity).mean(1)
    assert abs(distance(estimates, small.truth)) < 3


def test_dr_is_biased_when_both_are_wrong_by_what_theory_says(small: World) -> None:
    wrong = torch.full_like(small.mean, 0.1)
    estimates = doubly_robust(small.error, wrong, small.observed, small.flat).mean(1)
    assert abs(distance(estimates, small.truth)) > 3
    bias = float(((small.propensity / small.flat - 1) * (small.mean - wrong)).mean())
    assert abs(distance(estimates, small.truth + bias)) < 3


def test_dr_varies_less_than_ips_when_the_imputation_is_right(small: World) -> None:
    robust = doubly_robust(small.error, small.mean, small.observed, small.propensity).mean(1)
    assert robust.std() < 0.7 * ips(small.error, small.observed, small.propensity).mean(1).std()


USERS, ITEMS = 25, 40


def _draw_skewed_log() -> tuple[InteractionLog, Tensor]:
    """One log, and the doubly robust value of every pair (unobserved ones hold their imputed error)."""
    rng = np.random.default_rng(5)
    chance = np.linspace(0.05, 0.6, USERS * ITEMS)
    shown = np.flatnonzero(rng.random(USERS * ITEMS) < chance)
    unit = np.ones(len(shown), np.int64)
    log = InteractionLog(shown % ITEMS, unit, unit.astype(np.float32), ITEMS, shown // ITEMS, USERS)
    observed = torch.zeros(USERS * ITEMS, dtype=torch.float64)
    observed[torch.from_numpy(shown)] = 1
    error = torch.from_numpy(1 + chance * 2 + rng.normal(size=len(chance)) ** 2)
    imputed = torch.from_numpy(rng.random(len(chance)))
    return log, doubly_robust(error, imputed, observed, torch.from_numpy(chance))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_the_weighted_batch_mean_over_all_pairs_is_unbiased_and_the_plain_one_is_not(share: float) -> None:
    log, value = _draw_skewed_log()
    sampler = Balanced(batch_size=64, observed_share=share)
    weighted, plain = [], []
    for epoch in range(150):
        sums = np.zeros(2)
        batches = list(sampler.epoch(log, "all_pairs", 0, epoch))
        for rows in batches:
            x = value[torch.from_numpy(rows.user * ITEMS + rows.item)]
            sums += [float((torch.from_numpy(rows.weight) * x).mean()), float(x.mean())]
        weighted.append(sums[0] / len(batches))
        plain.append(sums[1] / len(batches))
    truth = float(value.mean())
    assert abs(distance(torch.tensor(weighted, dtype=torch.float64), truth)) < 3
    assert abs(distance(torch.tensor(plain, dtype=torch.float64), truth)) > 3


def test_an_epoch_over_logged_rows_is_the_ips_estimate_over_all_pairs() -> None:
    log, _ = _draw_skewed_log()
    rng = np.random.default_rng(8)
    error = torch.from_numpy(rng.random(len(log)))
    propensity = torch.from_numpy(rng.uniform(0.1, 1, len(log)))
    expected = float(ips(error, torch.ones(len(log)), propensity).sum()) / log.num_pairs
    total = 0.0
    for rows in Balanced(batch_size=len(log)).epoch(log, "logged", 0, 0):
        row = torch.from_numpy(rows.row)
        value = ips(error[row], torch.ones(len(row)), propensity[row])
        total += float((torch.from_numpy(rows.weight) * value).mean())
    assert total == pytest.approx(expected, rel=1e-6)


def test_the_user_bootstrap_interval_covers_as_often_as_it_says_where_rows_of_a_user_hang_together() -> None:
    users, rows, worlds = 60, 10, 400
    rng = np.random.default_rng(3)
    weights = cluster_weights(users, 400, 0)
    by_row = cluster_weights(users * rows, 400, 0)
    covered, covered_by_row = 0, 0
    for _ in range(worlds):
        values = rng.normal(size=(users, 1)) + rng.normal(size=(users, rows))
        low, high = percentile_interval(weights @ values.mean(1) / users)
        covered += low <= 0 <= high
        low, high = percentile_interval(by_row @ values.ravel() / values.size)
        covered_by_row += low <= 0 <= high
    assert 0.90 < covered / worlds < 0.98
    assert covered_by_row / worlds < 0.80  # resampling rows as if independent: far too narrow
