"""The semi-synthetic world has the shares and rates that were set, a truth, and a bias that its propensity mends."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import FakeML100K
from polars.testing import assert_frame_equal

from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.ml100k_semisynthetic import ML100KSemisynthetic, self_selection, text_term
from causalrec.errors import RequestError
from causalrec.types import Doubles

USERS, ITEMS = 200, 150
PAIRS = USERS * ITEMS


@pytest.fixture
def root(fake_ml100k: FakeML100K, tmp_path: Path) -> Path:
    return fake_ml100k(tmp_path, users=USERS, items=ITEMS, ratings=6000)


def truth(data: CausalDataset) -> tuple[Doubles, Doubles]:
    """True rate and propensity of every pair."""
    assert data.oracle is not None
    user, item = np.divmod(np.arange(PAIRS), ITEMS)
    return data.oracle.rate(user, item).astype(float), data.oracle.propensity(user, item).astype(float)


@pytest.mark.parametrize(("mechanism", "exposed"), [("features", 0.2), ("rating", 0.1)])
def test_shares_and_rates_are_near_the_settings(root: Path, mechanism: str, exposed: float) -> None:
    world = ML100KSemisynthetic(mechanism=mechanism, exposed=exposed, mean_rate=0.3, test_items=20)  # type: ignore[arg-type]
    data = world.load(root)
    rate, propensity = truth(data)
    if mechanism == "features":
        assert rate.mean() == pytest.approx(0.3, abs=1e-4)
    assert propensity.mean() == pytest.approx(exposed, abs=1e-4) and 0 < propensity.min() <= propensity.max() <= 1
    assert abs(len(data.logged) - exposed * PAIRS) < 4 * np.sqrt((propensity * (1 - propensity)).sum())
    assert data.randomised is not None and len(data.randomised) == 20 * USERS
    assert abs(data.randomised.outcome.mean() - rate.mean()) < 4 * np.sqrt(0.25 / len(data.randomised))
    assert data.card.known_truth and data.card.fresh_test_labels


def test_the_logged_propensity_is_the_oracle_of_the_row(root: Path) -> None:
    data = ML100KSemisynthetic(exposed=0.2, test_items=20).load(root)
    _, propensity = truth(data)
    assert data.logged.propensity is not None
    np.testing.assert_allclose(data.logged.propensity, propensity[data.logged.codes], rtol=1e-6)
    assert data.randomised is not None and data.randomised.propensity is not None
    np.testing.assert_allclose(data.randomised.propensity, 20 / ITEMS, rtol=1e-6)


@pytest.mark.parametrize(("mechanism", "exposed"), [("features", 0.2), ("rating", 0.1)])
def test_snips_with_the_true_propensity_recovers_the_truth_and_naive_does_not(
    root: Path, mechanism: str, exposed: float
) -> None:
    data = ML100KSemisynthetic(mechanism=mechanism, exposed=exposed, test_items=20).load(root)  # type: ignore[arg-type]
    rate, _ = truth(data)
    log = data.logged
    assert log.propensity is not None
    weight = 1 / log.propensity.astype(float)
    snips = (weight * log.outcome).sum() / weight.sum()
    error = np.sqrt((weight**2 * (log.outcome - snips) ** 2).sum()) / weight.sum()
    naive, naive_error = log.outcome.mean(), log.outcome.std() / np.sqrt(len(log))
    assert error < 0.03
    assert abs(snips - rate.mean()) < 3 * error
    assert naive - rate.mean() > 3 * naive_error


def test_adjusting_for_the_three_frozen_columns_needs_all_three(root: Path) -> None:
    """Exposure odds are exactly linear in the three columns, and in no two of them."""
    data = ML100KSemisynthetic(exposed=0.2, test_items=20).load(root)
    _, propensity = truth(data)
    user, item = np.divmod(np.arange(PAIRS), ITEMS)
    pair = data.pair_features["affinity"]
    affinity = (pair.user_part @ pair.item_part.T).ravel() * pair.scale + pair.shift
    popularity, activity = data.item_table["popularity"].to_numpy()[item], data.user_table["activity"].to_numpy()[user]
    odds = np.log(propensity / (1 - propensity))
    columns = np.stack([np.ones(PAIRS), popularity, affinity, activity], axis=1)
    coefficients, *_ = np.linalg.lstsq(columns, odds, rcond=None)
    np.testing.assert_allclose(coefficients[1:], [1.2, 0.8, 0.6], atol=1e-3)
    np.testing.assert_allclose(columns @ coefficients, odds, atol=1e-3)
    without = columns[:, :3]
    left = odds - without @ np.linalg.lstsq(without, odds, rcond=None)[0]
    assert left.std() > 0.3


def test_only_the_rating_mechanism_is_self_selected() -> None:
    assert ML100KSemisynthetic(mechanism="rating").card.self_selected
    assert not ML100KSemisynthetic(mechanism="features").card.self_selected


def test_self_selection_follows_the_rating_by_its_formula() -> None:
    score = np.random.default_rng(0).normal(size=(100, 120))
    rate, propensity = self_selection(score, exposed=0.1, alpha=0.25)
    levels = np.unique(rate)
    assert levels.tolist() == [0.1, 0.3, 0.5, 0.7, 0.9]
    by_level = [np.unique(propensity[rate == level]).item() for level in levels]
    np.testing.assert_allclose(np.array(by_level) / by_level[-1], [0.25**3, 0.25**2, 0.25, 1, 1])
    assert propensity.mean() == pytest.approx(0.1)
    assert all(score[rate == low].max() < score[rate == high].min() for low, high in itertools.pairwise(levels))


def test_a_world_is_drawn_from_its_seed_alone(root: Path) -> None:
    def world(draw: int) -> CausalDataset:
        return ML100KSemisynthetic(exposed=0.2, test_items=20, draw=draw).load(root)

    first, again, other = world(0), world(0), world(1)
    for log, same_log in ((first.logged, again.logged), (first.randomised, again.randomised)):
        assert log is not None and same_log is not None
        np.testing.assert_array_equal(log.codes, same_log.codes)
        np.testing.assert_array_equal(log.outcome, same_log.outcome)
    assert not np.array_equal(first.logged.codes, other.logged.codes)


def test_frozen_columns_and_truth_come_from_the_original_log_and_do_not_follow_the_draw(root: Path) -> None:
    first, other = (ML100KSemisynthetic(exposed=0.2, test_items=20, draw=draw).load(root) for draw in (0, 1))
    assert_frame_equal(first.user_table, other.user_table)
    assert_frame_equal(first.item_table, other.item_table)
    pairs = (first.pair_features["affinity"], other.pair_features["affinity"])
    np.testing.assert_array_equal(pairs[0].user_part, pairs[1].user_part)
    np.testing.assert_array_equal(truth(first)[0], truth(other)[0])
    lines = (root / "ml-100k" / "ml-100k.inter").read_text().splitlines()[1:]
    counts = np.log1p(np.bincount([int(line.split("\t")[1]) - 1 for line in lines], minlength=ITEMS))
    np.testing.assert_allclose(first.item_table["popularity"], (counts - counts.mean()) / counts.std())


def test_affinity_is_standardised_and_the_oracle_broadcasts(root: Path) -> None:
    data = ML100KSemisynthetic(exposed=0.2, test_items=20).load(root)
    pair = data.pair_features["affinity"]
    values = pair.user_part @ pair.item_part.T * pair.scale + pair.shift
    assert (values.mean(), values.std()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-4))
    assert data.oracle is not None
    assert data.oracle.rate(np.arange(3)[:, None], np.arange(4)[None, :]).shape == (3, 4)


def test_the_text_term_follows_genres_and_years_and_no_title(root: Path) -> None:
    data = ML100KSemisynthetic(exposed=0.2, test_items=20).load(root)
    term = text_term(data.user_table, data.item_table)
    assert (term.mean(), term.std()) == (pytest.approx(0), pytest.approx(1))
    retitled = data.item_table.with_columns(title=pl.lit("x"))
    np.testing.assert_array_equal(text_term(data.user_table, retitled), term)
    for column in ("genre", "year"):
        moved = data.item_table.with_columns(data.item_table[column].reverse())
        assert np.corrcoef(text_term(data.user_table, moved).ravel(), term.ravel())[0, 1] < 0.9
    assert np.linalg.matrix_rank(term - term.mean(axis=0)) > 1  # users differ in taste: no item mean tells it


def test_a_share_that_the_rating_mechanism_cannot_reach_is_refused(root: Path) -> None:
    with pytest.raises(RequestError, match=r"dataset\.exposed=0\.2: .*at most 0\.14"):
        ML100KSemisynthetic(mechanism="rating", exposed=0.2, test_items=20).load(root)
