"""A calibrated model is calibrated where its base orders pairs rightly, and never sees what it was fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log
from causalrec.errors import DataError, RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.graph.calibration import calibration_error
from causalrec.propensity.base import AbstractPropensity
from causalrec.propensity.calibrated import METHODS, Calibrated, Method
from causalrec.propensity.logged import Logged
from causalrec.propensity.naive_bayes import NaiveBayes
from causalrec.propensity.popularity import PopularityPropensity
from causalrec.propensity.relative_popularity import RelativePopularity
from causalrec.types import Doubles, Floats


def no_columns(users: int, items: int) -> FeatureMatrix:
    return FeatureMatrix((), (), np.zeros((users, 0), np.float32), np.zeros((items, 0), np.float32), ())


USERS, ITEMS = 400, 150
CHANCE = np.broadcast_to(expit(np.linspace(-4, 0, ITEMS)), (USERS, ITEMS))


def draw_log() -> InteractionLog:
    user, item = np.nonzero(np.random.default_rng(0).random(CHANCE.shape) < CHANCE)
    treatment = np.ones(len(user), np.int64)
    return InteractionLog(item, treatment, treatment.astype(np.float32), ITEMS, user, USERS)


LOG, COLUMNS = draw_log(), no_columns(USERS, ITEMS)


def predict_pairs(model: AbstractPropensity) -> Floats:
    model.fit(LOG, COLUMNS)
    user, item = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    return model.predict(pairs_log(user, item, LOG))


def exposure_indicator() -> Floats:
    seen = np.zeros(USERS * ITEMS, np.float32)
    seen[LOG.codes] = 1
    return seen


class Overstated(AbstractPropensity):
    """Popularity with its log-odds halved and raised."""

    def __init__(self) -> None:
        self.popularity = PopularityPropensity()

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        self.popularity.fit(log, features, randomised_sample)

    def predict(self, log: InteractionLog) -> Floats:
        chance = self.popularity.predict(log).astype(float)
        return expit(0.5 * np.log(chance / (1 - chance)) + 1).astype(np.float32)

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return ("item",)


@pytest.mark.parametrize(("base", "method"), [(Overstated(), "platt"), (RelativePopularity(), "isotonic")])
@pytest.mark.parametrize("max_pairs", [400_000, 30_000])
def test_a_wrong_scale_becomes_a_probability_that_unbiases_the_mean(
    base: AbstractPropensity, method: Method, max_pairs: int
) -> None:
    raw = predict_pairs(base)
    calibrated = predict_pairs(Calibrated(base=base, method=method, max_pairs=max_pairs))
    assert (
        calibration_error(raw, exposure_indicator()) > 0.3
        and calibration_error(calibrated, exposure_indicator()) < 0.02
    )
    chance, weight = CHANCE.ravel()[LOG.codes], 1 / calibrated[LOG.codes].astype(float)
    assert weight.sum() / LOG.num_pairs == pytest.approx(1, abs=0.06)
    naive, ips = chance.mean(), (weight * chance).sum() / LOG.num_pairs
    assert abs(ips - CHANCE.mean()) < 0.05 * abs(naive - CHANCE.mean())


def test_temperature_alone_cannot_move_the_rate_of_relative_exposure() -> None:
    calibrated = predict_pairs(Calibrated(base=RelativePopularity(), method="temperature"))
    assert calibration_error(calibrated, exposure_indicator()) > 0.05


def test_a_calibrated_base_is_left_as_it_is() -> None:
    raw = predict_pairs(PopularityPropensity())
    for method in ("platt", "temperature"):
        np.testing.assert_allclose(
            predict_pairs(Calibrated(base=PopularityPropensity(), method=method)), raw, rtol=0.15, atol=0.002
        )


def test_each_method_recovers_its_own_distortion() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(-1, 1.5, size=40_000)
    exposed = (rng.random(40_000) < expit(0.5 * score)).astype(float)
    weight = np.ones(40_000)
    shown = np.array([0.1, 0.5, 0.9])
    truth = expit(0.5 * np.log(shown / (1 - shown)))
    for method, fit in METHODS.items():
        np.testing.assert_allclose(fit(expit(score), exposed, weight)(shown), truth, atol=0.03, err_msg=method)
    # a pair that stands for two counts twice
    twice = np.concatenate([np.arange(40_000), np.arange(20_000)])
    for fit in METHODS.values():
        doubled = fit(expit(score)[twice], exposed[twice], np.ones(60_000))(shown)
        weighted = fit(expit(score), exposed, np.where(np.arange(40_000) < 20_000, 2.0, 1.0))(shown)
        np.testing.assert_allclose(weighted, doubled, atol=1e-4)


def test_isotonic_never_reaches_zero() -> None:
    calibrate = METHODS["isotonic"](np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 0, 1, 1]), np.array([3.0, 2, 1, 1]))
    np.testing.assert_allclose(calibrate(np.array([0.0, 0.1, 0.4])), [0.1, 0.1, 1.0])  # half an exposure of five pairs


class Memory(AbstractPropensity):
    """A base that knows which rows it was fitted on."""

    queries: list[Doubles]

    def __init__(self) -> None:
        self.seen = np.zeros(0, np.int64)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        self.seen = log.codes

    def predict(self, log: InteractionLog) -> Floats:
        fitted = np.isin(log.codes, self.seen)
        self.queries.append(fitted)
        return np.where(fitted, 0.9, 0.1).astype(np.float32)

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return view


def test_the_calibrator_sees_no_prediction_of_a_row_its_base_was_fitted_on() -> None:
    Memory.queries = []
    model = Calibrated(base=Memory(), method="platt", folds=4)
    model.fit(LOG, COLUMNS)
    assert len(Memory.queries) == 12 and not np.concatenate(Memory.queries).any()
    assert sum(map(len, Memory.queries)) == LOG.num_pairs + (LOG.num_pairs - len(LOG))
    model.predict(LOG)
    assert Memory.queries[-1].all(), "the base that predicts was fitted on all rows"
    assert model.columns_read(("age",)) == ("age",)


@pytest.mark.parametrize("base", [Logged(), NaiveBayes()])
def test_a_base_that_cannot_tell_pairs_apart_is_refused(base: AbstractPropensity) -> None:
    with pytest.raises(RequestError, match=f"propensity.base={type(base).__name__}: cannot tell unlogged pairs apart"):
        Calibrated(base=base, method="platt").fit(LOG, COLUMNS)


def test_too_few_rows_and_a_userless_log_are_refused() -> None:
    with pytest.raises(DataError, match=r"3 rows for 5 folds; set propensity\.folds lower"):
        Calibrated(base=PopularityPropensity(), method="platt").fit(LOG.take(np.arange(3)), COLUMNS)
    with pytest.raises(DataError, match="the log has no users"):
        Calibrated(base=PopularityPropensity(), method="platt").fit(
            InteractionLog(LOG.item, LOG.treatment, LOG.outcome, ITEMS), COLUMNS
        )
