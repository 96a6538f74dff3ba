"""Estimation studies: their populations have the stated truth, and their estimates follow from the definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm

from causalrec.data import completion
from causalrec.data.datasets import ml100k
from causalrec.data.datasets.ml100k_mrdr import SHARES
from causalrec.data.datasets.ml100k_semisynthetic import MARGINAL
from causalrec.data.datasets.simulated_ml100k import LEVELS
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError, RequestError
from causalrec.evaluation.estimation import mrdr_semisynthetic, schnabel2016
from causalrec.evaluation.estimation.base import row_name, summarise_cell
from causalrec.evaluation.estimation.mrdr_semisynthetic import MRDRSemisynthetic
from causalrec.evaluation.estimation.schnabel2016 import Schnabel2016
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.naive_bayes import NaiveBayes
from tests.conftest import FakeML100K

P1, P2, P3, P4, P5 = MARGINAL


@pytest.fixture(scope="module")
def rating() -> np.ndarray:
    return 1 + completion.rank_into_levels(np.random.default_rng(7).random((500, 800)).astype(np.float32), MARGINAL)


@pytest.fixture(scope="module")
def truth(rating: np.ndarray) -> dict[str, dict[str, float]]:
    """Mean loss by loss and prediction."""
    rng = np.random.default_rng(1)
    predicted = schnabel2016.predictions(rating, rng)
    means = schnabel2016.losses_of(rating, predicted, 50, rng).mean(1, dtype=np.float64).reshape(3, -1)
    return {loss: dict(zip(predicted, of, strict=True)) for loss, of in zip(("mae", "mse", "dcg"), means, strict=True)}


def test_ranks_follow_the_score_and_the_shares() -> None:
    score = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    level = completion.rank_into_levels(score, MARGINAL)
    assert np.bincount(level.ravel()) / 2000 == pytest.approx(MARGINAL, abs=0.0006)
    assert all(score[level == k].max() < score[level == k + 1].min() for k in range(4))


def test_the_true_mae_has_the_closed_forms(truth: dict[str, dict[str, float]]) -> None:
    spread = [(6 - r) / 2 for r in range(1, 6)]
    skewed = sum(p * _clipped_gap(r, s) for p, r, s in zip(MARGINAL, range(1, 6), spread, strict=True))
    expected = {
        "rec_ones": 4 * P5,
        "rec_fours": P5,
        "rotate": 1 + 3 * P1,
        "skewed": skewed,
        "coarsened": 2 * P1 + P2 + P5,
    }
    for row, value in expected.items():
        assert truth["mae"][row] == pytest.approx(value, abs=0.008 if row == "skewed" else 1e-4), row
    assert truth["mse"]["rec_ones"] == pytest.approx(16 * P5, abs=1e-4)


def _clipped_gap(mean: float, spread: float) -> float:
    """E|clip(x, 0, 6) - mean| of a normal x, by numerical integration."""
    x = mean + spread * norm.ppf((np.arange(20000) + 0.5) / 20000)
    return float(np.abs(np.clip(x, 0, 6) - mean).mean())


def test_the_propensities_give_the_papers_marginals() -> None:
    propensities = schnabel2016.propensities(0.25, 0.05)
    assert propensities[3:] == pytest.approx([0.3395, 0.3395], abs=1e-4)
    seen = propensities * MARGINAL
    assert seen.sum() / sum(MARGINAL) == pytest.approx(0.05)
    assert seen / seen.sum() == pytest.approx([0.056, 0.103, 0.244, 0.424, 0.173], abs=1e-3)
    assert schnabel2016.propensities(1.0, 0.05) == pytest.approx(0.05)


def test_more_exposure_than_there_can_be_is_refused() -> None:
    with pytest.raises(RequestError, match=r"estimation.exposed=0.5: at most 0.147 can be exposed"):
        schnabel2016.propensities(0.25, 0.5)


def test_dcg_of_a_hand_worked_user() -> None:
    rating = np.array([[5, 1, 3, 2]])
    predicted = {"only": np.array([[1.0, 4.0, 3.0, 2.0]])}
    losses = schnabel2016.losses_of(rating, predicted, 2, np.random.default_rng(0))
    assert losses[2] == pytest.approx([0, 4 * 1.0, 4 * 3 / np.log2(3), 0])
    assert losses[2].mean() == pytest.approx(1 + 3 / np.log2(3))


def test_equal_predictions_are_ranked_at_random() -> None:
    flat = {"flat": np.ones((2000, 4))}
    gain = schnabel2016.losses_of(np.ones((2000, 4), np.int64), flat, 1, np.random.default_rng(0))[2]
    assert (gain.reshape(2000, 4) > 0).mean(0) == pytest.approx([0.25] * 4, abs=0.04)


def test_estimates_of_a_hand_worked_draw() -> None:
    error = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    estimates = schnabel2016.estimates(error, torch.tensor([0.5, 0.25]), torch.tensor([0.2, 0.5]), 10)
    expected = {"naive": 2.0, "ips": 1.4, "snips": 14 / 6, "ips_nb": 1.1}
    assert {k: float(v[0]) for k, v in estimates.items()} == pytest.approx(expected)


def test_naive_bayes_is_the_propensity_models() -> None:
    rng = np.random.default_rng(0)
    seen, sample = rng.integers(5, size=400), rng.integers(5, size=300)

    def log(grade: np.ndarray) -> InteractionLog:
        size = len(grade)
        cells = np.arange(size)
        return InteractionLog(
            user=cells // 40,
            item=cells % 40,
            treatment=np.ones(size, np.int64),
            outcome=grade.astype(np.float32),
            num_users=50,
            num_items=40,
            name="rows",
        )

    model = NaiveBayes()
    model.fit(log(seen), FeatureMatrix.__new__(FeatureMatrix), log(sample))
    propensity = schnabel2016.naive_bayes(seen, sample, 2000)
    assert propensity[seen] == pytest.approx(model.predict(log(seen)), rel=1e-6)


def test_naive_bayes_needs_every_grade() -> None:
    with pytest.raises(DataError, match=r"larger estimation\.sampled"):
        schnabel2016.naive_bayes(np.arange(5), np.array([0, 1, 2, 3]), 100)


def test_as_many_cells_are_promoted_as_the_top_has(rating: np.ndarray) -> None:
    raised = completion.promote(rating, 1, np.random.default_rng(0))
    top = (rating == 5).sum()
    assert (raised == 5).sum() == 2 * top
    assert ((raised == 5) & (rating == 1)).sum() == top
    assert (raised[rating != 1] == rating[rating != 1]).all()
    with pytest.raises(DataError, match="fewer than the 3"):
        completion.promote(np.array([[0, 4, 4, 4]]), 0, np.random.default_rng(0))


def test_summary_and_labels() -> None:
    cell = summarise_cell("a", "mae/ips", 1.0, np.array([1.0, 2.0, 3.0]))
    assert (cell.value, cell.sd, cell.draws) == (2.0, 1.0, 3)
    assert (cell.low, cell.high) == pytest.approx((2 - 1.959964 / 3**0.5, 2 + 1.959964 / 3**0.5))
    assert cell.rmse == pytest.approx(((0 + 1 + 4) / 3) ** 0.5)
    assert row_name("a", "p", 0.4, 0.5) == "a@p=0.4"


def _log(path: Path, write: FakeML100K) -> InteractionLog:
    return ml100k.ML100K(threshold=None).load(write(path)).logged


def test_the_completion_is_better_than_the_mean_and_cached(
    fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = _log(tmp_path / "data", fake_ml100k)
    assert log.user is not None
    score = completion.complete_matrix(log, tmp_path)
    gap = score[log.user, log.item] - log.outcome
    assert (gap**2).mean() < 0.8 * log.outcome.var()
    (cache_file,) = tmp_path.glob("completion/*.arrays")
    with monkeypatch.context() as patch:
        patch.setattr(completion, "factorise", lambda *_: pytest.fail("computed again"))
        np.testing.assert_array_equal(completion.complete_matrix(log, tmp_path), score)
    other = _log(tmp_path / "other", lambda folder: fake_ml100k(folder, seed=1))
    completion.complete_matrix(other, tmp_path)
    assert len(list(tmp_path.glob("completion/*.arrays"))) == 2, "other ratings, other key"
    cache_file.write_bytes(b"broken")
    np.testing.assert_array_equal(completion.complete_matrix(log, tmp_path), score)
    assert capsys.readouterr().err.startswith(f"causalrec: {cache_file}: damaged (its sha256 is another)")


def test_least_squares_solve_the_penalised_problem() -> None:
    rng = np.random.default_rng(0)
    seen = (rng.random((3, 9)) < 0.7).astype(np.float32)
    target, factors = seen * rng.normal(size=(3, 9)).astype(np.float32), rng.normal(size=(9, 2)).astype(np.float32)
    vectors, bias = completion._least_squares(seen, target, factors, 2.0)
    residual = target - seen * (vectors @ factors.T + bias[:, None])
    assert residual @ factors == pytest.approx(2 * vectors, abs=1e-4)
    assert residual.sum(1) == pytest.approx(2 * bias, abs=1e-4)


def test_the_factorisation_recovers_an_additive_world() -> None:
    """Generous users rate the first items, strict ones the last: an item's bias must not take in its users'."""
    rng = np.random.default_rng(3)
    generous, first = np.arange(60)[:, None] < 30, np.arange(40) < 20
    rating = 2.0 * generous + np.where(first, 1.0, -1.0) + rng.normal(scale=0.3, size=40)
    seen = rng.random(rating.shape) < np.where(generous == first, 0.9, 0.2)
    user, item = np.nonzero(seen)
    log = InteractionLog(
        user=user,
        item=item,
        treatment=np.ones(len(user), np.int64),
        outcome=rating[seen].astype(np.float32),
        num_users=60,
        num_items=40,
        name="additive",
    )
    score = completion.factorise(log, np.ones(len(log), bool), 1, 1.0)
    assert np.abs(score - rating)[~seen].mean() < 0.2


def test_schnabel_runs_from_raw_files_and_repeats_itself(fake_ml100k: FakeML100K, tmp_path: Path) -> None:
    root = fake_ml100k(tmp_path / "data")
    study = Schnabel2016(draws=3, alpha=0.75, exposed=0.3, sampled=0.5, cutoff=5)
    cells = study.run(root, tmp_path, 0)
    assert {cell.row for cell in cells} == {
        f"{row}@alpha=0.75" for row in ("rec_ones", "rec_fours", "rotate", "skewed", "coarsened")
    }
    columns = {f"{x}/{y}" for x in ("mae", "mse", "dcg@5") for y in ("true", "naive", "ips", "snips", "ips_nb")}
    assert {cell.column for cell in cells} == columns
    assert len(cells) == 75 and {cell.draws for cell in cells} == {3, 5}
    assert cells == study.run(root, tmp_path, 0)
    assert cells != study.run(root, tmp_path, 1)


@pytest.fixture(scope="module")
def level() -> np.ndarray:
    score = np.random.default_rng(7).random((300, 400)).astype(np.float32)
    return completion.rank_into_levels(score, SHARES["text"])


def test_the_two_histograms_are_those_of_the_text_and_of_the_code() -> None:
    score = np.random.default_rng(0).random((100, 100)).astype(np.float32)
    counts = {
        name: np.bincount(completion.rank_into_levels(score, shares).ravel()).tolist()
        for name, shares in SHARES.items()
    }
    assert counts == {"text": [5300, 2400, 1400, 600, 300], "code": [5300, 2400, 1400, 700, 200]}


def test_mrdr_predictions(level: np.ndarray) -> None:
    true = np.asarray(LEVELS)[level]
    predictions = mrdr_semisynthetic.predictions(level, np.random.default_rng(0))
    for name, rate in (("one", 0.1), ("three", 0.3), ("five", 0.5)):
        changed = predictions[name] != true
        assert set(true[changed]) == {rate} and set(predictions[name][changed]) == {0.9}
        assert changed.sum() == (true == 0.9).sum()
    assert (predictions["rotate"][true == 0.1] == 0.9).all()
    assert predictions["rotate"][true > 0.1] == pytest.approx(true[true > 0.1] - 0.2)
    assert set(predictions["crs"][true >= 0.7]) == {0.1} and set(predictions["crs"][true < 0.7]) == {0.5}
    assert (predictions["skew"].min(), predictions["skew"].max()) == (0.1, 0.9)
    assert predictions["skew"][true == 0.5].std() == pytest.approx(0.22, abs=0.02), "0.25 before clipping"


def test_mrdr_exposure_and_the_perturbed_propensity(level: np.ndarray) -> None:
    observed, true = mrdr_semisynthetic.exposure(level, 0.5, 0.0, np.random.default_rng(0))
    for k, rate in enumerate((1 / 16, 1 / 16, 1 / 8, 1 / 4, 1 / 2)):
        assert true[level == k] == pytest.approx(rate)
        assert observed[level == k].mean() == pytest.approx(rate, abs=0.03)
    again, mixed = mrdr_semisynthetic.exposure(level, 0.5, 0.5, np.random.default_rng(0))
    assert (again == observed).all()
    assert 1 / mixed == pytest.approx(0.5 / true + 0.5 / observed.mean())


def test_mrdr_labels_have_the_true_rates(level: np.ndarray) -> None:
    label = mrdr_semisynthetic.draw_labels(level, np.random.default_rng(0))
    for k, rate in enumerate(LEVELS):
        assert label[level == k].mean() == pytest.approx(rate, abs=0.03)


def test_mrdr_estimates_of_a_hand_worked_draw() -> None:
    def tensor(*values: float) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64)

    estimates = mrdr_semisynthetic.estimates(
        tensor(1, 3, 7, 9), tensor(2, 2, 2, 4), tensor(1, 1, 0, 0), tensor(0.5, 0.25, 1, 1)
    )
    expected = {"naive": 2.0, "eib": 10 / 4, "ips": 14 / 4, "snips": 14 / 6, "dr": (10 - 2 + 4) / 4}
    assert estimates == pytest.approx(expected)
    soft = mrdr_semisynthetic.cross_entropy(tensor(0.25), tensor(0.5))
    assert float(soft) == pytest.approx(np.log(2))


@pytest.mark.parametrize(("legacy", "distinct"), [(False, 4), (True, 1)])
def test_labels_are_fresh_in_every_draw_but_in_the_legacy_variant(
    fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool, distinct: int
) -> None:
    seen: list[bytes] = []
    plain = MRDRSemisynthetic._estimate

    def watch(self: MRDRSemisynthetic, label: np.ndarray, *rest: np.ndarray) -> object:
        seen.append(label.tobytes())
        return plain(self, label, *rest)

    monkeypatch.setattr(MRDRSemisynthetic, "_estimate", watch)
    study = MRDRSemisynthetic(draws=4, legacy_public_code=legacy)
    cells = study.run(fake_ml100k(tmp_path / "data"), tmp_path, 0)
    assert len(set(seen)) == distinct
    assert {cell.truth for cell in cells if cell.column.startswith("re/")} == {0.0}
    assert {cell.column.partition("/")[2] for cell in cells} == {"naive", "eib", "ips", "snips", "dr"}
    assert cells == study.run(tmp_path / "data", tmp_path, 0)


def test_the_legacy_imputed_label_is_a_mean_of_predictions() -> None:
    label, observed = np.array([[True, False, True]]), np.array([[True, True, False]])
    predicted, chance = np.array([[0.2, 0.6, 0.5]]), np.array([[0.5, 0.25, 1.0]])

    def third(mean: float) -> float:
        """EIB of the three cells, the last one imputed with the label `mean`."""
        return float(np.mean([-np.log(0.2), -np.log(0.4), np.log(2) * (mean + (1 - mean))]))

    fresh = MRDRSemisynthetic()._estimate(label, predicted, observed, chance)
    assert fresh["eib"] == pytest.approx(third(2 / 6))
    shifted = np.array([[0.2, 0.6, 0.9]])
    legacy = MRDRSemisynthetic(legacy_public_code=True)._estimate(label, shifted, observed, chance)
    mean = (0.2 * 2 + 0.6 * 4) / 6
    imputed = -mean * np.log(0.9) - (1 - mean) * np.log(0.1)
    assert legacy["eib"] == pytest.approx((-np.log(0.2) - np.log(0.4) + imputed) / 3)
