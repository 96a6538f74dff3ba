"""Calibration: ECE and the Brier score's decomposition by hand, against torchmetrics, and over draws of outcomes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.classification import BinaryCalibrationError

from causalrec.config.component import ComponentConfig
from causalrec.estimators.bootstrap import cluster_weights, percentile_interval
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slice.base import SliceData
from causalrec.metrics.average_precision import MAP
from causalrec.metrics.base import AbstractMetric, Scored, Subsets
from causalrec.metrics.brier import Brier
from causalrec.metrics.brier_reliability import BrierReliability
from causalrec.metrics.brier_resolution import BrierResolution
from causalrec.metrics.brier_uncertainty import BrierUncertainty
from causalrec.metrics.brier_within_bins import BrierWithinBins
from causalrec.metrics.calibration_bins import BinSums, row_values
from causalrec.metrics.ece import ECE
from causalrec.metrics.ece_equal_mass import EqualMassECE

USERS = 20


def make_scored(prediction: list[float] | np.ndarray, label: list[float] | np.ndarray, users: int = USERS) -> Scored:
    f, y = (torch.from_numpy(np.asarray(column, np.float32)) for column in (prediction, label))
    return Scored(f, y, torch.arange(len(f)) % users, 0.5)


def draw(seed: int, size: int = 600, *, power: float = 1.0) -> Scored:
    """Outcomes of rate f ** power, f the prediction: calibrated where it is 1."""
    rng = np.random.default_rng(seed)
    prediction = rng.random(size)
    return make_scored(prediction, rng.random(size) < prediction**power)


def add(metric: AbstractMetric, scored: Scored) -> AbstractMetric:
    metric.update(scored)
    return metric


def value(metric: AbstractMetric, scored: Scored) -> float:
    return float(add(metric, scored).compute())


def test_ece_by_hand() -> None:
    scored = make_scored([0.1, 0.3, 0.6, 0.8, 0.7], [0, 1, 1, 1, 0])
    # below 1/2: |0.2 - 0.5| of 2 rows; above: |0.7 - 2/3| of 3
    assert value(ECE(USERS, num_bins=2), scored) == pytest.approx((2 * 0.3 + 3 * (0.7 - 2 / 3)) / 5)
    # filled equally by the row in the middle: 0.1 and 0.3, then 0.6, 0.7, 0.8
    assert value(EqualMassECE(USERS, num_bins=2), scored) == pytest.approx((2 * 0.3 + 3 * (0.7 - 2 / 3)) / 5)
    assert value(EqualMassECE(USERS, num_bins=5), scored) == pytest.approx((0.1 + 0.7 + 0.4 + 0.7 + 0.2) / 5)


@pytest.mark.parametrize("seed", range(5))
def test_ece_is_that_of_torchmetrics(seed: int) -> None:
    scored = draw(seed, power=2)
    theirs = BinaryCalibrationError(n_bins=15, norm="l1")(scored.prediction, scored.label.long())
    assert value(ECE(USERS), scored) == pytest.approx(float(theirs), rel=1e-5)


def test_equally_filled_bins_are_those_of_sorted_rows() -> None:
    scored = draw(3, size=150, power=2)
    order = torch.argsort(scored.prediction)
    gaps = [float((scored.prediction - scored.label)[rows].double().sum()) for rows in order.split(10)]
    assert value(EqualMassECE(USERS), scored) == pytest.approx(np.abs(gaps).sum() / 150, rel=1e-9)


def test_a_constant_fills_a_single_bin() -> None:
    scored = make_scored([0.4] * 10, [1] * 7 + [0] * 3)
    for metric in (ECE(USERS), EqualMassECE(USERS)):
        assert value(metric, scored) == pytest.approx(0.3, rel=1e-6)


def test_predictions_beyond_0_and_1_are_in_the_bins_at_the_ends() -> None:
    scored = make_scored([-0.5, 0.05, 1.0, 1.5], [0, 0, 1, 1])
    assert value(ECE(USERS, num_bins=10), scored) == pytest.approx((0.45 + 0.5) / 4, rel=1e-6)


def terms(num_bins: int, debias: bool) -> list[tuple[float, AbstractMetric]]:
    return [
        (1, BrierReliability(USERS, num_bins=num_bins, debias=debias)),
        (-1, BrierResolution(USERS, num_bins=num_bins, debias=debias)),
        (1, BrierUncertainty(USERS, debias=debias)),
        (1, BrierWithinBins(USERS, num_bins=num_bins)),
    ]


@pytest.mark.parametrize("debias", [False, True])
@pytest.mark.parametrize("num_bins", [1, 2, 10, 5_000])
def test_the_terms_add_up_to_the_brier_score_of_data_resamples_and_subsets(num_bins: int, debias: bool) -> None:
    scored, weights = draw(7, power=2), torch.from_numpy(cluster_weights(USERS, 10, 1))
    subsets = Subsets(scored, torch.rand(3, 600, generator=torch.Generator().manual_seed(0)) < 0.5, USERS)
    brier = add(Brier(USERS), scored)
    signed = [(sign, add(metric, scored)) for sign, metric in terms(num_bins, debias)]
    total = sum(sign * float(metric.compute()) for sign, metric in signed)
    assert total == pytest.approx(float(brier.compute()), rel=1e-6)  # its errors are float32
    resampled = sum(sign * metric.replicates(weights) for sign, metric in signed)
    np.testing.assert_allclose(resampled, brier.replicates(weights), rtol=1e-6)
    of_subsets = sum(sign * metric.on_subsets(subsets) for sign, metric in signed)
    np.testing.assert_allclose(of_subsets, brier.on_subsets(subsets), rtol=1e-6)


def test_the_terms_by_hand() -> None:
    scored = make_scored([0.2, 0.2, 0.6, 0.8], [0, 1, 1, 1])
    # bins of 1/2: (0.2, 1/2) and (0.7, 1); all: 3/4
    reliability, resolution, uncertainty, within = (value(metric, scored) for _, metric in terms(2, False))
    assert reliability == pytest.approx((2 * 0.3**2 + 2 * 0.3**2) / 4)
    assert resolution == pytest.approx(0.25**2)
    assert uncertainty == pytest.approx(3 / 16)
    assert within == pytest.approx(2 * 0.1**2 / 4)  # the predictions of the second bin vary, its outcomes do not
    debiased = [value(metric, scored) for _, metric in terms(2, True)]
    assert debiased[0] == pytest.approx(reliability - 0.25 / 2)  # y_k (1 - y_k) / (n_k - 1) of half of the rows
    assert debiased[1] == pytest.approx(resolution - 0.25 / 2 + 3 / 16 / 3)
    assert debiased[2] == pytest.approx(3 / 16 * 4 / 3)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_debiased_terms_are_unbiased_over_draws_of_outcomes_and_plain_ones_are_not(power: float) -> None:
    rng, size, draws = np.random.default_rng(11), 120, 2_000
    prediction = rng.random(size)
    rate = prediction**power
    bins = np.minimum((prediction * 10).astype(int), 9)
    by_bin = [(prediction[bins == k].mean(), rate[bins == k].mean(), (bins == k).mean()) for k in range(10)]
    truth = (
        sum(share * (f - y) ** 2 for f, y, share in by_bin),
        sum(share * (y - rate.mean()) ** 2 for _, y, share in by_bin),
    )
    outcome = torch.from_numpy(rng.random((draws, size)) < rate).double()
    cells = (torch.arange(draws)[:, None] * 10 + torch.from_numpy(bins)).reshape(-1)
    values = row_values(torch.from_numpy(prediction).expand(draws, -1).reshape(-1), outcome.reshape(-1))
    sums = BinSums(torch.zeros(5, draws * 10, dtype=torch.float64).index_add_(1, cells, values).view(5, draws, 10))
    for kind, expected in zip((BrierReliability, BrierResolution), truth, strict=True):
        for debias in (True, False):
            of_draws = kind(USERS, debias=debias).of_bins(sums)
            z = float((of_draws.mean() - expected) / (of_draws.std() / draws**0.5))
            assert (abs(z) < 4) == debias, (kind.__name__, debias, z)


def test_the_ece_of_right_predictions_is_what_its_docstring_says() -> None:
    prediction = (np.arange(15).repeat(100) + 0.5) / 15
    rng = np.random.default_rng(2)
    values = [value(ECE(USERS), make_scored(prediction, rng.random(1_500) < prediction)) for _ in range(50)]
    assert np.mean(values) == pytest.approx(0.031, abs=0.002)


def of_true_rates(size: int) -> Scored:
    prediction = np.linspace(0, 1, size)
    return make_scored(prediction, prediction**2)


def test_the_ece_of_true_rates_has_no_bias() -> None:
    assert value(ECE(USERS), of_true_rates(30)) == pytest.approx(value(ECE(USERS), of_true_rates(30_000)), abs=0.02)
    assert value(ECE(USERS), of_true_rates(30_000)) == pytest.approx(1 / 6, abs=1e-3)  # of f - f squared


REFLECTED = {
    "plain": ComponentConfig(BrierReliability, {}),
    "debiased": ComponentConfig(BrierReliability, {"debias": True}),
    "ece": ComponentConfig(ECE, {}),
    "equal_mass": ComponentConfig(EqualMassECE, {}),
}


def evaluate(seed: int, power: float, users: int = 60) -> dict[str, Score]:
    """Score outcomes of rate f ** power, 16 of each user, f the prediction."""
    scored = draw(seed, 16 * users, power=power)
    user = np.repeat(np.arange(users), 16)
    rows = SliceData(name="test", kind="binary", user=user, item=user, label=scored.label.numpy(), num_users=users)
    scores = Evaluator(REFLECTED, [rows], 0.5)(lambda _: scored.prediction.numpy(), "m")
    return {score.metric: score for score in scores}


@pytest.mark.parametrize(
    ("power", "squared", "absolute", "least"), [(1.0, 0.0, 0.0, 0.3), (1.2, 0.00243, 1 / 22, 0.75)]
)
def test_intervals_of_what_chance_adds_to_hold_the_truth_where_percentiles_do_not(
    power: float, squared: float, absolute: float, least: float
) -> None:
    """Truths: 1/2 - 1/2.2 is the mean of f - f ** 1.2; the ECE of right predictions is above 0 by its own chance."""
    truths = {"plain": squared, "debiased": squared, "ece": absolute, "equal_mass": absolute}
    scores = [evaluate(seed, power) for seed in range(50)]
    for name, truth in truths.items():
        held = np.mean([each[name].low <= truth <= each[name].high for each in scores])
        assert held >= (least if name in ("ece", "equal_mass") else 0.86), name
    resampled = [2 * each["plain"].value - each["plain"].replicates for each in scores]
    assert np.mean([percentile_interval(each, 0.95)[0] <= squared for each in resampled]) < 0.75


def test_a_reflected_interval_ends_at_0_and_one_below_its_value_is_noted() -> None:
    scores = [evaluate(seed, 1.0) for seed in range(20)]
    assert all(score.low >= 0 for each in scores for name, score in each.items() if name != "debiased")
    assert any(each["debiased"].low < 0 for each in scores)
    notes = {(score.value > score.high, score.note) for each in scores for score in each.values()}
    assert notes == {(False, ""), (True, "biased upwards")}


def population(metric: str, users: int, rng: np.random.Generator) -> Scored:
    """Users of 12 rows each, whose own inclination moves predictions and outcomes; predictions are too high."""
    inclination = rng.normal(0, 0.7, (users, 1))
    logit = inclination + rng.normal(0, 1, (users, 12)) - 1
    rate = 1 / (1 + np.exp(-logit))
    prediction = 1 / (1 + np.exp(-(logit + 1))) if metric == "ece" else rate
    outcome = rng.random((users, 12)) < rate
    f, y = (torch.from_numpy(column.reshape(-1).astype(np.float32)) for column in (prediction, outcome))
    return Scored(f, y, torch.arange(users).repeat_interleave(12), 0.5)


def build(metric: str, users: int) -> AbstractMetric:
    return {"map": MAP(users, k=5), "ece": ECE(users, num_bins=10)}[metric]


@pytest.mark.long
@pytest.mark.parametrize("metric", ["map", "ece"])
def test_intervals_by_resampled_users_hold_the_value_of_all_users(metric: str) -> None:
    rng, users, draws = np.random.default_rng(4), 150, 300
    truth = value(build(metric, 100_000), population(metric, 100_000, rng))
    weights, held, values = torch.from_numpy(cluster_weights(users, 200, 0)), 0, []
    for _ in range(draws):
        sample = add(build(metric, users), population(metric, users, rng))
        values.append(float(sample.compute()))
        replicates = sample.replicates(weights).numpy()
        low, high = percentile_interval(2 * values[-1] - replicates if sample.reflects else replicates, 0.95)
        held += low <= truth <= high
    print(metric, f"truth {truth:.4f}, mean {np.mean(values):.4f}, held {held} of {draws}")
    assert 0.90 <= held / draws <= 0.99
