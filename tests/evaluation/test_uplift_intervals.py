"""Intervals of uplift follow the axes along which rows depend, and paired differences the same groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from causalrec.config.component import ComponentConfig
from causalrec.estimators.bootstrap import percentile_interval
from causalrec.estimators.jackknife import dependence_axes, t_interval, t_replicates, two_way_variance
from causalrec.evaluation.baseline_scores import _load, _to_bytes
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.jackknife import GROUPS, leave_groups_out, needs_jackknife
from causalrec.evaluation.metric_warnings import few_clusters, missing_arms, unknown_intervals
from causalrec.evaluation.scored_rows import scored_rows
from causalrec.evaluation.slice.base import SliceData
from causalrec.metrics.base import AbstractMetric
from causalrec.metrics.qini import Qini
from causalrec.metrics.rank_weighted_effect import RankWeightedEffect
from causalrec.metrics.uplift_at_k import UpliftAtK
from causalrec.metrics.uplift_at_n import UpliftAtN
from causalrec.metrics.uplift_policy_value import UpliftPolicyValue
from causalrec.reporting.compare import is_usable, paired_test
from causalrec.types import Doubles, Floats, Ints

METRICS: Mapping[str, ComponentConfig[AbstractMetric]] = {
    "qini": ComponentConfig(Qini, {}),
    "autoc": ComponentConfig(RankWeightedEffect, {}),
    "uplift_at_k": ComponentConfig(UpliftAtK, {}),
    "value": ComponentConfig(UpliftPolicyValue, {}),
    "uplift@2": ComponentConfig(UpliftAtN, {"k": 2, "variant": "ips"}),
}
QINI = {"qini": METRICS["qini"]}


def draw_slice(
    seed: int, users: int = 60, items: int = 30, rows: int = 600, clusters: str = "", by: str = "row"
) -> SliceData:
    """Rows of users and items, whose effect grows with the item's number; treatment is drawn by row, user or item."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, users, rows), rng.integers(0, items, rows)
    coin = rng.permutation({"row": rows, "user": users, "item": items}[by]) % 2
    treatment = coin if by == "row" else coin[user if by == "user" else item]
    of_users, of_items = rng.normal(size=users)[user], rng.normal(size=items)[item]
    label = of_users + of_items + treatment * item / items + rng.normal(size=rows)
    axes: dict[str, Ints] = {"user": user, "item": item, "row": np.arange(rows)}
    return SliceData(
        name="logged",
        kind="uplift",
        user=user,
        item=item,
        label=label.astype(np.float32),
        num_users=users,
        arm=1,
        treatment=treatment,
        propensity=np.full(rows, 0.5, np.float32),
        centred_label=(label - label.mean()).astype(np.float32),
        clusters=tuple(axes[name] for name in clusters.split()),
        jackknife=True,
    )


def by_item(data: SliceData) -> Floats:
    return data.item.astype(np.float32)[:, None]


def score(
    data: SliceData, metrics: Mapping[str, ComponentConfig[AbstractMetric]] = METRICS, replicates: int = 200
) -> dict[str, Score]:
    return {s.metric: s for s in Evaluator(metrics, [data], 0.0, replicates=replicates)(by_item, "m")}


def values_without(data: SliceData, axis: Ints, metric: ComponentConfig[AbstractMetric]) -> list[float]:
    """The metric computed anew on the rows that are left."""
    values = []
    for group in range(int(axis.max()) + 1):
        rest = data.take(np.flatnonzero(axis != group))
        built: AbstractMetric = metric.build(data.num_clusters)
        built.update(scored_rows(rest, by_item(rest), 0.0))
        values.append(float(built.compute()))
    return values


@pytest.mark.parametrize("clusters", ["", "item", "user item"])
def test_values_without_groups_are_those_of_the_rows_left(clusters: str) -> None:
    data = draw_slice(0, clusters=clusters)
    left_out = leave_groups_out(data, scored_rows(data, by_item(data), 0.0))
    assert left_out is not None and left_out.groups == GROUPS
    assert len(left_out.axes) == (3 if clusters == "user item" else 1)
    for name, scored in score(data, replicates=5).items():
        assert scored.jackknife is not None and is_usable(scored.jackknife)
        expected = [values_without(data, axis, METRICS[name]) for axis in left_out.axes]
        np.testing.assert_allclose(scored.jackknife, expected if len(expected) == 3 else expected * 3, rtol=1e-6)


@pytest.mark.parametrize("clusters", ["", "item", "user item"])
def test_whole_clusters_are_left_out(clusters: str) -> None:
    data = draw_slice(0, clusters=clusters)
    left_out = leave_groups_out(data, scored_rows(data, by_item(data), 0.0))
    assert left_out is not None
    for axis, group in zip(data.dependence, left_out.axes, strict=True):
        assert all(len(np.unique(group[axis == cluster])) == 1 for cluster in np.unique(axis))


def test_more_rows_than_judge_outcomes_have_values_without_groups_too() -> None:
    data = draw_slice(0, users=500, items=200, rows=120_000, clusters="user item")
    (scored,) = score(data, QINI, replicates=5).values()
    assert scored.jackknife is not None and scored.jackknife.shape == (3, GROUPS)
    assert scored.low < scored.value < scored.high


def test_users_who_are_many_are_resampled_and_few_or_other_axes_are_left_out() -> None:
    many = draw_slice(1, users=1500, rows=3000)
    axes = {"": False, "user": False, "row": True, "item": True, "user item": True}
    for clusters, expected in axes.items():
        assert needs_jackknife(draw_slice(1, users=1500, rows=3000, clusters=clusters)) == expected, clusters
    assert needs_jackknife(draw_slice(1, users=200)) and not needs_jackknife(dataclasses.replace(many, kind="binary"))
    resampled = score(many, QINI)["qini"]
    assert (resampled.low, resampled.high) == percentile_interval(resampled.replicates)
    assert len(np.unique(resampled.replicates.round(12))) == 200 and not (np.diff(resampled.replicates) > 0).all()
    left_out = score(draw_slice(1, users=200), QINI)["qini"]
    assert left_out.jackknife is not None
    assert (left_out.low, left_out.high) == t_interval(left_out.value, left_out.jackknife, 0.95)
    assert percentile_interval(left_out.replicates) == pytest.approx((left_out.low, left_out.high), rel=0.1)


def test_the_axes_that_count() -> None:
    user, item, rows = np.array([0, 0, 1, 1]), np.array([5, 7, 5, 7]), np.arange(4)
    assert len(dependence_axes([user, item])) == 3
    assert [axis.tolist() for axis in dependence_axes([user, rows])] == [[0, 0, 1, 1]], "rows lie within users"
    assert [axis.tolist() for axis in dependence_axes([np.zeros(4, np.int64), item])] == [[0, 1, 0, 1]]
    assert [axis.tolist() for axis in dependence_axes([np.full(4, 3)])] == [[0, 0, 0, 0]]
    assert [axis.tolist() for axis in dependence_axes([np.zeros(0, np.int64)] * 2)] == [[]]


def test_t_quantiles_stand_for_replicates() -> None:
    jackknife = np.tile(np.random.default_rng(0).normal(size=8), (3, 1))
    low, high = t_interval(2.0, jackknife, 0.9)
    assert (low + high) / 2 == pytest.approx(2.0)
    assert high - low == pytest.approx(2 * 1.894579 * two_way_variance(jackknife) ** 0.5, rel=1e-6), (
        "7 degrees of freedom"
    )
    assert percentile_interval(t_replicates(2.0, jackknife, 2000), 0.9) == pytest.approx((low, high), rel=0.01)
    for unknown in (np.full((3, 5), np.nan), np.zeros((3, 1))):
        assert np.isnan(t_interval(2.0, unknown, 0.9)).all() and np.isnan(t_replicates(2.0, unknown, 4)).all()


def test_one_cluster_has_a_value_and_no_interval() -> None:
    data = draw_slice(2, users=1)
    scored = score(data, QINI)["qini"]
    assert np.isfinite(scored.value) and np.isnan([scored.low, scored.high]).all()
    (line,) = unknown_intervals([scored, *score(draw_slice(3)).values()])
    assert line.startswith("qini@logged: no interval, as without some of the clusters there is no value")
    assert few_clusters([data])[0].startswith("few clusters on logged (1): intervals take t quantiles")


def test_few_clusters_on_either_axis_are_warned_of_and_counted() -> None:
    few, enough = draw_slice(2, items=8, clusters="user item"), draw_slice(2, items=30, clusters="user item")
    assert few_clusters([few, enough]) == few_clusters([few]) != []
    assert "logged (8)" in few_clusters([few])[0]
    assert few_clusters([dataclasses.replace(few, kind="effect", treatment=None)]) == []
    for data, groups in ((few, 8), (draw_slice(2, items=29, clusters="user item"), 29), (enough, GROUPS)):
        jackknife = score(data, QINI)["qini"].jackknife
        assert jackknife is not None and jackknife.shape == (3, groups)


def test_scores_of_any_number_of_groups_are_read_from_the_cache_as_they_were() -> None:
    scores = [*score(draw_slice(2, items=8, clusters="user item")).values(), *score(draw_slice(3)).values()]
    scores += score(draw_slice(2, users=29)).values()
    scores.append(dataclasses.replace(scores[0], jackknife=None))
    read, _ = _load("m", _to_bytes(scores, []))
    for before, after in zip(scores, read, strict=True):
        assert before.as_record() == after.as_record()
        np.testing.assert_array_equal(before.jackknife, after.jackknife)


@pytest.mark.parametrize("treatment", [0, 1])
@pytest.mark.parametrize("rows", [0, 1, 50])
def test_a_slice_that_compares_nothing_has_no_value_and_says_so(rows: int, treatment: int) -> None:
    data = draw_slice(4, rows=max(rows, 1)).take(np.arange(rows))
    data = dataclasses.replace(data, treatment=np.full(rows, treatment), clusters=(data.user, data.item))
    scores = score(data)
    assert scores.keys() == METRICS.keys()
    assert all(np.isnan([s.value, s.low, s.high, *s.replicates]).all() and s.jackknife is None for s in scores.values())
    (line,) = missing_arms([data, draw_slice(5)])
    which = "is without treatment" if treatment and rows else "received arm 1"
    assert line == f"logged: none of its {rows} rows {which}, so that no effect is told there"
    assert few_clusters([data]) == []


def test_a_few_of_the_rows_of_a_slice_have_its_axes() -> None:
    data = draw_slice(6, clusters="user item")
    half = data.subset("half", np.arange(0, 600, 2))
    assert [axis.tolist() for axis in half.clusters] == [data.user[::2].tolist(), data.item[::2].tolist()]
    assert needs_jackknife(half) and half.centred_label is not None and len(half.centred_label) == 300


def coverage(by: str, clusters: str, draws: int) -> float:
    """How often the interval of Qini covers the mean over many draws."""
    truth = np.mean([score(draw_slice(s, 3000, 900, 30_000, by=by), QINI, 2)["qini"].value for s in range(1000, 1006)])
    scores = [score(draw_slice(s, items=20, clusters=clusters, by=by), QINI, 40)["qini"] for s in range(draws)]
    return float(np.mean([s.low <= truth <= s.high for s in scores]))


def test_intervals_of_two_axes_cover_where_those_of_users_do_not() -> None:
    assert coverage("item", "user item", 80) > 0.87
    assert coverage("item", "user", 80) < 0.75


def test_paired_differences_of_uplift_are_tested_along_the_same_axes() -> None:
    data = draw_slice(7, clusters="user item")
    evaluator = Evaluator(QINI, [data], 0.0, replicates=5)
    (good,) = evaluator(by_item, "good")
    (bad,) = evaluator(lambda rows: -by_item(rows), "bad")
    assert good.jackknife is not None and bad.jackknife is not None
    left_out: Doubles = good.jackknife - bad.jackknife
    difference, se, df, p = paired_test(np.array([good.value - bad.value]), left_out)
    assert difference > 0 and se > 0 and df == GROUPS - 1 and 0 < p < 1
