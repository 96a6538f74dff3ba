"""Naive Bayes recovers exposure that depends on the outcome's grade, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log
from causalrec.errors import DataError, RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.naive_bayes import NaiveBayes
from causalrec.types import Doubles, Ints


def no_columns(users: int, items: int) -> FeatureMatrix:
    return FeatureMatrix((), (), np.zeros((users, 0), np.float32), np.zeros((items, 0), np.float32), ())


def rated_log(codes: Ints, outcome: object, name: str = "log", users: int = 10, items: int = 10) -> InteractionLog:
    treatment = np.ones(len(codes), np.int64)
    values = np.asarray(outcome, np.float32)
    return InteractionLog(codes % items, treatment, values, items, codes // items, users, name=name)


LOG = rated_log(np.arange(10), [5, 5, 5, 5, 5, 5, 1, 1, 3, 3])
SAMPLE = rated_log(np.arange(20, 28), [5, 5, 1, 1, 1, 1, 3, 3], "sample")


def test_the_propensities_are_the_hand_worked_ones() -> None:
    model = NaiveBayes()
    model.fit(LOG, no_columns(10, 10), SAMPLE)
    # P(O) = 1/10; P(5|O) = .6, P(1|O) = P(3|O) = .2; P(5) = P(3) = 1/4, P(1) = 1/2
    np.testing.assert_allclose(model.predict(LOG), [0.24] * 6 + [0.04] * 2 + [0.08] * 2, rtol=1e-6)
    np.testing.assert_allclose(model.predict(pairs_log(np.arange(3), np.arange(3), LOG)), 0.1, rtol=1e-6)
    assert (
        model.needs_randomised_sample
        and not model.scores_unlogged_pairs
        and model.columns_read(("age",)) == ("outcome",)
    )


def test_smoothing_adds_to_both_counts() -> None:
    model = NaiveBayes(smoothing=2)
    model.fit(LOG, no_columns(10, 10), SAMPLE)
    assert model.predict(LOG)[0] == pytest.approx(0.1 * (8 / 16) / (4 / 14))


def simulate(by_item: bool) -> tuple[InteractionLog, InteractionLog, Doubles, float]:
    """Ratings whose exposure depends on the grade, or on the item alone; the log, 5 % at random, truth by row, mean."""
    rng = np.random.default_rng(0)
    users, items = 400, 300
    quality = np.tile(rng.normal(size=items), users)
    grade = np.clip(np.rint(3 + quality + rng.normal(size=users * items)), 1, 5)
    chance = (
        np.where(quality > 0, 0.3, 0.02) if by_item else np.array([0.02, 0.04, 0.1, 0.2, 0.3])[grade.astype(int) - 1]
    )
    seen = np.flatnonzero(rng.random(users * items) < chance)
    sample_codes = rng.choice(users * items, 6000, replace=False)
    log, sample = (
        rated_log(rows, grade[rows], name, users, items) for rows, name in ((seen, "log"), (sample_codes, "sample"))
    )
    return log, sample, chance[seen], float(grade.mean())


def ips(log: InteractionLog, sample: InteractionLog) -> tuple[Doubles, float]:
    model = NaiveBayes()
    model.fit(log, no_columns(log.num_users, log.num_items), sample)
    propensity = model.predict(log).astype(float)
    return propensity, float((log.outcome / propensity).sum() / log.num_pairs)


def test_exposure_by_grade_is_recovered_and_unbiases_the_mean() -> None:
    log, sample, chance, mean = simulate(by_item=False)
    propensity, estimate = ips(log, sample)
    np.testing.assert_allclose(propensity, chance, rtol=0.12)
    assert estimate == pytest.approx(mean, abs=0.06) and log.outcome.mean() > mean + 0.8


def test_exposure_by_item_is_not_recovered() -> None:
    log, sample, chance, _ = simulate(by_item=True)
    propensity, _ = ips(log, sample)
    assert np.median(np.abs(propensity / chance - 1)) > 0.2


def test_without_randomised_rows_it_is_refused_in_one_line() -> None:
    with pytest.raises(RequestError, match=r"^propensity=naive_bayes: .*set split\.propensity_sample=0\.05$"):
        NaiveBayes().fit(LOG, no_columns(10, 10))


def test_a_grade_without_a_count_is_refused_unless_smoothed() -> None:
    few = SAMPLE.take(SAMPLE.outcome < 5)
    with pytest.raises(
        DataError, match=r"outcome 5 never occurs in the 6 randomised rows; set propensity\.smoothing=1"
    ):
        NaiveBayes().fit(LOG, no_columns(10, 10), few)
    model = NaiveBayes(smoothing=1)
    model.fit(LOG, no_columns(10, 10), few)
    assert 0 < model.predict(LOG)[0] <= 1


def test_a_grade_that_no_fitted_row_has_is_refused() -> None:
    model = NaiveBayes()
    model.fit(LOG, no_columns(10, 10), SAMPLE)
    with pytest.raises(DataError, match="row 1: outcome 4 is in no training row"):
        model.predict(rated_log(np.arange(2), [5, 4]))


def test_a_propensity_is_never_above_one() -> None:
    log = rated_log(np.arange(100), [5] * 99 + [1])
    model = NaiveBayes()
    model.fit(log, no_columns(10, 10), SAMPLE)
    assert model.predict(log).max() == 1.0
