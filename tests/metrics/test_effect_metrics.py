"""Metrics of effects: numbers worked by hand, loops over the rows, what any ranking keeps, and populations known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.errors import DataError
from causalrec.estimators.bootstrap import cluster_weights, percentile_interval
from causalrec.metrics import uplift_rows
from causalrec.metrics.ate_error import ATEError
from causalrec.metrics.auuc import auuc
from causalrec.metrics.base import AbstractMetric, Scored, Subsets
from causalrec.metrics.causal_average_rank import CausalAverageRank
from causalrec.metrics.causal_precision import CausalPrecision
from causalrec.metrics.cdcg import CDCG
from causalrec.metrics.pehe import SqrtPEHE
from causalrec.metrics.pehe_drawn import SqrtPEHEDrawn
from causalrec.metrics.policy_risk import PolicyRisk, policy_risk
from causalrec.metrics.qini import Qini, qini
from causalrec.metrics.rank_weighted_effect import RankWeightedEffect, rank_weighted_effect
from causalrec.metrics.uplift_at_k import uplift_at_k
from causalrec.metrics.uplift_at_n import UpliftAtN
from causalrec.metrics.uplift_policy_value import UpliftPolicyValue, uplift_policy_value

USERS = 15
FILES = [
    *("qini", "auuc", "uplift_at_k", "rank_weighted_effect", "uplift_policy_value", "policy_risk", "uplift_at_n"),
    *("pehe", "pehe_drawn", "ate_error", "causal_precision", "cdcg", "causal_average_rank"),
]


def declared_metrics() -> dict[str, Callable[[int], AbstractMetric]]:
    folder = package_folder("conf") / "metric"
    nodes = {
        name: node for file in FILES for name, node in yaml.safe_load((folder / f"{file}.yaml").read_text()).items()
    }
    return {name: validate_component(f"metric.{name}", node, AbstractMetric).build for name, node in nodes.items()}


METRICS = declared_metrics()
UPLIFT = [name for name, build in METRICS.items() if "uplift" in build(1).labels]
RANKINGS = [name for name in UPLIFT if "policy" not in name and not name.startswith("uplift")]
AT_THE_TOP = [name for name in UPLIFT if "policy" not in name and name.startswith("uplift")]


def scored_rows(seed: int = 0, n: int = 240, digits: int = 1, spread: float = 0.3) -> Scored:
    """Rows with equal predictions whose true effect grows with them; propensities within 0.5 +- spread."""
    rng = np.random.default_rng(seed)
    effect = rng.normal(size=n).round(digits)
    propensity = 0.5 + spread * rng.uniform(-1, 1, n)
    treatment = (rng.random(n) < propensity).astype(np.int64)
    outcome = (rng.random(n) < 1 / (1 + np.exp(0.5 - effect * treatment))).astype(np.float64)
    user = np.concatenate([np.arange(USERS - 1), rng.integers(0, USERS - 1, n - USERS + 1)])
    drawn_effect = effect + rng.normal(size=n)
    tensors = [torch.from_numpy(column) for column in (effect, outcome, user, treatment, propensity, drawn_effect)]
    return Scored(tensors[0], tensors[1], tensors[2], 0.5, None, *tensors[3:])


def rows_for(name: str, seed: int = 0) -> Scored:
    """The same, with the true effect as the label where the metric is one of known effects."""
    rows = scored_rows(seed)
    if name in UPLIFT:
        return rows
    return dataclasses.replace(rows, label=rows.prediction + torch.randn(240, generator=torch.manual_seed(seed)))


def value(name: str, rows: Scored, clusters: int = USERS) -> float:
    metric = METRICS[name](clusters)
    metric.update(rows)
    return float(metric.compute())


# What every one of them keeps


@pytest.mark.parametrize("name", METRICS)
def test_replicates_are_the_metric_of_the_resampled_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplift_rows, "TOGETHER", 3)  # several parts
    monkeypatch.setattr(uplift_rows, "BLOCK", 70)
    rows, weights = rows_for(name), cluster_weights(USERS, 25, 1)
    metric = METRICS[name](USERS)
    metric.update(rows)
    expected = []
    for times in weights.astype(int):
        copies = [(user, copy) for user, count in enumerate(times) for copy in range(count)]
        copy_rows = [torch.nonzero(rows.cluster == user).squeeze(1) for user, _ in copies]
        resample = rows.where(torch.cat(copy_rows))
        cluster = torch.cat([torch.full_like(positions, new) for new, positions in enumerate(copy_rows)])
        expected.append(value(name, dataclasses.replace(resample, cluster=cluster)))
    replicates = metric.replicates(torch.from_numpy(weights))
    replicates = replicates.abs() if metric.absolute else replicates
    np.testing.assert_allclose(replicates, expected, rtol=1e-9, atol=1e-12)
    assert len(set(expected)) > 20


def test_threads_are_left_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplift_rows, "TOGETHER", 1)
    monkeypatch.setattr(uplift_rows, "BLOCK", 1)
    before, metric = torch.get_num_threads(), Qini(USERS)
    metric.update(scored_rows())
    weights = torch.from_numpy(cluster_weights(USERS, 40, 0))
    try:
        torch.set_num_threads(2)
        several = metric.replicates(weights)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(
        several, torch.cat([metric.replicates(weight[None]) for weight in weights]), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("name", METRICS)
def test_weights_of_one_give_the_value(name: str) -> None:
    metric = METRICS[name](USERS)
    metric.update(rows_for(name))
    replicates = metric.replicates(torch.ones(2, USERS, dtype=torch.float64))
    np.testing.assert_allclose(replicates, float(metric.compute()), rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_parts_are_the_metric_of_their_rows(name: str) -> None:
    rows = rows_for(name)
    masks = torch.rand(6, 240, generator=torch.manual_seed(0)) < 0.7
    masks[5] = False
    values = METRICS[name](USERS).on_subsets(Subsets(rows, masks, USERS))
    expected = [value(name, rows.where(mask)) for mask in masks]
    assert math.isnan(expected[5])
    values = values.abs() if METRICS[name](USERS).absolute else values
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_neither_the_order_of_rows_nor_batches_matter(name: str) -> None:
    rows = rows_for(name)
    metric = METRICS[name](USERS)
    order = torch.randperm(240, generator=torch.manual_seed(1))
    for batch in (order[:90], order[90:]):
        metric.update(rows.where(batch))
    assert float(metric.compute()) == pytest.approx(value(name, rows), rel=1e-9)


@pytest.mark.parametrize("name", [*RANKINGS, *AT_THE_TOP, "causal_precision@10", "cdcg", "causal_average_rank"])
def test_only_the_order_of_predictions_matters(name: str) -> None:
    rows = rows_for(name)
    squeezed = dataclasses.replace(rows, prediction=torch.exp(2 * rows.prediction) - 5)
    assert value(name, squeezed) == pytest.approx(value(name, rows), rel=1e-9)
    assert value(name, dataclasses.replace(rows, prediction=-rows.prediction)) != pytest.approx(value(name, rows))


@pytest.mark.parametrize("name", RANKINGS)
def test_a_constant_scores_nothing_and_a_good_ranking_more_than_its_reverse(name: str) -> None:
    rows = rows_for(name)
    constant = dataclasses.replace(rows, prediction=torch.full_like(rows.prediction, 0.3))
    assert value(name, constant) == pytest.approx(0, abs=1e-12)
    assert value(name, rows) > 0 > value(name, dataclasses.replace(rows, prediction=-rows.prediction))


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"causal_precision@100"}))  # which takes all of a user's rows
def test_the_direction_is_the_one_it_says(name: str) -> None:
    rows = rows_for(name, seed=3)
    good = rows if name in UPLIFT else dataclasses.replace(rows, prediction=rows.label)
    bad = dataclasses.replace(rows, prediction=2 - good.prediction if name == "ate_error" else -good.prediction)
    if name == "sqrt_pehe_drawn":
        good = dataclasses.replace(rows, prediction=rows.drawn_effect)
    assert (value(name, good) > value(name, bad)) == METRICS[name](1).higher_is_better


@pytest.mark.parametrize("name", UPLIFT)
def test_without_control_rows_it_is_not_a_number(name: str) -> None:
    rows = scored_rows()
    alone = dataclasses.replace(rows, treatment=torch.ones_like(rows.treatment))
    assert math.isnan(value(name, alone)) == (name != "uplift_ips@10")  # which divides by the number of rows alone


@pytest.mark.parametrize("name", UPLIFT)
def test_without_treatments_the_slice_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="need the treatment of each row"):
        value(name, dataclasses.replace(scored_rows(), treatment=None))


# Curves


BY_HAND = (
    torch.tensor([4.0, 3.0, 2.0, 1.0]),
    torch.tensor([1.0, 0.0, 1.0, 1.0]),
    torch.tensor([1, 0, 1, 0]),
)


def test_qini_by_hand() -> None:
    """Best rows 1 to 4: g = 1, 1 - 0, 2 - 0 * 2 / 1, 2 - 1 * 2 / 2 = 1, 1, 2, 1; in rows the area below is
    1/2 + 1 + 3/2 + 3/2 = 4.5, below the line to (4, 1) 2; over 4 rows and 4 more: 2.5 / 16.
    """
    assert float(qini(*BY_HAND)) == pytest.approx(2.5 / 16)
    tied = torch.tensor([4.0, 3.0, 3.0, 1.0])  # one step from (1, 1) to (3, 2): 1/2 + 3 + 3/2 - 2
    assert float(qini(tied, *BY_HAND[1:])) == pytest.approx(3.0 / 16)
    # the best order: 1 and 3 tied, g = 2 at 2 rows; 2, g = 2; 4, g = 1: 2 + 2 + 3/2 - 2
    assert float(qini(*BY_HAND, normalise=True)) == pytest.approx(2.5 / 3.5)


def test_auuc_by_hand() -> None:
    """Means of the arms: 1 - none, 1 - 0, 1 - 0, 1 - 1/2; times rows: 1, 2, 3, 2; 1/2 + 3/2 + 5/2 + 5/2 - 4."""
    assert float(auuc(*BY_HAND)) == pytest.approx(3.0 / 16)


@pytest.mark.parametrize("metric", [qini, auuc])
def test_a_constant_propensity_changes_nothing(metric: Callable[..., Tensor]) -> None:
    rows = scored_rows(digits=3)
    columns = rows.prediction, rows.label, rows.treatment
    for constant in (0.2, 0.85):
        weighted = metric(*columns, torch.full_like(rows.prediction, constant))
        assert float(weighted) == pytest.approx(float(metric(*columns)), rel=1e-9)
    assert float(metric(*columns, rows.propensity)) != pytest.approx(float(metric(*columns)), rel=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_no_ranking_has_more_than_the_best_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outcome, treatment = (torch.from_numpy(rng.integers(0, 2, 12)) for _ in range(2))
    perfect = (outcome * treatment - outcome * (1 - treatment)).double()
    assert float(qini(perfect, outcome, treatment, normalise=True)) == pytest.approx(1)
    for _ in range(200):
        guess = torch.from_numpy(rng.normal(size=12).round(int(rng.integers(3))))
        assert float(qini(guess, outcome, treatment, normalise=True)) <= 1 + 1e-12


def test_normalised_areas_are_of_outcomes_0_and_1() -> None:
    rows = scored_rows()
    dollars = rows.label * 7.5
    assert float(qini(rows.prediction, dollars, rows.treatment)) == pytest.approx(
        7.5 * float(qini(rows.prediction, rows.label, rows.treatment))
    )
    for metric in (qini, auuc):
        assert metric(rows.prediction, dollars, rows.treatment, normalise=True).isnan()
    metric = PolicyRisk(USERS)
    metric.update(dataclasses.replace(rows, label=dollars))
    assert metric.compute().isnan()


def test_a_replicate_without_an_arm_is_not_a_number() -> None:
    metric = Qini(2)
    metric.update(Scored(*BY_HAND[:2], torch.tensor([0, 1, 0, 1]), 0.0, None, BY_HAND[2], torch.full((4,), 0.5)))
    replicates = metric.replicates(torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]], dtype=torch.float64))
    assert replicates.isnan().tolist() == [True, False, True]


def population(seed: int, n: int = 400_000, confounded: bool = False) -> tuple[Tensor, ...]:
    """Rows of effect x, uniform on [0, 1]: TOC(s) = (1 - s) / 2, its integral 1/4, that of s TOC(s) 1/12.

    Where confounded, another column raises both the outcome and, the more the lower x is, the propensity.
    """
    rng = np.random.default_rng(seed)
    x, other = rng.random(n), rng.random(n) < 0.5
    propensity = np.where(other, 0.9 - 0.4 * x, 0.1 + 0.4 * x) if confounded else np.full(n, 0.3)
    treatment = (rng.random(n) < propensity).astype(np.int64)
    outcome = x * treatment + 2 * other + rng.normal(size=n)
    return tuple(torch.from_numpy(column) for column in (x, outcome, treatment, propensity))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("confounded", [False, True])
def test_areas_are_those_of_the_population(confounded: bool) -> None:
    x, outcome, treatment, propensity = population(0, confounded=confounded)
    rows = x, outcome, treatment, propensity
    # Qini weighs N_1 as the mean propensity does, a half (confounded) or 0.3
    assert float(qini(*rows)) == pytest.approx(float(propensity.mean()) / 12, abs=0.003)
    assert float(auuc(*rows)) == pytest.approx(1 / 12, abs=0.006)
    assert float(rank_weighted_effect(*rows, weighting="qini")) == pytest.approx(1 / 12, abs=0.01)
    assert float(rank_weighted_effect(*rows)) == pytest.approx(1 / 4, abs=0.03)
    assert float(rank_weighted_effect(torch.rand_like(x), *rows[1:])) == pytest.approx(0, abs=0.03)
    assert float(uplift_at_k(*rows, share=0.2)) == pytest.approx(0.9, abs=0.03)
    unweighted = float(auuc(x, outcome, treatment)) - 1 / 12
    assert (abs(unweighted) > 0.05) == confounded


# Uplift at k, RATE and the policy


def test_uplift_at_k_by_hand() -> None:
    assert float(uplift_at_k(*BY_HAND, share=0.5)) == 1
    assert float(uplift_at_k(*BY_HAND, share=0.75)) == 1
    assert float(uplift_at_k(*BY_HAND, share=1.0)) == 0.5
    assert uplift_at_k(*BY_HAND, share=0.25).isnan()  # no control among the best
    tied = torch.tensor([4.0, 3.0, 3.0, 3.0])  # of the three, 1 counts: 1/3 treated with 1; control 1/3 of (0, 1)
    assert float(uplift_at_k(tied, *BY_HAND[1:], share=0.5)) == pytest.approx(1 - 0.5)


def test_autoc_is_the_integral_of_the_curve() -> None:
    """Each row cut into 4,000 equal pieces, over which the mean so far is summed."""
    rows = scored_rows(n=30)
    score = rows.label * (rows.treatment / rows.propensity - (1 - rows.treatment) / (1 - rows.propensity))
    order = torch.argsort(rows.prediction, descending=True)
    run = torch.unique_consecutive(rows.prediction[order], return_inverse=True)[1]
    mean = torch.zeros(30).double().index_add_(0, run, score[order]) / torch.bincount(run, minlength=30).clamp_min(1)
    pieces = mean[run].repeat_interleave(4000).numpy()
    so_far = np.cumsum(pieces) / np.arange(1, len(pieces) + 1)
    autoc = rank_weighted_effect(rows.prediction, rows.label, rows.treatment, rows.propensity)
    assert float(autoc) == pytest.approx(so_far.mean() - float(score.mean()), abs=1e-3)


def test_the_policy_by_hand() -> None:
    """Above 0.5: rows 1 to 3, of which treated 1 and 3 with 1; below: row 4, control with 0.25."""
    effect, outcome = torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1.0, 0.0, 0.4, 0.25])
    treatment, propensity = torch.tensor([1, 0, 1, 0]), torch.tensor([0.5, 0.5, 0.25, 0.5])
    assert float(uplift_policy_value(effect, outcome, treatment, threshold=0.5)) == pytest.approx(
        0.75 * 0.7 + 0.25 * 0.25
    )
    weighted = 0.75 * (1 * 2 + 0.4 * 4) / 6 + 0.25 * 0.25
    assert float(uplift_policy_value(effect, outcome, treatment, propensity, threshold=0.5)) == pytest.approx(weighted)
    assert float(uplift_policy_value(effect, outcome, treatment, threshold=0.95)) == pytest.approx(
        0.125
    )  # nobody treated
    assert uplift_policy_value(effect, outcome, treatment, threshold=0.85).isfinite()
    nobody = torch.tensor([0, 0, 1, 0])
    assert uplift_policy_value(effect, outcome, nobody, threshold=0.85).isnan()  # of row 1, nobody was
    assert float(policy_risk(effect, outcome, treatment, threshold=0.95)) == pytest.approx(0.875)


@pytest.mark.slow
def test_the_policy_value_is_that_of_treating_so() -> None:
    x, outcome, treatment, propensity = population(1, confounded=True)
    for threshold, expected in ((0.5, 1 + 0.375), (-1.0, 1.5), (2.0, 1.0)):
        policy_value = uplift_policy_value(x, outcome, treatment, propensity, threshold=threshold)
        assert float(policy_value) == pytest.approx(expected, abs=0.02)
    assert abs(float(uplift_policy_value(x, outcome, treatment)) - 1.5) > 0.2


# By user


def uplift_of_users(rows: Scored, k: int, variant: str) -> list[float]:
    """Uplift@N user by user, of rows without equal predictions."""
    uplifts = []
    columns = (rows.prediction, rows.label, rows.cluster, rows.treatment, rows.propensity)
    score, outcome, user, exposed, chance = (column.numpy() for column in columns)  # type: ignore[union-attr]
    for user_id in np.unique(user):
        mine = np.flatnonzero(user == user_id)
        best = mine[np.argsort(-score[mine])][:k]
        z, y, e = exposed[best], outcome[best], chance[best]
        if variant == "ips":
            uplifts.append(float((y * z / e - y * (1 - z) / (1 - e)).sum() / len(best)))
        elif 0 < z.sum() < len(best):
            weights = [np.ones(len(best))] * 2 if variant == "naive" else [1 / e, 1 / (1 - e)]
            treated, control = weights[0] * z, weights[1] * (1 - z)
            uplifts.append(float((treated @ y) / treated.sum() - (control @ y) / control.sum()))
    return uplifts


@pytest.mark.parametrize("variant", ["naive", "ips", "snips"])
@pytest.mark.parametrize("k", [3, 10, 500])
def test_uplift_at_n_against_a_loop(variant: str, k: int) -> None:
    rows = scored_rows(digits=9)
    metric = UpliftAtN(USERS, k=k, variant=variant)  # type: ignore[arg-type]
    metric.update(rows)
    users = uplift_of_users(rows, k, variant)
    assert float(metric.compute()) == pytest.approx(np.mean(users), rel=1e-9)
    if k == 3 and variant != "ips":
        assert len(users) < USERS - 1  # some are left out


def test_uplift_at_n_counts_ties_at_the_cut_in_part() -> None:
    columns = torch.tensor([0.9, 0.5, 0.5]), torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0, 0, 0])
    metric = UpliftAtN(1, k=2)
    metric.update(Scored(*columns, 0.0, None, torch.tensor([1, 0, 0]), torch.tensor([0.5, 0.5, 0.5])))
    assert float(metric.compute()) == 0.5


@pytest.mark.long
@pytest.mark.slow
def test_uplift_at_n_under_confounded_exposure() -> None:
    """`snips` and `ips` find the effect of the k best; `naive` does not."""
    x, outcome, treatment, propensity = population(2, confounded=True)
    user = torch.arange(len(x)) // 40
    rows = Scored(x, outcome, user, 0.0, None, treatment, propensity)
    effect = CausalPrecision(int(user[-1]) + 1, k=20)
    effect.update(dataclasses.replace(rows, label=x))
    errors = {}
    for variant in ("naive", "ips", "snips"):
        metric = UpliftAtN(int(user[-1]) + 1, k=20, variant=variant)  # type: ignore[arg-type]
        metric.update(rows)
        errors[variant] = abs(float(metric.compute() - effect.compute()))
    assert errors["ips"] < 0.05 and errors["snips"] < 0.1 and errors["naive"] > 0.3


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (CausalPrecision(3, k=2), ((0.5 + 0.0) / 2 + (-1 + 0.3) / 2) / 2),
        (CausalPrecision(3, k=10), ((0.5 + 0.0 + 0.2) / 3 + (-1 + 0.3) / 2) / 2),
        (CDCG(3), (0.5 + 0.2 / 2 - 1 + 0.3 / math.log2(3)) / 2),
        (CausalAverageRank(3), ((0.5 + 3 * 0.2) / 3 + (-1 + 2 * 0.3) / 2) / 2),
    ],
)
def test_rankings_by_true_effect_by_hand(metric: AbstractMetric, expected: float) -> None:
    """User 0 by falling prediction: 0.5, 0.0, 0.2; user 1: -1, 0.3; user 2 has no row."""
    prediction, user = torch.tensor([0.1, 0.9, 0.5, 0.8, 0.2]), torch.tensor([0, 0, 0, 1, 1])
    metric.update(Scored(prediction, torch.tensor([0.2, 0.5, 0.0, -1.0, 0.3]), user, 0.0))
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-6)


def test_equal_predictions_share_their_effect() -> None:
    rows = Scored(torch.zeros(4), torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.zeros(4, dtype=torch.int64), 0.0)
    metric = CausalPrecision(1, k=1)
    metric.update(rows)
    assert float(metric.compute()) == 0.25


# Errors against the truth


def test_errors_by_hand() -> None:
    prediction, effect, drawn_effect = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
    rows = Scored(prediction, effect, torch.tensor([0, 1]), 0.0, drawn_effect=drawn_effect)
    for metric, expected in ((SqrtPEHE(2), math.sqrt(2.5)), (SqrtPEHEDrawn(2), math.sqrt(4.5)), (ATEError(2), 1.5)):
        metric.update(rows)
        assert float(metric.compute()) == pytest.approx(expected)


def test_errors_of_opposite_sign_cancel_in_the_average_only() -> None:
    rows = Scored(torch.tensor([1.0, -1.0]), torch.zeros(2), torch.tensor([0, 1]), 0.0)
    pehe, average = SqrtPEHE(2), ATEError(2)
    for metric in (pehe, average):
        metric.update(rows)
    assert (float(pehe.compute()), float(average.compute())) == (1, 0)
    assert average.replicates(torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)).tolist() == [1, -1]


def test_replicates_of_an_absolute_value_keep_the_sign_they_have_to_the_value() -> None:
    """Users err by -3 and 1, by -1 on average: drawn twice, the second one's error is on the other side."""
    rows = Scored(torch.tensor([0.0, 2.0]), torch.tensor([3.0, 1.0]), torch.tensor([0, 1]), 0.0)
    metric = ATEError(2)
    metric.update(rows)
    assert float(metric.compute()) == 1
    replicates = metric.replicates(torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]], dtype=torch.float64))
    assert replicates.tolist() == [3, 1, -1]
    assert percentile_interval(replicates.numpy(), absolute=True) == (0, pytest.approx(2.9))
    assert ATEError(2).on_subsets(Subsets(rows, torch.eye(2, dtype=torch.bool), 2)).tolist() == [3, -1]


@pytest.mark.parametrize("true_error", [0.0, 0.05, 0.5])
def test_the_interval_of_an_absolute_value_holds_it_and_covers_the_truth(true_error: float) -> None:
    """150 users of three rows each, standard error 0.08; the interval of folded replicates never covers 0."""
    rng, weights = np.random.default_rng(1), torch.from_numpy(cluster_weights(150, 200, 0))
    covered = []
    for _ in range(300):
        error = torch.from_numpy(true_error + rng.normal(size=150).repeat(3) + rng.normal(size=450))
        metric = ATEError(150)
        metric.update(Scored(error, torch.zeros_like(error), torch.arange(150).repeat_interleave(3), 0.0))
        low, high = percentile_interval(metric.replicates(weights).numpy(), absolute=True)
        assert 0 <= low <= float(metric.compute()) <= high
        covered.append(low <= true_error <= high)
    assert 0.92 < np.mean(covered) < 0.985


def test_without_drawn_outcomes_the_noisy_error_is_refused() -> None:
    with pytest.raises(DataError, match=r"draws no outcome under each treatment; use sqrt_pehe"):
        SqrtPEHEDrawn(2).update(Scored(torch.zeros(2), torch.zeros(2), torch.tensor([0, 1]), 0.0))


def test_keys_reach_the_functions() -> None:
    rows = scored_rows()
    columns = rows.prediction, rows.label, rows.treatment
    for metric, expected in (
        (Qini(USERS, weights=False), qini(*columns)),
        (Qini(USERS, clip=0.4), qini(*columns, rows.propensity, clip=0.4)),
        (RankWeightedEffect(USERS, clip=0.4), rank_weighted_effect(*columns, rows.propensity, clip=0.4)),
        (UpliftPolicyValue(USERS, threshold=0.7), uplift_policy_value(*columns, rows.propensity, threshold=0.7)),
        (PolicyRisk(USERS, threshold=0.7), policy_risk(*columns, rows.propensity, threshold=0.7)),
    ):
        metric.update(rows)
        assert float(metric.compute()) == pytest.approx(float(expected), rel=1e-12)
