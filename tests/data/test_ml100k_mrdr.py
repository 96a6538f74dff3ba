"""The population of MRDR has the marginals that are printed, one truth over its draws, and a log drawn by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import FakeML100K

from causalrec import cli
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.ml100k_mrdr import EXPONENTS, ML100KMRDR, SHARES
from causalrec.data.datasets.simulated_ml100k import LEVELS
from causalrec.errors import RequestError
from causalrec.types import Doubles

USERS, ITEMS = 200, 150
PAIRS = USERS * ITEMS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ml100k")


@pytest.fixture
def root(fake_ml100k: FakeML100K, folder: Path) -> Path:
    return fake_ml100k(folder, users=USERS, items=ITEMS, ratings=6000)


def load(root: Path, draw: int = 0) -> CausalDataset:
    return ML100KMRDR(p=0.4, draw=draw, test_items=20).load(root)


def truth(data: CausalDataset) -> tuple[Doubles, Doubles]:
    """True rate and propensity of every pair."""
    assert data.oracle is not None
    user, item = np.divmod(np.arange(PAIRS), ITEMS)
    return data.oracle.rate(user, item).astype(float), data.oracle.propensity(user, item).astype(float)


def test_rates_have_their_shares_and_exposure_is_a_power_of_p_by_rate(root: Path) -> None:
    data = load(root)
    rate, propensity = truth(data)
    for level, share, exponent in zip(LEVELS, SHARES["text"], EXPONENTS, strict=True):
        of_level = np.isclose(rate, level)
        assert of_level.sum() == round(share * PAIRS)
        np.testing.assert_allclose(propensity[of_level], 0.4**exponent, rtol=1e-6)
    assert propensity.mean() == pytest.approx(0.77 * 0.4**4 + 0.14 * 0.4**3 + 0.06 * 0.4**2 + 0.03 * 0.4, rel=1e-4)


def test_the_log_and_the_test_are_drawn_by_the_oracle(root: Path) -> None:
    data = load(root)
    rate, propensity = truth(data)
    assert data.logged.propensity is not None and data.randomised is not None
    np.testing.assert_allclose(data.logged.propensity, propensity[data.logged.codes], rtol=1e-6)
    for log in (data.logged, data.randomised):
        for level in LEVELS:
            rows = np.isclose(rate[log.codes], level)
            assert abs(log.outcome[rows].mean() - level) < 4 * np.sqrt(level * (1 - level) / rows.sum())
    for p in np.unique(propensity):
        pairs = np.flatnonzero(propensity == p)
        share = np.isin(pairs, data.logged.codes).mean()
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / len(pairs))


def test_another_draw_has_the_same_truth_and_another_log_and_test(root: Path) -> None:
    first, again, other = load(root), load(root), load(root, draw=1)
    for mine, same in zip(truth(first), truth(other), strict=True):
        np.testing.assert_array_equal(mine, same)
    assert first.card.resampled_by == ("draw",) and first.randomised is not None
    assert other.randomised is not None
    np.testing.assert_array_equal(first.logged.codes, again.logged.codes)
    np.testing.assert_array_equal(first.logged.outcome, again.logged.outcome)
    assert not np.array_equal(first.logged.codes, other.logged.codes)
    common = np.intersect1d(first.randomised.codes, other.randomised.codes)
    labels = [
        log.outcome[np.argsort(log.codes)][np.isin(np.sort(log.codes), common)]
        for log in (first.randomised, other.randomised)
    ]
    assert 0.2 < (labels[0] != labels[1]).mean() < 0.5, "labels of one pair differ at 2 r (1 - r), not never"


def test_weights_by_the_true_propensity_recover_the_mean_and_none_do_not(root: Path) -> None:
    data = load(root)
    log, (rate, _) = data.logged, truth(data)
    assert log.propensity is not None
    weight = 1 / log.propensity.astype(float)
    snips = (weight * log.outcome).sum() / weight.sum()
    error = np.sqrt((weight**2 * (log.outcome - snips) ** 2).sum()) / weight.sum()
    assert abs(snips - rate.mean()) < 3 * error < 0.1
    assert log.outcome.mean() - rate.mean() > 0.15


def test_shares_that_are_not_five_or_do_not_sum_to_1_are_one_line() -> None:
    with pytest.raises(RequestError) as error:
        ML100KMRDR(shares=(0.5, 0.2, 0.14, 0.06, 0.03))
    assert str(error.value) == (
        "dataset.shares=[0.5, 0.2, 0.14, 0.06, 0.03]: 5 shares that sum to 0.93; give five that sum to 1, of the rates "
        "0.1, 0.3, 0.5, 0.7, 0.9"
    )
    with pytest.raises(RequestError, match="2 shares that sum to 1; give five"):
        ML100KMRDR(shares=(0.5, 0.5))
    ML100KMRDR(shares=SHARES["code"])


@pytest.mark.parametrize("setting", ["p=1", "p=0", "p=1.2", "shares=[0.9,0.1,0.1,0.1,0.1]"])
def test_the_command_refuses_bad_settings_in_one_line(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "dataset=ml100k_mrdr", f"dataset.{setting}"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"dataset.{setting.partition('=')[0]}" in line
