"""Metrics of whole rankings from a sample: by hand, by enumeration of samples and orders, and the metrics' contract."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import yaml

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.estimators.bootstrap import cluster_weights
from causalrec.metrics.base import AbstractMetric
from causalrec.metrics.weighted.average_precision import WeightedAP
from causalrec.metrics.weighted.base import AbstractSampledMetric, RankedSample
from causalrec.metrics.weighted.dcg import WeightedDCG
from causalrec.metrics.weighted.precision import WeightedPrecision
from causalrec.metrics.weighted.recall_count import WeightedRecallCount

USERS = 12
METRICS = {
    name: config
    for file in sorted((package_folder("conf") / "metric").glob("*.yaml"))
    for name, node in yaml.safe_load(file.read_text()).items()
    if issubclass((config := validate_component(f"metric.{name}", node, AbstractMetric)).target, AbstractSampledMetric)
}


def sample_of(
    scores: Sequence[float], chosen: Sequence[int], outcome: Sequence[float], p: Sequence[float]
) -> RankedSample:
    """The chosen candidates of one user, whose candidates have these scores, outcomes and probabilities."""
    score = np.asarray(scores, float)
    greater, equal = (
        np.array([compare(score, score[i]).sum() for i in chosen], int) for compare in (np.greater, np.equal)
    )
    return RankedSample(
        users=torch.tensor([0]),
        candidates=torch.tensor([len(score)]),
        user=torch.zeros(len(chosen), dtype=torch.int64),
        greater=torch.from_numpy(greater),
        equal=torch.from_numpy(equal),
        gain=torch.tensor([outcome[i] for i in chosen], dtype=torch.float64),
        weight=torch.tensor([1 / p[i] for i in chosen], dtype=torch.float64),
        pair_ratio=torch.ones(len(chosen), dtype=torch.float64),
    )


def value(metric: AbstractSampledMetric, *samples: RankedSample) -> float:
    for sample in samples:
        metric.update_sampled(sample)
    return float(metric.compute())


def test_values_by_hand() -> None:
    # ranked 1, 2, 3 of four; rows 0 and 2 are sampled, each with probability 1/2, and row 2 is positive
    sample = sample_of([9, 8, 7, 6], [0, 2], [0, 1, 1, 1], [0.5] * 4)
    assert value(WeightedPrecision(1, k=3), sample) == pytest.approx(2 / 3)
    assert value(WeightedPrecision(1, k=2), sample) == 0
    assert value(WeightedRecallCount(1, k=3), sample) == pytest.approx(2)
    assert value(WeightedDCG(1, k=3), sample) == pytest.approx(2 / np.log2(4))
    assert value(WeightedAP(1, k=3), sample) == pytest.approx(2 / 3 / 3)
    # of the weight 2 + 2 within the first three, 2 is positive; there are three places
    assert value(WeightedPrecision(1, k=3, form="snips"), sample) == pytest.approx(1 / 2)
    assert value(WeightedRecallCount(1, k=3, form="snips"), sample) == pytest.approx(3 / 2)
    worth = 1 + 1 / np.log2(3) + 1 / 2
    assert value(WeightedDCG(1, k=3, form="snips"), sample) == pytest.approx(0.5 / 1.5 * worth)
    # pairs: row 0 with itself 2, row 2 with itself 2/3 and with row 0 4/3; of these row 2 with itself is positive
    assert value(WeightedAP(1, k=3, form="snips"), sample) == pytest.approx((2 / 3) / 4)


def test_a_graded_outcome_counts_as_much_as_it_is() -> None:
    sample = sample_of([3, 2, 1], [1], [0, 4, 0], [1.0, 0.8, 1.0])
    assert value(WeightedPrecision(1, k=2), sample) == pytest.approx(4 / 0.8 / 2)


def test_fewer_candidates_than_places_are_no_positives() -> None:
    sample = sample_of([2, 1], [0, 1], [1, 1], [1.0, 1.0])
    for form in ("ips", "snips"):
        assert value(WeightedPrecision(1, k=5, form=form), sample) == pytest.approx(2 / 5)
        assert value(WeightedAP(1, k=5, form=form), sample) == pytest.approx(2 / 5)


def precision_at(labels: np.ndarray, k: int) -> float:
    return float(labels[:k].sum() / k)


def dcg_at(labels: np.ndarray, k: int) -> float:
    return float((labels[:k] / np.log2(np.arange(len(labels[:k])) + 2)).sum())


def ap_at(labels: np.ndarray, k: int) -> float:
    return sum(labels[r] * labels[: r + 1].mean() for r in range(min(k, len(labels)))) / k


PLAIN: list[tuple[type[AbstractSampledMetric], Callable[[np.ndarray, int], float]]] = [
    (WeightedPrecision, precision_at),
    (WeightedDCG, dcg_at),
    (WeightedRecallCount, lambda labels, k: k * precision_at(labels, k)),
    (WeightedAP, ap_at),
]
SCORES = [
    ([5, 4, 3, 2, 1], "no ties"),
    ([3, 3, 2, 2, 2], "two runs"),
    ([1, 1, 1, 1, 1], "one run"),
    ([4, 3, 3, 3, 1], "inner"),
]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("scores", [each for each, _ in SCORES], ids=[name for _, name in SCORES])
@pytest.mark.parametrize(("target", "plain"), PLAIN)
def test_the_mean_over_samples_is_the_metric_and_over_orders_where_scores_tie(
    target: type[AbstractSampledMetric], plain: Callable[[np.ndarray, int], float], scores: list[float], k: int
) -> None:
    labels, p = np.array([1.0, 0, 1, 1, 0]), [0.9, 0.5, 0.3, 0.7, 0.4]
    orders = [order for order in itertools.permutations(range(5)) if all(np.diff([-scores[i] for i in order]) >= 0)]
    truth = np.mean([plain(labels[list(order)], k) for order in orders])
    mean = 0.0
    for inside in itertools.product([False, True], repeat=5):
        chosen = [i for i in range(5) if inside[i]]
        probability = np.prod([p[i] if inside[i] else 1 - p[i] for i in range(5)])
        mean += probability * value(target(1, k=k), sample_of(scores, chosen, labels.tolist(), p))
    assert mean == pytest.approx(truth, rel=1e-12)
    everything = sample_of(scores, range(5), labels.tolist(), [1.0] * 5)
    assert value(target(1, k=k, form="snips"), everything) == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("scores", [[6, 5, 4, 3, 2], [3, 3, 2, 2, 2]])
def test_pairs_drawn_without_replacement_have_their_joint_probability(scores: list[float]) -> None:
    labels, k, size = [1.0, 1.0, 0.0, 1.0, 1.0], 4, 2  # the first is in every sample, two of the other four are drawn
    p = [1.0] + [size / 4] * 4
    values, independent = [], []
    for others in itertools.combinations(range(1, 5), size):
        sample = sample_of(scores, [0, *others], labels, p)
        ratio = torch.tensor([1.0] + [(1 - 1 / size) / (1 - p[1] / size)] * size, dtype=torch.float64)
        values.append(value(WeightedAP(1, k=k), dataclasses.replace(sample, pair_ratio=ratio)))
        independent.append(value(WeightedAP(1, k=k), sample))
    truth = value(WeightedAP(1, k=k), sample_of(scores, range(5), labels, [1.0] * 5))
    assert np.mean(values) == pytest.approx(truth, rel=1e-12)
    assert np.mean(independent) < truth - 0.02


def rankings(seed: int = 0, users: int = USERS) -> list[RankedSample]:
    """Samples of the rankings of users, with ties; the last has no row."""
    rng = np.random.default_rng(seed)
    samples = []
    for user in range(users):
        scores, labels, p = rng.integers(0, 12, 30), rng.integers(0, 2, 30).astype(float), rng.uniform(0.3, 1, 30)
        chosen = np.flatnonzero(rng.random(30) < p) if user < users - 1 else []
        samples.append(sample_of(scores.tolist(), list(chosen), labels.tolist(), p.tolist()))
    return samples


def together(samples: Sequence[RankedSample]) -> RankedSample:
    """One sample of several users, each numbered by its place."""
    fields = {
        f.name: torch.cat([getattr(sample, f.name) for sample in samples]) for f in dataclasses.fields(RankedSample)
    }
    fields["users"] = torch.arange(len(samples))
    fields["user"] = torch.arange(len(samples)).repeat_interleave(torch.tensor([len(each.user) for each in samples]))
    return RankedSample(**fields)


@pytest.mark.parametrize("name", METRICS)
def test_replicates_are_the_metric_of_the_resampled_users(name: str) -> None:
    samples, weights = rankings(), cluster_weights(USERS, 30, 1)
    metric = METRICS[name].build(USERS)
    metric.update_sampled(together(samples))
    replicates = metric.replicates(torch.from_numpy(weights)).numpy()
    expected = []
    for times in weights:
        copies = [samples[user] for user, count in enumerate(times) for _ in range(int(count))]
        expected.append(value(METRICS[name].build(len(copies)), together(copies)))
    np.testing.assert_allclose(replicates, expected, rtol=1e-9)
    assert len(set(expected)) > 20
    once = metric.replicates(torch.ones(1, USERS, dtype=torch.float64))
    assert float(once[0]) == pytest.approx(float(metric.compute()), rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_two_updates_equal_one_and_order_does_not_matter(name: str) -> None:
    sample = together(rankings())
    metric, shuffled = METRICS[name].build(USERS), METRICS[name].build(USERS)
    for low, high in ((0, 5), (5, USERS)):
        rows, users = (sample.user >= low) & (sample.user < high), slice(low, high)
        of_rows = {f.name: getattr(sample, f.name)[rows] for f in dataclasses.fields(RankedSample)[2:]}
        metric.update_sampled(RankedSample(users=sample.users[users], candidates=sample.candidates[users], **of_rows))
    order = torch.from_numpy(np.random.default_rng(2).permutation(len(sample.user)))
    of_rows = {f.name: getattr(sample, f.name)[order] for f in dataclasses.fields(RankedSample)[2:]}
    shuffled.update_sampled(dataclasses.replace(sample, **of_rows))
    expected = value(METRICS[name].build(USERS), sample)
    assert (float(metric.compute()), float(shuffled.compute())) == pytest.approx((expected, expected), rel=1e-9)
    metric.reset()
    assert value(metric, sample) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_a_better_order_scores_higher(name: str) -> None:
    labels, p = [1.0, 1.0, 1.0, 0.0, 0.0] + [0.0] * 10, [0.8] * 15
    good, bad = (sample_of([sign * (15 - i) for i in range(15)], range(0, 15, 2), labels, p) for sign in (1, -1))
    metric = METRICS[name]
    assert metric.target.higher_is_better and value(metric.build(1), good) > value(metric.build(1), bad)


def test_few_effective_rows_are_warned_of() -> None:
    few, many = WeightedPrecision(1, k=3), WeightedPrecision(USERS, k=10)
    few.update_sampled(sample_of([9, 8, 7, 6], [0, 2], [0, 1, 1, 1], [0.5] * 4))
    many.update_sampled(together(rankings()))
    assert few.effective_rows == pytest.approx(2) and few.note == "2 effective rows"
    assert "weigh as much as 2 alike" in few.warnings[0]
    assert many.effective_rows > 20 and not many.note and not many.warnings
