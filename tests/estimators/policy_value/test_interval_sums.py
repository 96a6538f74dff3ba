"""Intervals of a policy's value: numbers worked by hand, blocks of any size, clusters, pairs, and bad input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import yaml
from scipy.stats import norm, t

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.errors import DataError, RequestError
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.interval.base import AbstractIntervalSums, AbstractValueInterval
from causalrec.estimators.policy_value.interval.bootstrap import PoissonBootstrap
from causalrec.estimators.policy_value.interval.empirical_bernstein import EmpiricalBernstein
from causalrec.estimators.policy_value.interval.normal import NormalInterval
from causalrec.estimators.policy_value.interval.poisson import LAW, resample_kernel
from causalrec.types import Doubles, Ints

INTERVALS = (PoissonBootstrap(replicates=200), NormalInterval(), EmpiricalBernstein())
each_interval = pytest.mark.parametrize("interval", INTERVALS, ids=lambda i: type(i).__name__)


def mean_of(base: Doubles) -> Contributions:
    return Contributions(base=base, weight=np.ones_like(base))


def ratio_of(numerator: Doubles, denominator: Doubles) -> Contributions:
    nothing = np.zeros_like(numerator)
    return Contributions(base=nothing, weight=denominator, numerator=numerator, denominator=denominator)


def columns(rounds: int, seed: int = 0) -> dict[str, Contributions]:
    rng = np.random.default_rng(seed)
    weight, reward = rng.gamma(0.5, 2, rounds), rng.random(rounds)
    return {"ips": mean_of(weight * reward), "snips": ratio_of(weight * reward, weight), "mean": mean_of(reward)}


def take(contributions: Mapping[str, Contributions], rows: slice) -> dict[str, Contributions]:
    def cut(values: Doubles | None) -> Doubles | None:
        return None if values is None else values[rows]

    return {
        name: Contributions(
            base=c.base[rows], weight=c.weight[rows], numerator=cut(c.numerator), denominator=cut(c.denominator)
        )
        for name, c in contributions.items()
    }


def sums_of(
    interval: AbstractValueInterval,
    contributions: Mapping[str, Contributions],
    cluster: Ints | None = None,
    block: int = 10**9,
) -> AbstractIntervalSums:
    rounds = len(next(iter(contributions.values())).base)
    sums = interval.start(list(contributions), 0 if cluster is None else int(cluster.max()) + 1, seed=7)
    codes = np.zeros(rounds, np.int64) if cluster is None else cluster
    for start in range(0, rounds, block):
        rows = slice(start, start + block)
        sums.update(take(contributions, rows), codes[rows])
    return sums


def test_the_normal_interval_of_a_mean() -> None:
    """Terms 1, 3, 5: mean 3, variance 4, standard error 2 / sqrt(3), two degrees of freedom."""
    value = sums_of(NormalInterval(), {"ips": mean_of(np.array([1.0, 3.0, 5.0]))}).interval("ips", 0.95)
    error = 2 / math.sqrt(3)
    assert (value.value, value.standard_error) == pytest.approx((3, error))
    assert value.high - value.value == pytest.approx(value.value - value.low) == pytest.approx(4.302653 * error)
    assert np.quantile(value.replicates, 0.975) == pytest.approx(value.high, rel=0.01)


def test_the_normal_interval_of_a_ratio() -> None:
    """3/2: residuals 1 - 1.5, 2 - 1.5, of sum 0; se² = 2/1 (.25 + .25) / 2² = 1/4."""
    value = sums_of(NormalInterval(), {"snips": ratio_of(np.array([1.0, 2.0]), np.ones(2))}).interval("snips", 0.95)
    assert (value.value, value.standard_error) == pytest.approx((1.5, 0.5))


def test_the_normal_interval_of_clusters() -> None:
    """Clusters {1, 1}, {4}: mean 2, residual sums -2 and 2; se² = 2/1 (4 + 4) / 3² = 16/9."""
    terms, cluster = mean_of(np.array([1.0, 4.0, 1.0])), np.array([0, 2, 0])
    value = sums_of(NormalInterval(), {"ips": terms}, cluster).interval("ips", 0.95)
    assert (value.value, value.standard_error) == pytest.approx((2, 4 / 3))
    assert value.high == pytest.approx(2 + 4 / 3 * t(1).ppf(0.975))


def test_the_empirical_bernstein_interval_of_a_mean() -> None:
    """Terms 0 and 1 in turn, 100 of them: V = 25/99, L = ln(80), b = 1, or 2 where that is what may be."""
    terms = {"ips": mean_of(np.tile([0.0, 1.0], 50))}
    for interval, reach in ((EmpiricalBernstein(), 1), (EmpiricalBernstein(term_range=2), 2)):
        value = sums_of(interval, terms).interval("ips", 0.95)
        half = math.sqrt(2 * 25 / 99 * math.log(80) / 100) + 7 * reach * math.log(80) / 297
        assert (value.low, value.high) == pytest.approx((0.5 - half, 0.5 + half))


@pytest.mark.parametrize("clusters", [None, 700])
def test_the_bootstrap_has_the_standard_error_of_the_formula(clusters: int | None) -> None:
    """Clusters have none to a dozen rounds."""
    contributions, cluster = columns(3000), clusters and np.random.default_rng(1).integers(0, clusters, 3000)
    bootstrap = sums_of(PoissonBootstrap(replicates=4000), contributions, cluster)
    normal = sums_of(NormalInterval(), contributions, cluster)
    for name in contributions:
        resampled, formula = bootstrap.interval(name, 0.95), normal.interval(name, 0.95)
        assert resampled.value == pytest.approx(formula.value, rel=1e-12)
        assert resampled.standard_error == pytest.approx(formula.standard_error, rel=0.06)
        assert resampled.low == pytest.approx(formula.low, abs=0.15 * formula.standard_error)
        assert resampled.high == pytest.approx(formula.high, abs=0.15 * formula.standard_error)


def test_the_law_of_appearances_is_poisson() -> None:
    times, words = np.arange(len(LAW)), np.array(LAW)
    poisson = 2**16 * np.exp(-1.0) / np.array([math.factorial(k) for k in times])
    assert words.sum() == (times * words).sum() == 2**16 and (times**2 * words).sum() == 2**17
    assert np.abs(words - poisson).max() < 2


def test_rounds_appear_independently() -> None:
    """How often 40 rounds of a chunk appear, in 20,000 resamples, and in those of the next chunk."""
    counts = np.zeros((20_000, 80))
    for chunk in range(2):
        resample_kernel()(np.eye(40, dtype=np.float32), chunk, np.uint64(3), counts[:, 40 * chunk : 40 * (chunk + 1)])
    share = np.bincount(counts.astype(np.int64).ravel(), minlength=9) / counts.size
    np.testing.assert_allclose(share, np.array(LAW) / 2**16, atol=4 * 0.5 / math.sqrt(counts.size))
    correlation = np.corrcoef(counts.T)[np.triu_indices(80, 1)] * math.sqrt(len(counts))
    assert correlation.std() == pytest.approx(1, rel=0.06) and np.abs(correlation).max() < 5
    across = np.corrcoef(counts[:60])[np.triu_indices(60, 1)] * math.sqrt(80)
    assert across.std() == pytest.approx(1, rel=0.1) and np.abs(across).max() < 6


@each_interval
@pytest.mark.parametrize("clustered", [False, True])
def test_blocks_of_any_size_give_the_same(interval: AbstractValueInterval, clustered: bool) -> None:
    contributions = columns(9000)
    cluster = np.random.default_rng(1).integers(0, 5000, 9000) if clustered else None
    for column in contributions:
        first, second = (
            sums_of(interval, contributions, cluster, block).interval(column, 0.9) for block in (1000, 7777)
        )
        np.testing.assert_allclose(first.replicates, second.replicates, rtol=1e-12)
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), rel=1e-12)


def test_a_bootstrap_may_be_looked_at_before_its_last_block() -> None:
    contributions, sums = columns(6000), PoissonBootstrap(replicates=50).start(["ips", "snips", "mean"], 0, 7)
    nobody = np.zeros(3000, np.int64)
    sums.update(take(contributions, slice(0, 3000)), nobody)
    early = sums.interval("ips", 0.9)
    sums.update(take(contributions, slice(3000, 6000)), nobody)
    np.testing.assert_array_equal(
        sums.interval("ips", 0.9).replicates,
        sums_of(PoissonBootstrap(replicates=50), contributions).interval("ips", 0.9).replicates,
    )
    assert early.value == pytest.approx(contributions["ips"].base[:3000].mean())


def test_the_seed_alone_decides_the_resamples() -> None:
    contributions = columns(500)
    draws = []
    for seed in (1, 1, 2):
        sums = PoissonBootstrap(replicates=20).start(list(contributions), 0, seed)
        sums.update(contributions, np.zeros(500, np.int64))
        draws.append(sums.interval("ips", 0.9).replicates)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.abs(draws[0] - draws[2]).min() > 0


@each_interval
def test_a_difference_is_paired(interval: AbstractValueInterval) -> None:
    """Of a column that is another plus a constant nothing is uncertain; bounds of ranges cannot see that."""
    base = columns(2000)["ips"].base
    sums = sums_of(interval, {"low": mean_of(base), "high": mean_of(base + 0.5)})
    difference = sums.difference("high", "low", 0.95)
    assert difference.value == pytest.approx(0.5)
    assert difference.standard_error < 1e-3 * sums.interval("low", 0.95).standard_error
    backwards = sums.difference("low", "high", 0.95)
    assert (backwards.low, backwards.high) == pytest.approx((-difference.high, -difference.low))


def test_a_cluster_is_weighed_as_one_round() -> None:
    """Rounds in clusters of ten copies: the interval of the distinct rounds, sqrt(10) that of rounds alone."""
    contributions = {"ips": mean_of(np.repeat(columns(400)["ips"].base, 10))}
    cluster = np.repeat(np.arange(400), 10)
    shuffled = np.random.default_rng(0).permutation(4000)
    mixed = {"ips": mean_of(contributions["ips"].base[shuffled])}
    for interval, rel in ((NormalInterval(), 2e-3), (PoissonBootstrap(replicates=2000), 0.06)):
        distinct = sums_of(interval, {"ips": columns(400)["ips"]}).interval("ips", 0.95).standard_error
        clustered = sums_of(interval, mixed, cluster[shuffled], block=333).interval("ips", 0.95).standard_error
        alone = sums_of(interval, mixed).interval("ips", 0.95).standard_error
        assert clustered == pytest.approx(distinct, rel=1e-6)  # as clusters are of one size
        assert clustered / alone == pytest.approx(math.sqrt(10), rel=rel)


def test_a_cluster_without_rounds_is_none() -> None:
    contributions, cluster = columns(300), np.random.default_rng(1).integers(0, 40, 300)
    for interval in INTERVALS:
        dense = sums_of(interval, contributions, cluster).interval("snips", 0.95)
        sparse = sums_of(interval, contributions, 3 * cluster).interval("snips", 0.95)
        assert (dense.low, dense.high) == (sparse.low, sparse.high)


def test_replicates_without_a_normaliser_are_left_out_and_counted() -> None:
    """One round in four has a weight: of resamples of four a share of exp(-1) misses it."""
    numerator, denominator = np.array([0.0, 0, 0, 3]), np.array([0.0, 0, 0, 2])
    value = sums_of(PoissonBootstrap(replicates=5000), {"snips": ratio_of(numerator, denominator)}).interval(
        "snips", 0.95
    )
    assert value.undefined / 5000 == pytest.approx(math.exp(-1), abs=0.03)
    assert (value.value, value.low, value.high) == pytest.approx((1.5, 1.5, 1.5))


@each_interval
def test_an_estimate_without_a_normaliser_is_nan(interval: AbstractValueInterval) -> None:
    value = sums_of(interval, {"snips": ratio_of(np.ones(5), np.zeros(5))}).interval("snips", 0.95)
    assert math.isnan(value.value) and math.isnan(value.low) and math.isnan(value.high)


def test_a_mean_far_from_0_loses_nothing_to_rounding() -> None:
    rng = np.random.default_rng(0)
    terms = {"dm": mean_of(1e9 + rng.normal(size=5000))}
    for interval in (NormalInterval(), PoissonBootstrap(replicates=2000)):
        far = sums_of(interval, terms, block=700).interval("dm", 0.95)
        assert far.standard_error == pytest.approx(1 / math.sqrt(5000), rel=0.06)
        assert (far.low + far.high) / 2 == pytest.approx(terms["dm"].base.mean(), abs=0.3 * far.standard_error)


def test_the_interval_of_a_constant_is_a_point() -> None:
    assert sums_of(NormalInterval(), {"dm": mean_of(np.full(9, 0.1))}).interval("dm", 0.95).standard_error < 1e-12


def test_normal_intervals_of_many_rounds_are_those_of_the_normal_law() -> None:
    value = sums_of(NormalInterval(), columns(20_000)).interval("mean", 0.9)
    assert (value.high - value.value) / value.standard_error == pytest.approx(norm.ppf(0.95), rel=1e-3)


@pytest.mark.parametrize("name", ["bootstrap", "normal", "empirical_bernstein"])
def test_it_is_a_component_of_the_task(name: str) -> None:
    text = (package_folder("conf") / "task" / "interval" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# @package task.interval\n")
    component = validate_component("task.interval", yaml.safe_load(text), AbstractValueInterval).build()
    assert math.isfinite(sums_of(component, columns(50)).interval("snips", 0.95).low)


BLOCK, NOBODY = columns(10), np.zeros(10, np.int64)


def _nan(column: str) -> dict[str, Contributions]:
    base = BLOCK[column].base.copy()
    base[3] = np.nan
    return {**BLOCK, column: mean_of(base)}


@each_interval
@pytest.mark.parametrize(
    ("contributions", "cluster", "clusters", "message"),
    [
        ({**BLOCK, "ips": mean_of(np.ones(9))}, NOBODY, 0, "terms in a block of"),
        (BLOCK, NOBODY[:9], 0, "clusters of 9 rounds in a block of 10"),
        (_nan("mean"), NOBODY, 0, "mean: what round 13 contributes is nan"),
        ({"ips": BLOCK["ips"]}, NOBODY, 0, "where .* are estimated"),
        ({**BLOCK, "snips": BLOCK["ips"]}, NOBODY, 0, "come together, in all blocks"),
        ({**BLOCK, "ips": BLOCK["snips"]}, NOBODY, 0, "come together, in all blocks"),
        (BLOCK, NOBODY + 4, 4, "clusters 4 to 4: they are numbered 0 to 3"),
        (BLOCK, NOBODY - 1, 4, "clusters -1 to -1: they are numbered 0 to 3"),
    ],
)
def test_a_wrong_block_is_refused(
    interval: AbstractValueInterval, contributions: dict[str, Contributions], cluster: Ints, clusters: int, message: str
) -> None:
    sums = interval.start(list(BLOCK), clusters, 0)
    sums.update(BLOCK, NOBODY)
    with pytest.raises(DataError, match=message):
        sums.update(contributions, cluster)


@each_interval
def test_too_little_for_an_interval_is_refused(interval: AbstractValueInterval) -> None:
    def start(clusters: int, rounds: int) -> Callable[[], object]:
        sums = interval.start(["ips"], clusters, 0)
        sums.update({"ips": mean_of(np.ones(rounds))}, np.zeros(rounds, np.int64))
        return lambda: sums.interval("ips", 0.95)

    for clusters, rounds, message in ((0, 0, "there are no rounds"), (0, 1, "1 round of"), (3, 8, "1 cluster of")):
        with pytest.raises(RequestError, match=message):
            start(clusters, rounds)()


@each_interval
def test_a_wrong_question_is_refused(interval: AbstractValueInterval) -> None:
    sums = sums_of(interval, BLOCK)
    with pytest.raises(RequestError, match="did you mean 'snips'"):
        sums.interval("snip", 0.95)
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(RequestError, match="covers with a chance above 0 and below 1"):
            sums.difference("ips", "snips", level)
    for names, clusters in (([], 0), (["ips", "ips"], 0), (["ips"], -1)):
        with pytest.raises(RequestError, match="distinct names"):
            interval.start(names, clusters, 0)


def test_wrong_settings_are_refused() -> None:
    for replicates in (1, 10_001):
        with pytest.raises(RequestError, match=r"2 to 10,000 are possible"):
            PoissonBootstrap(replicates=replicates)
    for length in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(RequestError, match="a length above 0"):
            EmpiricalBernstein(term_range=length)


def test_a_range_that_cannot_be_is_refused() -> None:
    narrow, wide = EmpiricalBernstein(term_range=0.5), EmpiricalBernstein(term_range=1e3)
    with pytest.raises(RequestError, match=r"ips: its terms lie up to .* apart, beyond term_range=0.5"):
        sums_of(narrow, columns(100)).interval("ips", 0.95)
    with pytest.raises(RequestError, match="snips: term_range: a ratio has no range"):
        sums_of(wide, columns(100)).interval("snips", 0.95)
    with pytest.raises(RequestError, match="mean: term_range: a ratio has no range"):
        sums_of(wide, columns(100), np.arange(100)).interval("mean", 0.95)
    half = sums_of(wide, columns(100)).interval("ips", 0.95)
    both = sums_of(wide, columns(100)).difference("ips", "mean", 0.95)
    assert both.high - both.low > 1.9 * (half.high - half.low) * 7 / 8
