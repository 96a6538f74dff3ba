"""Penalised linear models: the optimum, at toy size and at the size users have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from causalrec.features.design_matrix import one_hot
from causalrec.solvers.convergence import Convergence, worst
from causalrec.solvers.linear_model import choose_penalty, fit_linear_model
from causalrec.solvers.multinomial import fit_multinomial
from causalrec.types import Doubles, Ints

RNG = np.random.default_rng(0)
COLUMNS = RNG.normal(size=(400, 6))
WEIGHT = RNG.uniform(0.5, 2, size=400)
CLICK = (RNG.random(400) < expit(COLUMNS[:, 0] - 1)).astype(np.float64)
RATING = 3 + COLUMNS[:, 1] + RNG.normal(size=400)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("l2", [0.1, 10.0])
def test_the_optimum_is_that_of_scikit_learn(form: type, l2: float) -> None:
    ours = fit_linear_model(form(COLUMNS), CLICK, WEIGHT, l2=l2, link="logit", tolerance=1e-8)
    theirs = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000).fit(COLUMNS, CLICK, sample_weight=WEIGHT)
    np.testing.assert_allclose(ours.coefficients, theirs.coef_[0], atol=1e-5)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-5)
    ours = fit_linear_model(form(COLUMNS), RATING, WEIGHT, l2=l2, link="identity", tolerance=1e-10)
    ridge = Ridge(alpha=l2, tol=1e-12).fit(COLUMNS, RATING, sample_weight=WEIGHT)
    np.testing.assert_allclose(ours.coefficients, ridge.coef_, atol=1e-7)


def many_ids(users: int, items: int, rows: int) -> tuple[sparse.csr_matrix, Doubles, Ints, Ints]:
    """Clicks of a log of users' size, half of them 1, with a bias of each user and item."""
    rng = np.random.default_rng(1)
    user, item = rng.integers(users, size=rows), np.minimum(rng.pareto(1.0, rows) * items / 50, items - 1).astype(int)
    odds = rng.normal(scale=0.8, size=users)[user] + rng.normal(scale=0.8, size=items)[item]
    design = sparse.csr_matrix(sparse.hstack([one_hot(user, users), one_hot(item, items)]))
    return design, (rng.random(rows) < expit(odds)).astype(np.float64), user, item


def test_a_log_of_fifty_thousand_users_is_fitted_to_its_end() -> None:
    design, click, _, item = many_ids(50_000, 10_000, 300_000)
    model = fit_linear_model(design, click, l2=3.0, link="logit")
    assert model.convergence.converged and model.convergence.steps >= 3
    assert roc_auc_score(click, model.predict(design)) > 0.74
    residual = np.bincount(item, model.predict(design) - click, 10_000)
    limit = 1e-3 * np.maximum(np.bincount(item, click, 10_000), 1)
    assert (np.abs(residual + 3.0 * model.coefficients[50_000:]) <= limit).all()


def test_a_penalty_is_chosen_by_rows_that_no_fit_reads() -> None:
    design, click, _, _ = many_ids(200, 100, 4000)
    fold, grid = np.arange(4000) % 3, (0.01, 3.0, 1000.0)
    choice = choose_penalty(design, click, np.ones(4000), fold=fold, grid=grid, link="logit")
    assert choice.l2 == 3.0 and not choice.at_edge and set(choice.losses) == set(grid)
    held_out = 0.0
    for number in range(3):
        rest = fold != number
        model = fit_linear_model(design[rest], click[rest], l2=3.0, link="logit")
        held_out += model.loss(design[~rest], click[~rest], np.ones((~rest).sum()))
    assert choice.losses[3.0] == pytest.approx(held_out, rel=1e-3)
    edge = choose_penalty(design, click, np.ones(4000), fold=fold, grid=(300.0, 1000.0), link="logit")
    assert edge.l2 == 300.0 and edge.at_edge


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_is_predicted_of_every_row(value: float) -> None:
    model = fit_linear_model(COLUMNS, np.full(400, value), l2=1.0, link="logit")
    assert model.convergence.converged
    np.testing.assert_allclose(model.predict(COLUMNS), value, atol=1e-4)


def test_a_column_without_a_row_has_no_coefficient() -> None:
    design = sparse.csr_matrix(one_hot(np.array([0, 0, 2, 2]), 4))
    model = fit_linear_model(design, np.array([1.0, 1.0, 0.0, 1.0]), l2=0.5, link="logit")
    assert model.coefficients[[1, 3]].tolist() == [0.0, 0.0] and model.coefficients[0] > model.coefficients[2]


def test_classes_are_fitted_as_scikit_learn_does() -> None:
    label = RNG.integers(3, size=400)
    ours = fit_multinomial(COLUMNS, label, l2=2.0, tolerance=1e-7)
    theirs = LogisticRegression(C=1 / 2.0, tol=1e-10, max_iter=10_000).fit(COLUMNS, label)
    assert ours.convergence.converged
    np.testing.assert_allclose(ours.predict(COLUMNS), theirs.predict_proba(COLUMNS), atol=1e-4)


def test_what_did_not_converge_says_so() -> None:
    good, bad = Convergence(3, 1e-6, "within tolerance"), Convergence(100, 0.5, "step limit")
    assert good.warning("x") is None and worst([good, bad]) is bad and worst([]) is None
    expected = "x did not converge: relative gradient 0.5 after 100 steps (step limit), above 0.0001"
    assert bad.warning("x") == expected
