"""Movies as actions: the rates are those of the completed ratings, and the log is that of its policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import FakeML100K

from causalrec.data.contexts import Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.ml100k_semisynthetic import ML100KSemisynthetic
from causalrec.data.datasets.rating_bandit import RatingBandit
from causalrec.types import Doubles

USERS, ITEMS = 60, 40
EVERY = (np.arange(USERS)[:, None], np.arange(ITEMS)[None, :])


@pytest.fixture
def root(fake_ml100k: FakeML100K, tmp_path: Path) -> Path:
    return fake_ml100k(tmp_path, users=USERS, items=ITEMS, ratings=1500)


def truth(data: CausalDataset) -> tuple[Doubles, Doubles]:
    assert data.context_oracle is not None and data.logging_policy is not None
    contexts = Contexts.of_log(data.logged)
    return data.context_oracle(contexts), data.logging_policy(contexts)


def test_rates_are_those_of_the_semi_synthetic_world(root: Path) -> None:
    data, world = RatingBandit().load(root), ML100KSemisynthetic(test_items=5).load(root)
    assert data.oracle is not None and world.oracle is not None
    np.testing.assert_allclose(data.oracle.rate(*EVERY), world.oracle.rate(*EVERY), rtol=1e-6)
    means, _ = truth(data)
    assert data.logged.user is not None
    np.testing.assert_allclose(means, data.oracle.rate(data.logged.user[:, None], EVERY[1]), rtol=1e-6)


def test_the_log_is_that_of_its_policy(root: Path) -> None:
    data = RatingBandit(temperature=0.7, noise=0.5).load(root)
    log, (means, probabilities) = data.logged, truth(data)
    assert len(log) == 10_000 and log.user is not None and log.propensity is not None and log.of_rounds
    np.testing.assert_allclose(probabilities.sum(1), 1)
    rows = np.arange(len(log))
    np.testing.assert_allclose(log.propensity, probabilities[rows, log.item], rtol=1e-6)
    for ids, expected in ((log.user, np.full(USERS, 1 / USERS)), (log.item, probabilities.mean(0))):
        share = np.bincount(ids, minlength=len(expected)) / len(log)
        assert (np.abs(share - expected) < 4 * np.sqrt(expected / len(log))).all()
    residual = log.outcome - means[rows, log.item]
    assert abs(residual.mean()) < 4 * residual.std() / 100
    popularity = data.item_table["popularity"].to_numpy()
    assert np.corrcoef(np.log(probabilities).mean(0), popularity / 0.7)[0, 1] > 0.95


def test_inverse_propensities_recover_the_uniform_policy_s_value(root: Path) -> None:
    data = RatingBandit().load(root)
    means, probabilities = truth(data)
    terms = data.logged.outcome / ITEMS / probabilities[np.arange(10_000), data.logged.item]
    assert abs(terms.mean() - means.mean()) < 4 * terms.std() / 100
    assert abs(data.logged.outcome.mean() - means.mean()) > 4 * 0.5 / 100, "popular movies earn more"


def test_a_pair_s_propensity_is_to_be_logged_at_all(root: Path) -> None:
    data = RatingBandit(rounds=2000).load(root)
    assert data.oracle is not None
    expected = data.oracle.propensity(*EVERY).astype(float)
    logged = np.isin(np.arange(USERS * ITEMS), data.logged.codes).sum()
    assert abs(logged - expected.sum()) < 4 * np.sqrt((expected * (1 - expected)).sum())


def test_draws_share_rates_and_policy(root: Path) -> None:
    first, again, other = RatingBandit().load(root), RatingBandit().load(root), RatingBandit(draw=1).load(root)
    np.testing.assert_array_equal(first.logged.item, again.logged.item)
    assert (first.logged.user != other.logged.user).any()
    contexts = Contexts.of_log(first.logged)
    assert first.logging_policy is not None and other.logging_policy is not None
    np.testing.assert_array_equal(first.logging_policy(contexts), other.logging_policy(contexts))
    other_noise = RatingBandit(policy_seed=1).load(root)
    assert other_noise.logging_policy is not None
    assert (first.logging_policy(contexts) != other_noise.logging_policy(contexts)).any()


def test_a_high_temperature_is_near_to_uniform(root: Path) -> None:
    _, probabilities = truth(RatingBandit(temperature=1e6).load(root))
    np.testing.assert_allclose(probabilities, 1 / ITEMS, rtol=1e-4)
