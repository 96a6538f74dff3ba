"""F1, capped recall, raw DCG and counted hits: conventions of published tables, by hand and by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from causalrec.metrics.base import AbstractMetric, Scored
from causalrec.metrics.capped_recall import CappedRecall
from causalrec.metrics.dcg import DCG
from causalrec.metrics.f1 import F1
from causalrec.metrics.mae import MAE
from causalrec.metrics.recall_count import RecallCount

# user 0: labels 1, 0, 1, 1 by falling score; user 1: 0, 0 (no positive)
PREDICTION, LABEL, USER = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1.0, 0.0, 1.0, 1.0, 0.0, 0.0], [0, 0, 0, 0, 1, 1]


def value(metric: AbstractMetric) -> float:
    metric.update(Scored(torch.tensor(PREDICTION), torch.tensor(LABEL), torch.tensor(USER), 0.5))
    return float(metric.compute())


def test_f1_is_the_harmonic_mean_of_the_two_means() -> None:
    # k = 2: user 0 has one hit: precision 1/2, recall 1/3; user 1 both 0
    precision, recall = (1 / 2 + 0) / 2, (1 / 3 + 0) / 2
    assert value(F1(2, k=2, empty="zero")) == pytest.approx(2 * precision * recall / (precision + recall))
    assert value(F1(2, k=2, empty="skip")) == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))


def test_f1_is_not_the_mean_of_f1_by_user_and_divides_by_k_even_where_a_user_has_fewer_rows() -> None:
    metric = F1(2, k=3, empty="zero")
    metric.update(Scored(torch.tensor([0.9, 0.5, 0.4]), torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0, 1, 1]), 0.5))
    assert float(metric.compute()) == pytest.approx(2 * (1 / 3) * 1 / (1 / 3 + 1))


def test_f1_without_any_hit_is_zero_and_without_any_positive_undefined_under_skip() -> None:
    metric = F1(1, k=1, empty="zero")
    metric.update(Scored(torch.tensor([0.9, 0.5]), torch.tensor([0.0, 1.0]), torch.tensor([0, 0]), 0.5))
    assert float(metric.compute()) == 0.0
    metric = F1(1, k=1, empty="skip")
    metric.update(Scored(torch.tensor([0.9]), torch.tensor([0.0]), torch.tensor([0]), 0.5))
    assert metric.compute().isnan()


def test_capped_recall_divides_by_the_positives_that_fit() -> None:
    assert value(CappedRecall(2, k=2, empty="skip")) == pytest.approx(1 / 2)  # one hit, three positives, two places
    assert value(CappedRecall(2, k=4, empty="skip")) == pytest.approx(1.0)
    assert value(CappedRecall(2, k=2, empty="one")) == pytest.approx((1 / 2 + 1) / 2)
    assert value(CappedRecall(2, k=2, empty="zero")) == pytest.approx(1 / 4)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_they_agree_with_a_loop_over_users(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, label = rng.random(200).astype(np.float32), (rng.random(200) < 0.2).astype(np.float32)
    user = rng.integers(0, 30, size=200)
    capped, dcgs, hits, precision, recall = [], [], [], [], []
    for user_id in np.unique(user):
        mine = label[user == user_id]
        best = mine[np.argsort(-prediction[user == user_id])][:k]
        ideal = np.sort(mine)[::-1][:k]
        capped.append(best.sum() / ideal.sum() if ideal.sum() else 1.0)
        dcgs.append(sum(gain / math.log2(position + 2) for position, gain in enumerate(best)))
        hits.append(best.sum())
        precision.append(best.sum() / k)
        recall.append(best.sum() / max(1, mine.sum()))
    p, r = np.mean(precision), np.mean(recall)
    expected = {
        CappedRecall(30, k=k, empty="one"): np.mean(capped),
        DCG(30, k=k, empty="zero"): np.mean(dcgs),
        RecallCount(30, k=k, empty="zero"): np.mean(hits),
        F1(30, k=k, empty="zero"): 2 * p * r / (p + r),
    }
    for metric, wanted in expected.items():
        metric.update(Scored(torch.from_numpy(prediction), torch.from_numpy(label), torch.from_numpy(user), 0.5))
        assert float(metric.compute()) == pytest.approx(wanted, rel=1e-6), type(metric).__name__


def test_dcg_and_counted_hits_by_hand() -> None:
    gained = 1 + 1 / math.log2(4) + 1 / math.log2(5)
    assert value(DCG(2, k=2, empty="skip")) == pytest.approx(1.0)
    assert value(DCG(2, k=4, empty="zero")) == pytest.approx(gained / 2)
    assert value(RecallCount(2, k=4, empty="skip")) == 3.0
    assert value(RecallCount(2, k=2, empty="zero")) == 0.5


def test_mae_by_hand() -> None:
    metric = MAE(2)
    metric.update(Scored(torch.tensor([3.0, 4.5, 1.0]), torch.tensor([5.0, 4.0, 1.0]), torch.tensor([0, 0, 1]), 3.0))
    assert float(metric.compute()) == pytest.approx((2 + 0.5 + 0) / 3)
