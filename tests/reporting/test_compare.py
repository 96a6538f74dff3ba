"""Which differences are called real: hand-worked corrections, and simulations that the naive standard error fails."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from handmade import make_run, score
from scipy.stats import norm, t

from causalrec.estimators.jackknife import two_way_variance
from causalrec.records.run_folder import RunFolder
from causalrec.reporting.compare import compare_rows, holm, paired_test
from causalrec.types import Doubles

AUC = "auc@randomised"
GROUPS, USERS, ITEMS, ROWS = 20, 200, 200, 3000


def test_holm_by_hand() -> None:
    # sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, never falling: .04 .06 .06 .06
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.05]) == [0.05]


def test_the_two_way_variance_by_hand() -> None:
    # per axis (G-1)/G * sum of squared deviations: users 0.5*(9+9)=9, items 0.5*(4+4)=4, rows 0.5*(1+1)=1
    assert two_way_variance(np.array([[0.0, 6.0], [0.0, 4.0], [0.0, 2.0]])) == pytest.approx(9 + 4 - 1)
    assert two_way_variance(np.array([[0.0, 6.0], [0.0, 4.0], [0.0, 8.0]])) == pytest.approx(9), "never below a part"
    assert two_way_variance(np.zeros((3, 5))) == 0


def groups_of(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.permutation(count) % GROUPS


def leave_group_out_means(values: Doubles, user: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> Doubles:
    """The mean without each group of users, items and rows: what the evaluator keeps of a mean over rows."""
    axes = (groups_of(rng, USERS)[user], groups_of(rng, ITEMS)[item], groups_of(rng, len(values)))
    means = []
    for group in axes:
        total, count = np.bincount(group, values, GROUPS), np.bincount(group, minlength=GROUPS)
        means.append((values.sum() - total) / (len(values) - count))
    return np.array(means)


def rejections(user_sd: float, item_sd: float, repeats: int = 300) -> tuple[float, float, float]:
    """Shares of null simulations rejected at 5 %: by our test, the row-level one, and one clustered by user only."""
    rng = np.random.default_rng(0)
    ours = naive = by_user = 0
    for _ in range(repeats):
        user, item = rng.integers(USERS, size=ROWS), rng.integers(ITEMS, size=ROWS)
        values = rng.normal(size=ROWS) + user_sd * rng.normal(size=USERS)[user] + item_sd * rng.normal(size=ITEMS)[item]
        left_out = leave_group_out_means(values, user, item, rng)
        _, _, _, p = paired_test(np.array([values.mean()]), left_out)
        ours += p < 0.05
        naive += 2 * norm.sf(abs(values.mean()) / (values.std() / math.sqrt(ROWS))) < 0.05
        one_way = np.repeat(left_out[:1], 3, axis=0)
        by_user += paired_test(np.array([values.mean()]), one_way)[3] < 0.05
    return ours / repeats, naive / repeats, by_user / repeats


def test_without_any_effect_the_null_is_rejected_at_most_as_often_as_announced() -> None:
    ours, naive, _ = rejections(0.0, 0.0)
    assert ours <= 0.08  # 5 % and three standard errors of 300 simulations
    assert 0.02 < naive < 0.09


def test_a_user_effect_is_covered_and_the_row_level_standard_error_is_not() -> None:
    ours, naive, _ = rejections(0.7, 0.0)
    assert ours <= 0.09
    assert naive > 0.2


def test_an_item_effect_is_covered_and_clustering_by_user_alone_is_not() -> None:
    ours, naive, by_user = rejections(0.0, 0.7)
    assert ours <= 0.09
    assert naive > 0.2 and by_user > 0.2


def test_both_effects_together_are_covered() -> None:
    ours, naive, by_user = rejections(0.7, 0.7)
    assert ours <= 0.09
    assert naive > 0.3 and by_user > 0.12


def test_a_planted_difference_is_found() -> None:
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(50):
        user, item = rng.integers(USERS, size=ROWS), rng.integers(ITEMS, size=ROWS)
        values = 0.4 + rng.normal(size=ROWS) + 0.7 * rng.normal(size=USERS)[user] + 0.7 * rng.normal(size=ITEMS)[item]
        rejected += paired_test(np.array([values.mean()]), leave_group_out_means(values, user, item, rng))[3] < 0.05
    assert rejected >= 45


def test_seed_variance_is_added_by_hand() -> None:
    left_out = np.zeros((3, GROUPS))
    left_out[:, 0], left_out[:, 1] = 1, -1  # each axis 19/20 * 2 = 1.9
    differences = np.array([1.0, 3.0])  # sd^2 / 2 = 1
    mean, se, df, p = paired_test(differences, left_out)
    assert mean == 2.0
    assert se == pytest.approx(math.sqrt(1.9 + 1.0))
    assert df == pytest.approx(2.9**2 / (1.9**2 / 19 + 1.0**2 / 1))
    one_seed = paired_test(differences[:1], left_out)
    assert one_seed[1] == pytest.approx(math.sqrt(1.9)) and one_seed[2] == 19
    assert p > one_seed[3] * 0.5


def test_no_difference_at_all_is_no_difference() -> None:
    assert paired_test(np.zeros(3), np.zeros((3, GROUPS)))[3] == 1.0


def saved_run(name: str, seed: int, auc: float | None, left_out: Doubles | None, **changes: object) -> RunFolder:
    scores = [score("auc", "randomised", auc, name)]
    run = make_run(name, seed=seed, scores=scores, **changes)
    jackknife = {} if left_out is None else {f"{name}|randomised|auc": left_out}
    return dataclasses.replace(run, jackknife={**jackknife, "constant|randomised|auc": np.full((3, GROUPS), 0.5)})


def noise(seed: int) -> Doubles:
    return np.asarray(np.random.default_rng(seed).normal(0, 1e-4, size=(3, GROUPS)))


def test_every_row_and_baseline_is_compared_seed_by_seed() -> None:
    shared = [noise(k) for k in range(2)]
    runs = [saved_run("mf-naive", k, 0.70 + 0.1 * k, 0.7 + 50 * shared[k]) for k in range(2)]
    runs += [saved_run("mf-ips", k, 0.71 + 0.1 * k + 1e-4 * k, 0.71 + 50 * shared[k] + noise(9 + k)) for k in range(2)]
    comparisons = {comparison.row: comparison for comparison in compare_rows(runs, "mf-naive", AUC)}
    assert list(comparisons) == ["constant", "mf-ips"]
    assert comparisons["mf-ips"].difference == pytest.approx(0.01005)
    assert comparisons["mf-ips"].real and comparisons["mf-ips"].seeds == 2
    assert comparisons["constant"].difference == pytest.approx(0.5 - 0.75)
    assert not comparisons["constant"].real, "the seeds of mf-naive are far apart"
    assert comparisons["mf-ips"].adjusted == pytest.approx(min(1, 2 * comparisons["mf-ips"].p))


def drawn_run(name: str, draw: int, auc: float, *, by_rows: bool = True, seed: int = 0) -> RunFolder:
    """One of several draws of the world that share a seed."""
    run = saved_run(name, seed, auc, auc + noise(draw) if by_rows else None, config={"dataset": {"draw": draw}})
    record = run.record
    audit = dataclasses.replace(record.audit, resampled_by=("dataset.draw",))
    return dataclasses.replace(run, record=dataclasses.replace(record, audit=audit))


def test_draws_that_share_a_seed_are_pairs_of_their_own() -> None:
    runs = [drawn_run("mf-naive", k, 0.6 + 0.1 * k) for k in range(3)]
    runs += [drawn_run("mf-ips", k, 0.6 + 0.1 * k + (0.02, 0.03, -0.50)[k]) for k in range(3)]
    (comparison,) = [each for each in compare_rows(runs, "mf-naive", AUC) if each.row == "mf-ips"]
    assert comparison.seeds == 3 and comparison.difference == pytest.approx((0.02 + 0.03 - 0.50) / 3)


def test_draws_of_the_data_tell_the_error_of_scores_whose_rows_do_not() -> None:
    """Differences .02, .04, .06 over three files: t = .04 / (.02 / sqrt 3) with 2 degrees of freedom."""
    runs = [drawn_run("mf-naive", k, 0.6 + 0.1 * k, by_rows=False) for k in range(3)]
    runs += [drawn_run("mf-ips", k, 0.62 + 0.12 * k, by_rows=False) for k in range(3)]
    (comparison,) = [each for each in compare_rows(runs, "mf-naive", AUC) if each.row == "mf-ips"]
    assert (comparison.difference, comparison.se) == pytest.approx((0.04, 0.02 / math.sqrt(3)))
    assert comparison.df == 2 and comparison.seed_se == pytest.approx(comparison.se)
    assert comparison.p == pytest.approx(2 * t.sf(math.sqrt(12), 2))
    again = [drawn_run(name, 0, 0.6, by_rows=False, seed=seed) for name in ("mf-naive", "mf-ips") for seed in range(3)]
    for few in (runs[:1] + runs[3:4], again):
        assert "mf-ips" not in {each.row for each in compare_rows(few, "mf-naive", AUC)}, "one draw tells no error"


def test_a_baseline_can_be_the_reference_and_is_that_of_the_runs_it_is_compared_with() -> None:
    runs = [saved_run("mf-naive", k, 0.7, 0.7 + noise(k)) for k in range(2)]
    runs += [saved_run("mf-ips", k, 0.8, 0.8 + noise(5 + k), optimizer={"lr": lr}) for k, lr in ((0, 0.1), (1, 0.5))]
    compared = {each.row: each for each in compare_rows(runs, "constant", AUC)}
    assert compared["mf-naive"].difference == pytest.approx(0.2) and compared["mf-naive"].seeds == 2
    apart = [row for row in compared if row.startswith("mf-ips")]
    assert len(apart) == 2, "runs of one name that differ in a setting are rows of their own"


def test_only_common_seeds_are_paired_and_what_has_no_jackknife_is_left_out() -> None:
    runs = [saved_run("mf-naive", k, 0.7, 0.7 + noise(k)) for k in range(3)]
    runs += [saved_run("mf-ips", k, 0.8, 0.8 + noise(5 + k)) for k in (1, 2, 3)]
    runs += [saved_run("mf-dr", 0, 0.8, None), saved_run("mf-snips", 7, 0.8, 0.8 + noise(1))]
    runs += [saved_run("mf-failed", 0, 0.8, 0.8 + noise(1), status="failed"), saved_run("mf-nan", 0, None, noise(1))]
    comparisons = {comparison.row: comparison for comparison in compare_rows(runs, "mf-naive", AUC)}
    assert set(comparisons) == {"constant", "mf-ips"} and comparisons["mf-ips"].seeds == 2
    assert compare_rows(runs, "mf-naive", "ndcg@5@randomised") == []
