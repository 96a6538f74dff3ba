"""The evaluator, its slices and the cache of baseline scores, on data small enough to check by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from causalrec.config.component import ComponentConfig, validate_component
from causalrec.config.compose import package_folder
from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.data.truth import Oracle
from causalrec.errors import CausalRecError
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.evaluation.baseline.constant import Constant
from causalrec.evaluation.baseline_scores import baseline_scores
from causalrec.evaluation.catalogue_predictions import blocks_of_rows
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.jackknife import GROUPS, leave_groups_out
from causalrec.evaluation.metric_warnings import short_lists, undefined_metrics
from causalrec.evaluation.scored_rows import reliability
from causalrec.evaluation.slice.all_pairs import AllPairsSlice
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.test import HeldOutSlice
from causalrec.metrics.base import AbstractMetric, Scored
from causalrec.metrics.cdcg import CDCG
from causalrec.metrics.mse import MSE
from causalrec.metrics.ndcg import NDCG
from causalrec.metrics.uplift_at_n import UpliftAtN
from causalrec.types import Floats, Ints, LabelKind, OutcomeKind
from tests.evaluation.slice_source import Source

USERS, ITEMS = 20, 6


def declared_metrics() -> Mapping[str, ComponentConfig]:
    files = sorted((package_folder("conf") / "metric").glob("*.yaml"))
    nodes = [(name, node) for file in files for name, node in yaml.safe_load(file.read_text()).items()]
    return {name: validate_component(name, node, AbstractMetric) for name, node in nodes}


METRICS = declared_metrics()


def log_of(user: Ints, item: Ints, outcome: Floats, propensity: Floats | None = None) -> InteractionLog:
    treatment = np.ones(len(item), np.int64)
    return InteractionLog(item, treatment, outcome, ITEMS, user, USERS, propensity=propensity)


def random_log(seed: int, rows: int = 60) -> InteractionLog:
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    return log_of(codes // ITEMS, codes % ITEMS, (rng.random(rows) < 0.5).astype(np.float32))


def slice_of(kind: LabelKind = "binary", seed: int = 0, rows: int = 60) -> SliceData:
    log = random_log(seed, rows)
    assert log.user is not None
    label = log.outcome
    if kind != "binary":
        rng = np.random.default_rng(seed)
        label = (rng.integers(1, 6, len(log)) if kind == "graded" else rng.random(len(log))).astype(np.float32)
    jackknife = kind != "rate"
    return SliceData(
        name="part", kind=kind, user=log.user, item=log.item, label=label, num_users=USERS, jackknife=jackknife
    )


def guess(slice_data: SliceData) -> Floats:
    return ((7 * slice_data.user + 3 * slice_data.item) % 11 / 12 + 0.05).astype(np.float32)


def by_name(scores: list[Score]) -> dict[str, Score]:
    return {score.metric: score for score in scores}


def test_values_by_hand() -> None:
    user, item = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    label = np.array([1, 0, 0, 1], np.float32)
    slice_data = SliceData(name="hand", kind="binary", user=user, item=item, label=label, num_users=2)
    rates = np.array([[0.8, 0.4], [0.6, 0.2]], np.float32)
    evaluator = Evaluator(METRICS, [slice_data], constant=0.5, replicates=20)
    scores = by_name(evaluator(lambda rows: rates[rows.user, rows.item], "model"))
    assert scores["mse"].value == pytest.approx((0.04 + 0.16 + 0.36 + 0.64) / 4)
    assert scores["skill"].value == pytest.approx(1 - 0.3 / 0.25)
    assert scores["bias"].value == pytest.approx(0.0, abs=1e-7)
    assert scores["auc"].value == 0.5  # .8 beats .4 and .6, .2 beats none: 2 of 4 pairs
    assert scores["recall@5"].value == 1.0
    assert scores["ndcg@5"].value == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert {(s.n, s.slice, s.model) for s in scores.values()} == {(4, "hand", "model")}


@pytest.mark.parametrize("kind", ["binary", "graded", "rate"])
def test_each_metric_is_taken_on_the_labels_it_is_defined_for(kind: LabelKind) -> None:
    scores = by_name(Evaluator(METRICS, [slice_of(kind)], 0.5, replicates=10)(guess, "m"))
    assert set(scores) == {name for name, chosen in METRICS.items() if kind in chosen.target.labels}
    assert ("auc" in scores) == (kind == "binary")


@pytest.mark.parametrize("kind", ["binary", "graded", "rate"])
def test_intervals_contain_the_value_and_widen_with_the_level(kind: LabelKind) -> None:
    slices = [slice_of(kind, rows=115)]
    wide = Evaluator(METRICS, slices, 0.5, level=0.99)(guess, "m")
    narrow = Evaluator(METRICS, slices, 0.5, level=0.5)(guess, "m")
    for outer, inner in zip(wide, narrow, strict=True):
        assert outer.low <= outer.value <= outer.high or outer.note == "biased upwards"
        assert outer.low <= inner.low <= inner.high <= outer.high
        assert inner.low < inner.high or inner.metric in ("recall@10", "hit@10")  # of lists of all six items
        assert len(outer.replicates) == 200
        np.testing.assert_array_equal(outer.replicates, inner.replicates)


def test_two_models_meet_the_same_resampled_users() -> None:
    evaluator = Evaluator(METRICS, [slice_of("rate")], 0.5, replicates=100)
    first = by_name(evaluator(guess, "one"))["bias"]
    second = by_name(evaluator(lambda rows: guess(rows) + np.float32(0.125), "two"))["bias"]
    assert first.replicates.std() > 0.01
    np.testing.assert_allclose(second.replicates - first.replicates, 0.125, atol=1e-6)  # paired: no noise is left
    other = by_name(dataclasses.replace(evaluator, seed=1)(guess, "one"))["bias"]
    assert np.abs(other.replicates - first.replicates).max() > 0.01


def test_rows_of_a_userless_log_are_resampled_by_themselves() -> None:
    label = np.array([0, 1, 1, 0, 1], np.float32)
    user, item = np.zeros(5, np.int64), np.array([0, 1, 2, 0, 1])
    slice_data = SliceData(name="userless", kind="binary", user=user, item=item, label=label, num_users=0)
    assert slice_data.num_clusters == 5 and slice_data.cluster.tolist() == [0, 1, 2, 3, 4]
    score = by_name(
        Evaluator({"mse": METRICS["mse"]}, [slice_data], 0.6)(lambda rows: np.full(len(rows.item), 0.6, "f4"), "m")
    )
    assert score["mse"].value == pytest.approx(0.24)
    assert score["mse"].low < 0.24 < score["mse"].high


ENDS = ("value", "low", "high")


def test_a_score_in_the_record_leaves_its_replicates_behind() -> None:
    score = Evaluator(METRICS, [slice_of()], 0.5, replicates=10)(guess, "m")[0]
    record = score.as_record()
    assert {field.name for field in dataclasses.fields(record)} == {
        "model",
        "slice",
        "metric",
        *ENDS,
        "n",
        "absolute",
        "higher_is_better",
        "note",
    }
    assert tuple(getattr(record, name) for name in ENDS) == (score.value, score.low, score.high)


def test_exposed_mean_is_snips_of_the_outcome() -> None:
    user, item = np.array([0, 0, 1]), np.array([0, 1, 2])
    log = log_of(user, item, np.array([1, 0, 1], np.float32), np.array([0.5, 0.25, 0.1], np.float32))
    score = Evaluator({}, [], 0.5, replicates=50).exposed_mean(log, "m")
    assert score.value == pytest.approx((2 + 10) / (2 + 4 + 10))
    assert score.low <= score.value <= score.high
    assert (score.metric, score.slice, score.n) == ("snips_mean", "logged", 3)
    assert set(np.round(score.replicates[np.isfinite(score.replicates)], 4)) <= {
        np.round((2 * a + 10 * b) / (6 * a + 10 * b), 4) for a in range(30) for b in range(30) if a + b
    }


def test_reliability_bins_are_equally_filled_and_ordered() -> None:
    prediction = np.array([0.9, 0.1, 0.5, 0.3, 0.7, 0.2], np.float32)
    label = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0], np.float32)
    bins = reliability(prediction, label, bins=3)
    assert [b.n for b in bins] == [2, 2, 2]
    assert [b.predicted for b in bins] == pytest.approx([0.15, 0.4, 0.8])
    assert [b.true for b in bins] == pytest.approx([0.5, 0.5, 0.5])
    assert len(reliability(prediction, label, bins=10)) == 6


def dataset_of(kind: OutcomeKind, oracle: Oracle | None = None) -> CausalDataset:
    card = DatasetCard("toy", "test", "none", (), {}, (), kind, "explicit")
    tables = [pl.DataFrame({"id": np.arange(n)}) for n in (USERS, ITEMS)]
    return CausalDataset(card, random_log(0), tables[0], tables[1], oracle=oracle)


def select_test(dataset: CausalDataset, splits: Splits) -> list[SliceData]:
    return list(HeldOutSlice().select(Source(dataset, splits)))


def splits_of(seed: int = 0, randomised: bool = True) -> Splits:
    logs = [random_log(3 * seed + k, 40) for k in range(3)]
    return Splits(
        train=logs[0],
        validation=logs[1],
        test=logs[2],
        test_is_randomised=randomised,
        duplicates=0,
        unseen=0,
    )


@pytest.mark.parametrize(("kind", "expected"), [("click", "binary"), ("rating", "graded"), ("count", "graded")])
@pytest.mark.parametrize("randomised", [True, False])
def test_the_test_slice_holds_the_test_log(kind: OutcomeKind, expected: str, randomised: bool) -> None:
    splits = splits_of(randomised=randomised)
    slices = select_test(dataset_of(kind), splits)
    assert len(slices) == 1
    assert (slices[0].name, slices[0].kind) == ("randomised" if randomised else "logged", expected)
    assert splits.test.user is not None
    for column, held in zip((slices[0].user, slices[0].item), (splits.test.user, splits.test.item), strict=True):
        np.testing.assert_array_equal(column, held)
    np.testing.assert_array_equal(slices[0].label, splits.test.outcome)


def test_with_a_known_truth_every_pair_is_a_row_with_its_true_rate() -> None:
    def rate(user: Ints, item: Ints) -> Floats:
        return ((user * 10 + item) / 1000).astype(np.float32)

    (last,) = AllPairsSlice().select(Source(dataset_of("click", Oracle(rate, rate)), splits_of()))
    assert (last.name, last.kind, len(last)) == ("all_pairs", "rate", USERS * ITEMS)
    blocks = list(blocks_of_rows(last, pairs_at_once=2 * ITEMS))
    user, item, label = (np.concatenate([getattr(rows, name) for rows in blocks]) for name in ("user", "item", "label"))
    assert len(blocks) == -(-USERS // 2) and len(set(zip(user.tolist(), item.tolist(), strict=True))) == USERS * ITEMS
    np.testing.assert_array_equal(label, rate(user, item))


@dataclass(kw_only=True)
class Counted(AbstractBaseline):
    """A constant that counts how often it was fitted."""

    plus: float = 0.0
    _mean: float = field(init=False, repr=False, default=0.0)
    fitted: ClassVar[int] = 0

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        type(self).fitted += 1
        self._mean = float(log.outcome.mean()) + self.plus

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        return np.full(len(item), self._mean, np.float32)


@pytest.fixture
def counting() -> Iterator[type[Counted]]:
    Counted.fitted = 0
    yield Counted
    Counted.fitted = 0


def assert_same(first: list[Score], second: list[Score]) -> bool:
    for a, b in zip(first, second, strict=True):
        assert a.as_record() == b.as_record()
        np.testing.assert_array_equal(a.replicates, b.replicates)
    return True


def test_baseline_scores_are_kept_and_not_refitted(tmp_path: Path, counting: type[Counted]) -> None:
    splits = splits_of()
    evaluator = Evaluator(METRICS, select_test(dataset_of("click"), splits), 0.5, replicates=20)
    baselines = {"counted": ComponentConfig(counting, {}), "constant": ComponentConfig(Constant, {})}
    first, warnings = baseline_scores(baselines, evaluator, splits, splits.train, tmp_path)
    assert warnings == ()
    assert counting.fitted == 1
    assert assert_same(first, baseline_scores(baselines, evaluator, splits, splits.train, tmp_path)[0])
    assert counting.fitted == 1
    assert {score.model for score in first} == {"counted", "constant"}
    assert all(isinstance(score.n, int) for score in first)
    direct = counting()
    direct.fit(splits.train)
    assert assert_same(
        first[: len(first) // 2], evaluator(lambda rows: direct.predict(rows.user, rows.item), "counted")
    )


def test_whatever_a_baseline_score_depends_on_refits_it(tmp_path: Path, counting: type[Counted]) -> None:
    splits = splits_of()
    slices = select_test(dataset_of("click"), splits)
    evaluator = Evaluator(METRICS, slices, 0.5, replicates=20)
    other = splits_of(1)
    fewer = {name: METRICS[name] for name in ("auc", "mse")}
    requests = [
        ({}, evaluator, splits),
        ({}, evaluator, dataclasses.replace(splits, train=other.train)),
        ({}, dataclasses.replace(evaluator, slices=select_test(dataset_of("click"), other)), other),
        ({"plus": 0.1}, evaluator, splits),
        ({}, dataclasses.replace(evaluator, metrics=fewer), splits),
        ({}, dataclasses.replace(evaluator, replicates=21), splits),
        ({}, dataclasses.replace(evaluator, seed=1), splits),
        ({}, dataclasses.replace(evaluator, level=0.9), splits),
        ({}, dataclasses.replace(evaluator, constant=0.4), splits),
        ({}, evaluator, dataclasses.replace(splits, context=other.train)),
        ({}, evaluator, dataclasses.replace(splits, context=dataclasses.replace(other.train, time=np.arange(40)))),
    ]
    for number, (arguments, requested, held) in enumerate(requests, start=1):
        for _ in range(2):
            baseline_scores({"counted": ComponentConfig(counting, arguments)}, requested, held, held.train, tmp_path)
        assert counting.fitted == number


def remaining_rows(slice_data: SliceData, scored: Scored) -> np.ndarray:
    """bool[3G,N]: the rows each leave-out keeps."""
    left_out = leave_groups_out(slice_data, scored)
    assert left_out is not None
    return np.concatenate([axis != np.arange(left_out.groups)[:, None] for axis in left_out.axes])


def test_the_jackknife_leaves_out_groups_of_users_items_and_rows() -> None:
    slice_data = slice_of(rows=60)
    scored = Scored(torch.arange(60.0), torch.from_numpy(slice_data.label), torch.from_numpy(slice_data.cluster), 0.5)
    remaining = [set(np.flatnonzero(rows).tolist()) for rows in remaining_rows(slice_data, scored)]
    assert len(remaining) == 3 * GROUPS
    for axis, ids in enumerate((slice_data.cluster, slice_data.item, np.arange(60))):
        gone = [set(range(60)) - k for k in remaining[axis * GROUPS : (axis + 1) * GROUPS]]
        assert sorted(row for rows in gone for row in rows) == list(range(60)), "each row is left out once"
        owner = [next(g for g, rows in enumerate(gone) if row in rows) for row in range(60)]
        assert all(len({owner[row] for row in np.flatnonzero(ids == unit)}) == 1 for unit in np.unique(ids))


def test_a_jackknifed_value_is_the_metric_of_the_rows_left() -> None:
    slice_data = slice_of(rows=60)
    evaluator = Evaluator(declared_metrics(), [slice_data], 0.5)
    scores = by_name(evaluator(guess, "m"))
    scored = Scored(
        torch.from_numpy(guess(slice_data)),
        torch.from_numpy(slice_data.label),
        torch.from_numpy(slice_data.cluster),
        0.5,
    )
    compared = 0
    for name, chosen in METRICS.items():
        if name not in scores or (jackknife := scores[name].jackknife) is None:
            continue
        expected = []
        for rows in remaining_rows(slice_data, scored):
            metric = chosen.build(slice_data.num_clusters)
            metric.update(scored.where(torch.from_numpy(rows)))
            expected.append(float(metric.compute()))
        assert jackknife.shape == (3, GROUPS)
        np.testing.assert_allclose(jackknife.ravel(), expected, rtol=1e-5, atol=1e-7, err_msg=name)
        compared += 1
    assert compared > 8


def test_predictions_that_are_not_finite_are_an_error() -> None:
    evaluator = Evaluator(METRICS, select_test(dataset_of("click"), splits_of()), 0.5, replicates=20)

    def diverge(data: SliceData) -> Floats:
        return np.where(np.arange(len(data.label)) % 2, np.nan, 0.5).astype(np.float32)

    with pytest.raises(CausalRecError, match=r"^m: \d+ of \d+ predictions on the slice \w+ are not finite: the fit"):
        evaluator(diverge, "m")


def test_gains_are_left_out_where_an_outcome_is_negative() -> None:
    (data, *_) = select_test(dataset_of("reward"), splits_of())
    negative = dataclasses.replace(data, label=data.label - 2, kind="graded")
    metrics = {"ndcg": ComponentConfig(NDCG, {}), "mse": ComponentConfig(MSE, {})}
    evaluator = Evaluator(metrics, [negative], 0.5, replicates=20)
    assert [score.metric for score in evaluator(lambda rows: rows.label, "m")] == ["mse"]
    lines = undefined_metrics(metrics, [negative])
    assert lines == [f"ndcg are left out on {data.name}: they add outcomes up, and some are negative"]


def test_rankings_of_users_with_few_candidates_are_warned_of() -> None:
    metrics = {"ndcg@5": ComponentConfig(NDCG, {"k": 5}), "ndcg@2": ComponentConfig(NDCG, {"k": 2})}
    user = np.array([0, 0, 0, 1, 2, 2, 2, 2, 2, 2])
    label = np.ones(10, np.float32)
    few = SliceData(name="hand", kind="binary", user=user, item=np.arange(10), label=label, num_users=4)
    metrics |= {"mse": ComponentConfig(MSE, {}), "cdcg": ComponentConfig(CDCG, {})}
    assert short_lists(metrics, [few]) == [
        "ndcg@5 on hand: 67% of the users have no more candidates than the list takes (median 3), so that even a "
        "constant scores high"
    ]
    (score,) = Evaluator({"ndcg@5": metrics["ndcg@5"]}, [few], 0.5, replicates=5)(lambda rows: 0 * rows.label, "m")
    assert score.value == 1.0
    many = dataclasses.replace(few, user=np.repeat([0, 1], [6, 4]))
    assert len(short_lists(metrics, [many])) == 1 and not short_lists({"ndcg@2": metrics["ndcg@2"]}, [many])
    assert not short_lists(metrics, [dataclasses.replace(few, user=None, num_users=0)])
    uplift = dataclasses.replace(few, kind="uplift", treatment=np.ones(10, np.int64), propensity=np.full(10, 0.5))
    (line,) = short_lists({"uplift@10": ComponentConfig(UpliftAtN, {"k": 10})}, [uplift])
    assert line.startswith("uplift@10 on hand: 100% of the users")
