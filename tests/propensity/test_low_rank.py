"""Low-rank models of exposure recover a low-rank truth better than popularity, and no structure they cannot hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import expit

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log
from causalrec.errors import DataError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity
from causalrec.propensity.matrix import Matrix, nearest_of_norm
from causalrec.propensity.mf import MFPropensity, _Exposure
from causalrec.propensity.popularity import PopularityPropensity
from causalrec.types import Doubles


def no_columns(users: int, items: int) -> FeatureMatrix:
    return FeatureMatrix((), (), np.zeros((users, 0), np.float32), np.zeros((items, 0), np.float32), ())


USERS, ITEMS = 300, 200


def draw_log(logits: Doubles) -> tuple[InteractionLog, Doubles]:
    chance = expit(logits)
    user, item = np.nonzero(np.random.default_rng(1).random(chance.shape) < chance)
    treatment = np.ones(len(user), np.int64)
    return InteractionLog(item, treatment, treatment.astype(np.float32), chance.shape[1], user, chance.shape[0]), chance


def low_rank() -> tuple[InteractionLog, Doubles]:
    rng = np.random.default_rng(0)
    product = rng.normal(size=(USERS, 2)) @ rng.normal(size=(2, ITEMS)) / np.sqrt(2)
    return draw_log(-1.5 + product + 0.7 * rng.normal(size=ITEMS))


def no_rank() -> tuple[InteractionLog, Doubles]:
    return draw_log(-1.5 + 1.2 * np.random.default_rng(0).normal(size=(USERS, ITEMS)))


def predict_pairs(model: AbstractPropensity, log: InteractionLog) -> Doubles:
    model.fit(log, no_columns(log.num_users, log.num_items))
    user, item = np.divmod(np.arange(log.num_pairs), log.num_items)
    return model.predict(pairs_log(user, item, log)).astype(float).reshape(log.num_users, log.num_items)


LOW, NONE = low_rank(), no_rank()
MODELS = [Matrix(centred=True), MFPropensity(width=2)]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=["matrix", "mf"])
def test_a_low_rank_truth_is_recovered_and_another_is_not(model: AbstractPropensity) -> None:
    log, chance = LOW
    error = np.mean((predict_pairs(model, log) - chance) ** 2)
    assert error < 0.5 * np.mean((predict_pairs(PopularityPropensity(), log) - chance) ** 2)
    log, chance = NONE
    error = np.mean((predict_pairs(model, log) - chance) ** 2)
    assert error > 0.9 * np.mean((predict_pairs(PopularityPropensity(), log) - chance) ** 2)


@pytest.mark.parametrize(("model", "left"), list(zip(MODELS, (0.55, 0.35), strict=True)), ids=["matrix", "mf"])
def test_weighting_removes_bias_of_an_outcome_that_follows_exposure(model: AbstractPropensity, left: float) -> None:
    """Shrinkage leaves some: of the matrix, whose norm is bounded, about half."""
    log, chance = LOW
    assert log.user is not None
    weight = 1 / predict_pairs(model, log)[log.user, log.item]
    value = chance[log.user, log.item]
    bias = abs(weight @ value / weight.sum() - chance.mean())
    assert bias < left * abs(value.mean() - chance.mean())


def test_the_published_bounds_hold_and_bind() -> None:
    log, _ = LOW
    for tau, gamma in ((1.0, 3.0), (5.0, 1.0)):
        chance = predict_pairs(Matrix(tau=tau, gamma=gamma), log)
        logits = np.log(chance / (1 - chance))
        norm = np.linalg.svd(logits, compute_uv=False).sum() / np.sqrt(USERS * ITEMS)
        assert norm <= tau * 1.001 and np.abs(logits).max() <= gamma * 1.001
        assert norm > 0.999 * tau or np.abs(logits).max() > 0.999 * gamma


def test_without_a_binding_bound_the_matrix_is_the_log_itself() -> None:
    log, _ = draw_log(np.zeros((6, 5)))
    chance = predict_pairs(Matrix(tau=50.0, gamma=2.0, tolerance=1e-6), log)
    seen = np.zeros((6, 5), bool)
    seen[log.user, log.item] = True
    np.testing.assert_allclose(chance, np.where(seen, expit(2.0), expit(-2.0)), atol=1e-4)


def test_the_projection_keeps_what_is_within_and_shrinks_the_rest() -> None:
    inside = np.diag([1.0, 0.5])
    np.testing.assert_array_equal(nearest_of_norm(inside, 2.0), inside)
    np.testing.assert_allclose(nearest_of_norm(np.diag([3.0, 2.0]), 4.0), np.diag([2.5, 1.5]), atol=1e-12)


def test_the_gradient_of_the_factorisation_is_the_numerical_one() -> None:
    rng = np.random.default_rng(0)
    user, item = np.divmod(np.arange(12), 3)
    rows = _Exposure(user, item, (rng.random(12) < 0.5) * 1.0, 1 + rng.random(12), (4, 3))
    flat = rng.normal(size=7 * 3 + 1)
    slope = approx_fprime(flat, lambda x: rows.loss(x, 2, 0.7)[0], 1e-7)
    np.testing.assert_allclose(rows.loss(flat, 2, 0.7)[1], slope, atol=1e-4)


def test_a_sampled_population_agrees_with_the_whole_one_and_the_seed_decides() -> None:
    log, _ = LOW
    full, sampled = (
        predict_pairs(MFPropensity(width=1), log),
        predict_pairs(MFPropensity(width=1, max_pairs=20_000), log),
    )
    assert sampled.mean() == pytest.approx(full.mean(), rel=0.05) and not np.array_equal(full, sampled)
    assert np.corrcoef(full.ravel(), sampled.ravel())[0, 1] > 0.93
    short = [predict_pairs(MFPropensity(iterations=3, seed=seed), log) for seed in (0, 0, 1)]
    assert np.array_equal(short[0], short[1]) and not np.array_equal(short[0], short[2])


@pytest.mark.parametrize(("model", "name"), [(Matrix(), "matrix"), (MFPropensity(), "mf")])
def test_a_userless_log_is_refused(model: AbstractPropensity, name: str) -> None:
    log = InteractionLog(LOW[0].item, LOW[0].treatment, LOW[0].outcome, ITEMS)
    with pytest.raises(DataError, match=f"propensity={name}: the log has no users; choose propensity=logged"):
        model.fit(log, no_columns(0, ITEMS))
    assert model.columns_read(("age",)) == ("item", "user")


def test_more_pairs_than_declared_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"60000 pairs are more than propensity\.max_pairs=50000; raise it where 0\.0 GB"
    ):
        Matrix(max_pairs=50_000).fit(LOW[0], no_columns(USERS, ITEMS))


def test_a_factorisation_says_how_it_ended_and_a_larger_log_is_refused() -> None:
    log, _ = LOW
    ended, stopped = MFPropensity(width=2), MFPropensity(width=2, iterations=3)
    for model in (ended, stopped):
        predict_pairs(model, log)
    assert ended.report.convergence.converged and ended.report.warnings() == ()
    assert stopped.report.warnings()[0].startswith("the propensity did not converge: relative gradient")
    with pytest.raises(DataError, match=f"{len(log)} rows are more than propensity.max_rows=10; raise it and wait"):
        predict_pairs(MFPropensity(max_rows=10), log)
