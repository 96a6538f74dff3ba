"""Metrics against scikit-learn and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from causalrec.metrics.auc import AUC, weighted_auc
from causalrec.metrics.base import AbstractMetric, Scored
from causalrec.metrics.bias import Bias
from causalrec.metrics.log_loss import LogLoss
from causalrec.metrics.mse import MSE
from causalrec.metrics.ndcg import NDCG, ndcg_by_user
from causalrec.metrics.recall import Recall, recall_by_user
from causalrec.metrics.skill import Skill


def value_of(
    metric: AbstractMetric,
    prediction: list[float],
    label: list[float],
    user: list[int] | None = None,
    constant: float = 0.5,
) -> float:
    cluster = torch.tensor(user if user is not None else range(len(label)))
    metric.update(Scored(torch.tensor(prediction), torch.tensor(label), cluster, constant))
    return float(metric.compute())


def random_rows(rows: int, seed: int, decimals: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    prediction = rng.random(rows)
    if decimals is not None:
        prediction = prediction.round(decimals)
    label = (rng.random(rows) < 0.2 + 0.6 * prediction).astype(np.float32)
    return prediction.astype(np.float32), label, rng.integers(0, 4, size=rows).astype(np.float64)


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("seed", range(3))
def test_auc_is_scikit_learns_with_ties_and_row_weights(seed: int, decimals: int | None) -> None:
    prediction, label, weight = random_rows(200, seed, decimals)
    tensors = torch.from_numpy(prediction), torch.from_numpy(label)
    metric = AUC(len(label))
    metric.update(Scored(*tensors, torch.arange(len(label)), 0.5))
    assert float(metric.compute()) == pytest.approx(sk.roc_auc_score(label, prediction), abs=1e-9)
    weighted = weighted_auc(*tensors, torch.from_numpy(weight)[None])
    assert float(weighted[0]) == pytest.approx(sk.roc_auc_score(label, prediction, sample_weight=weight), abs=1e-9)


def test_auc_by_hand() -> None:
    assert value_of(AUC(4), [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert value_of(AUC(3), [0.5, 0.5, 0.5], [1, 0, 0]) == 0.5
    assert value_of(AUC(2), [0.9, 0.1], [0, 1]) == 0.0
    assert math.isnan(value_of(AUC(2), [0.9, 0.1], [1, 1]))


@pytest.mark.parametrize("k", [1, 3, 5, 50])
@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("graded", [False, True])
def test_ndcg_is_scikit_learns_user_by_user(k: int, decimals: int | None, graded: bool) -> None:
    rng = np.random.default_rng(k)
    users = rng.integers(0, 9, size=120)
    prediction, label, _ = random_rows(120, k, decimals)
    if graded:
        label = rng.integers(0, 6, size=120).astype(np.float32)
    value, defined, present = ndcg_by_user(
        torch.from_numpy(prediction), torch.from_numpy(label), torch.from_numpy(users), 10, k
    )
    assert present.tolist() == [u in users for u in range(10)]
    for user in range(9):
        mine = users == user
        expected = sk.ndcg_score(label[mine][None], prediction[mine][None], k=k)
        assert bool(defined[user]) == (label[mine] > 0).any()
        assert float(value[user]) == pytest.approx(expected, abs=1e-6)


def test_the_three_ndcg_conventions_differ_by_users_without_positives() -> None:
    # user 0: the one positive comes second: 1/log2(3); user 1: none; user 2 has no row at all
    prediction, label, user = [0.9, 0.1, 0.7, 0.2], [0.0, 1.0, 0.0, 0.0], [0, 0, 1, 1]
    second = 1 / math.log2(3)
    assert value_of(NDCG(3, k=5, empty="skip"), prediction, label, user) == pytest.approx(second)
    assert value_of(NDCG(3, k=5, empty="zero"), prediction, label, user) == pytest.approx(second / 2)
    assert value_of(NDCG(3, k=5, empty="one"), prediction, label, user) == pytest.approx((second + 1) / 2)
    assert value_of(NDCG(3, k=1, empty="skip"), prediction, label, user) == 0.0


def test_ndcg_of_graded_labels_by_hand() -> None:
    # ranks 1, 2, 3 hold labels 3, 5, 1; the best order is 5, 3, 1
    gained = 3 + 5 / math.log2(3) + 1 / 2
    best = 5 + 3 / math.log2(3) + 1 / 2
    assert value_of(NDCG(1, k=5), [0.9, 0.5, 0.1], [3, 5, 1], [0, 0, 0]) == pytest.approx(gained / best)
    cut = 3 / 5
    assert value_of(NDCG(1, k=1), [0.9, 0.5, 0.1], [3, 5, 1], [0, 0, 0]) == pytest.approx(cut)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("prediction", [[0.5] * 5, [0.9, 0.5, 0.5, 0.5, 0.1]])
def test_tied_scores_count_their_expectation_over_all_tie_breaks(k: int, prediction: list[float]) -> None:
    label = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0])
    user = torch.zeros(5, dtype=torch.int64)
    tied = torch.tensor(prediction)
    expected: dict[str, list[float]] = {"ndcg": [], "recall": []}
    for order in itertools.permutations(range(5)):
        broken: Tensor = tied + 1e-3 * torch.tensor(order)
        expected["ndcg"].append(float(ndcg_by_user(broken, label, user, 1, k)[0]))
        expected["recall"].append(float(recall_by_user(broken, label, user, 1, k)[0]))
    assert float(ndcg_by_user(tied, label, user, 1, k)[0]) == pytest.approx(np.mean(expected["ndcg"]), abs=1e-6)
    assert float(recall_by_user(tied, label, user, 1, k)[0]) == pytest.approx(np.mean(expected["recall"]), abs=1e-6)


def test_recall_by_hand() -> None:
    # user 0: two of three positives within the best two; user 1: no positive; user 2: its only row is positive
    prediction = [0.9, 0.8, 0.1, 0.0, 0.5, 0.5]
    label, user = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0], [0, 0, 0, 0, 1, 2]
    assert value_of(Recall(3, k=2, empty="skip"), prediction, label, user) == pytest.approx((2 / 3 + 1) / 2)
    assert value_of(Recall(3, k=2, empty="zero"), prediction, label, user) == pytest.approx((2 / 3 + 1) / 3)
    assert value_of(Recall(3, k=2, empty="one"), prediction, label, user) == pytest.approx((2 / 3 + 2) / 3)


@pytest.mark.parametrize("seed", range(3))
def test_brier_and_log_loss_are_scikit_learns(seed: int) -> None:
    prediction, label, _ = random_rows(300, seed, 2)
    listed = prediction.tolist(), label.tolist()
    assert value_of(MSE(300), *listed) == pytest.approx(sk.brier_score_loss(label, prediction), rel=1e-6)
    safe = np.clip(prediction.astype(np.float64), 1e-7, 1 - 1e-7)
    assert value_of(LogLoss(300), *listed) == pytest.approx(sk.log_loss(label, safe), rel=1e-4)


def test_log_loss_of_certain_and_wrong_is_finite_and_of_rates_is_the_cross_entropy() -> None:
    worst = value_of(LogLoss(2), [0.0, 1.0], [1.0, 0.0])
    assert 14 < worst < 18
    expected = -(0.25 * math.log(0.5) + 0.75 * math.log(0.5))
    assert value_of(LogLoss(1), [0.5], [0.25]) == pytest.approx(expected)


def test_skill_of_the_constant_is_zero_of_the_truth_one_and_of_worse_negative() -> None:
    label = [1.0, 0.0, 0.0, 1.0, 0.0]
    assert value_of(Skill(5), [0.3] * 5, label, constant=0.3) == pytest.approx(0.0, abs=1e-7)
    assert value_of(Skill(5), label, label, constant=0.3) == 1.0
    flipped = [1 - y for y in label]
    assert value_of(Skill(5), flipped, label, constant=0.3) < 0
    half = value_of(Skill(2), [0.75, 0.25], [1.0, 0.0], constant=0.5)
    assert half == pytest.approx(1 - 0.0625 / 0.25)


def test_bias_and_mse_by_hand() -> None:
    assert value_of(Bias(4), [0.5, 0.5, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert value_of(Bias(2), [3.0, 4.0], [5.0, 4.0]) == pytest.approx(-1.0)
    assert value_of(MSE(2), [3.0, 4.5], [5.0, 4.0]) == pytest.approx((4 + 0.25) / 2)
