"""Propensity models recover the exposure they are shown, as probabilities."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log, unexposed_pairs
from causalrec.errors import DataError
from causalrec.features.views import FeatureMatrix, feature_matrix
from causalrec.graph.calibration import calibration_error
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.propensity.calibrated import Calibrated
from causalrec.propensity.logged import Logged
from causalrec.propensity.logistic import Logistic
from causalrec.propensity.matrix import Matrix
from causalrec.propensity.mf import MFPropensity
from causalrec.propensity.popularity import PopularityPropensity
from causalrec.types import Doubles, Floats

USERS, ITEMS = 300, 200
TRUE = {"intercept": -2.5, "activity": 0.8, "popularity": 1.0}
CARD = DatasetCard(
    name="toy",
    domain="",
    licence="",
    urls=(),
    sha256={},
    columns=(
        Column("user", "user", "id"),
        Column("item", "item", "id"),
        Column("activity", "user", "numeric"),
        Column("popularity", "item", "numeric"),
    ),
    outcome="click",
    feedback="explicit",
)


def simulate() -> tuple[CausalDataset, Doubles]:
    """Exposure that is logistic in two columns; returns the data and the true propensity [U,I]."""
    rng = np.random.default_rng(0)
    activity, popularity = (
        (values - values.mean()) / values.std() for values in (rng.normal(size=USERS), rng.normal(size=ITEMS))
    )
    chance = expit(TRUE["intercept"] + TRUE["activity"] * activity[:, None] + TRUE["popularity"] * popularity[None, :])
    user, item = np.nonzero(rng.random(chance.shape) < chance)
    treatment = np.ones(len(user), np.int64)
    log = InteractionLog(item, treatment, treatment.astype(np.float32), ITEMS, user, USERS)
    users, items = pl.DataFrame({"activity": activity}), pl.DataFrame({"popularity": popularity})
    return CausalDataset(CARD, log, users, items), chance


DATA, CHANCE = simulate()
VIEW = ("activity", "popularity")


def every_pair() -> InteractionLog:
    user, item = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    return pairs_log(user, item, DATA.logged)


def exposure_indicator() -> Floats:
    happened = np.zeros(USERS * ITEMS, np.float32)
    happened[DATA.logged.codes] = 1
    return happened


def fit_logistic(view: tuple[str, ...], max_pairs: int = 2_000_000) -> Logistic:
    model = Logistic(max_pairs=max_pairs)
    model.fit(DATA.logged, feature_matrix(DATA, view))
    return model


def test_logistic_recovers_the_coefficients_of_exposure() -> None:
    user, item = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 3])
    features = feature_matrix(DATA, VIEW)
    odds = np.log(1 / (1 / fit_logistic(VIEW).predict(pairs_log(user, item, DATA.logged)) - 1))
    columns = np.column_stack([np.ones(4), features(user, item)])
    coefficients = np.linalg.lstsq(columns, odds, rcond=None)[0]
    np.testing.assert_allclose(coefficients, list(TRUE.values()), atol=0.06)
    np.testing.assert_allclose(columns @ coefficients, odds, atol=1e-3)


def test_logistic_is_calibrated_and_ranks_like_the_true_propensity() -> None:
    predicted, happened = fit_logistic(VIEW).predict(every_pair()), exposure_indicator()
    assert predicted.dtype == np.float32
    assert calibration_error(predicted, happened) < 0.005
    assert roc_auc_score(happened, predicted) == pytest.approx(roc_auc_score(happened, CHANCE.ravel()), abs=0.003)


def test_inverse_propensities_of_the_logged_rows_sum_to_the_number_of_pairs() -> None:
    weight = 1 / fit_logistic(VIEW).predict(DATA.logged).astype(float)
    assert weight.sum() / DATA.logged.num_pairs == pytest.approx(1, abs=0.05)


def test_leaving_a_column_out_of_the_view_miscalibrates_the_pairs_that_it_tells_apart() -> None:
    popular = np.tile(DATA.item_table["popularity"].to_numpy() > 1, USERS)
    happened = exposure_indicator()[popular].mean()
    assert fit_logistic(VIEW).predict(every_pair())[popular].mean() == pytest.approx(happened, abs=0.02)
    assert fit_logistic(("activity",)).predict(every_pair())[popular].mean() < happened - 0.1


@pytest.mark.parametrize("max_pairs", [20_000])
def test_a_sampled_population_agrees_with_the_whole_one(max_pairs: int) -> None:
    full, sampled = fit_logistic(VIEW).predict(every_pair()), fit_logistic(VIEW, max_pairs).predict(every_pair())
    assert not np.array_equal(full, sampled)
    assert sampled.mean() == pytest.approx(full.mean(), rel=0.03)
    np.testing.assert_allclose(sampled, full, rtol=0.2)


def test_an_empty_adjustment_set_gives_the_rate_of_exposure() -> None:
    predicted = fit_logistic(()).predict(DATA.logged)
    np.testing.assert_allclose(predicted, len(DATA.logged) / DATA.logged.num_pairs, rtol=1e-6)


def test_ids_in_the_view_give_every_item_its_own_rate() -> None:
    predicted = fit_logistic(("item",)).predict(every_pair()).reshape(USERS, ITEMS)
    rate = np.bincount(DATA.logged.item, minlength=ITEMS) / USERS
    np.testing.assert_allclose(predicted[0], predicted[-1], rtol=1e-6)
    assert np.abs(predicted[0] - rate)[rate > 0.1].max() < 0.02


def skewed_log(users: int, items: int, rows: int) -> InteractionLog:
    """Popular items and busy users, as shops have them: counts of items spread over four powers of ten."""
    rng = np.random.default_rng(3)
    item_share = np.sort(rng.pareto(0.9, items) + 0.05)
    user_share = rng.lognormal(sigma=0.8, size=users)
    user = rng.choice(users, 2 * rows, p=user_share / user_share.sum())
    item = rng.choice(items, 2 * rows, p=item_share / item_share.sum())
    codes = np.unique(user * items + item)
    codes = rng.permutation(codes)[:rows]
    treatment = np.ones(len(codes), np.int64)
    return InteractionLog(
        user=codes // items, item=codes % items, treatment=treatment, outcome=treatment.astype(np.float32),
        num_users=users, num_items=items, name="shop",
    )  # fmt: skip


def ids_alone(log: InteractionLog) -> FeatureMatrix:
    """The view of the two ids, without a number."""
    return FeatureMatrix(
        (), ("item", "user"), np.zeros((log.num_users, 0), np.float32), np.zeros((log.num_items, 0), np.float32)
    )


def test_a_sparse_log_of_many_ids_is_fitted_to_its_end_and_held_out_rows_confirm_it() -> None:
    log = skewed_log(20_000, 4_000, 100_000)
    model = Logistic(max_pairs=400_000)
    model.fit(log, ids_alone(log))
    report = model.report
    assert report is not None and report.convergence.converged and not report.l2_at_edge
    assert report.slope_items is not None and 0.8 < report.slope_items.value < 1.5
    assert report.slope_users is not None and 0.8 < report.slope_users.value < 1.5
    assert report.log_sd is not None and report.log_count_sd is not None and report.log_sd > 0.5 * report.log_count_sd
    assert report.warnings() == ()
    summed = np.bincount(log.item, minlength=4_000)
    popular = np.argsort(-summed)[:20]
    every = np.repeat(popular, 2_000), np.tile(np.arange(0, 20_000, 10), 20)
    predicted = 10 * np.bincount(every[0], model.predict(pairs_log(every[1], every[0], log)), 4_000)[popular]
    np.testing.assert_allclose(predicted, summed[popular], rtol=0.2)


def test_users_of_equal_counts_tell_no_slope_and_warn_of_none() -> None:
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.choice(60, 12, replace=False) for _ in range(200)])
    treatment = np.ones(len(item), np.int64)
    log = InteractionLog(item, treatment, treatment.astype(np.float32), 60, np.repeat(np.arange(200), 12), 200)
    model = Logistic()
    model.fit(log, ids_alone(log))
    assert model.report is not None and not [line for line in model.report.warnings() if "users" in line]


def test_an_over_shrunk_propensity_is_warned_of() -> None:
    log = skewed_log(2_000, 500, 20_000)
    model = Logistic(l2=(3000.0,), max_pairs=100_000)
    model.fit(log, ids_alone(log))
    assert model.report is not None
    over_items = [line for line in model.report.warnings() if "over items" in line]
    assert len(over_items) == 1 and over_items[0].endswith("outside 0.8 to 1.5: p is over-shrunk")


def test_a_sample_of_unexposed_pairs_stands_for_all_of_them() -> None:
    log = skewed_log(300, 200, 6_000)
    codes, weight = unexposed_pairs(log, 20_000)
    assert weight.sum() == pytest.approx(300 * 200 - 6_000) and (log.finder(codes) < 0).all()
    unseen = np.setdiff1d(np.arange(60_000), log.codes)
    counts = np.bincount(log.item, minlength=200)
    assert weight @ counts[codes % 200] / weight.sum() == pytest.approx(counts[unseen % 200].mean(), rel=0.05)


@pytest.mark.parametrize(
    "model", [Logistic(), Matrix(), MFPropensity(), Calibrated(base=PopularityPropensity(), method="platt")]
)
def test_exposure_of_a_fully_observed_log_cannot_be_learnt(model: AbstractPropensity) -> None:
    code, treatment = np.arange(60), np.ones(60, np.int64)
    log = InteractionLog(
        user=code // 6, item=code % 6, treatment=treatment, outcome=treatment.astype(np.float32),
        num_users=10, num_items=6, name="full",
    )  # fmt: skip
    with pytest.raises(DataError, match="full: every user has a row with every item, so that exposure cannot be"):
        model.fit(log, ids_alone(log))


def test_a_userless_log_is_refused_with_the_alternatives() -> None:
    log = dataclasses.replace(DATA.logged, user=None, num_users=0)
    with pytest.raises(DataError, match="propensity=logistic: the log has no users; choose propensity=logged"):
        Logistic().fit(log, feature_matrix(DATA, VIEW))


def no_columns() -> FeatureMatrix:
    return feature_matrix(DATA, ())


def test_popularity_is_the_share_of_users_an_item_was_exposed_to() -> None:
    model = PopularityPropensity()
    model.fit(DATA.logged, no_columns())
    counts = np.bincount(DATA.logged.item, minlength=ITEMS)
    np.testing.assert_allclose(model.predict(DATA.logged), counts[DATA.logged.item] / USERS, rtol=1e-6)
    assert model.columns_read(VIEW) == ("item",)


def test_popularity_of_an_item_never_exposed_is_half_a_user_and_never_above_one() -> None:
    treatment = np.ones(4, np.int64)
    log = InteractionLog(np.array([0, 0, 0, 2]), treatment, treatment.astype(np.float32), 3, np.array([0, 1, 0, 1]), 2)
    model = PopularityPropensity()
    model.fit(log, no_columns())
    assert model.predict(pairs_log(np.zeros(3, int), np.arange(3), log)).tolist() == [1.0, 0.25, 0.5]


def test_logged_gives_the_column_as_it_is() -> None:
    column = np.linspace(0.1, 1, len(DATA.logged), dtype=np.float32)
    log = DATA.logged.with_propensity(column)
    model = Logged()
    model.fit(log, no_columns())
    np.testing.assert_array_equal(model.predict(log), column)
    assert model.uses_logged and model.columns_read(VIEW) == ()


def test_logged_without_a_column_is_refused_when_fitted() -> None:
    with pytest.raises(DataError, match="propensity=logged: log has no propensity column; choose another"):
        Logged().fit(DATA.logged, no_columns())


@pytest.mark.parametrize("bad", [0.0, 1.2, float("nan"), -0.1])
def test_a_number_that_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(DataError, match=r"propensity=mine: row 1 got .*outside \(0, 1\]"):
        check_propensity(np.array([0.5, bad], np.float32), "mine")


def test_what_a_model_reads_is_the_view_only_for_the_logistic_one() -> None:
    assert Logistic().columns_read(VIEW) == VIEW
    assert not Logistic.uses_logged and not PopularityPropensity.uses_logged
