"""Qini, AUUC and uplift at k against scikit-uplift."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import auc as trapezium
from torch import Tensor

from causalrec.metrics.auuc import auuc
from causalrec.metrics.base import Scored
from causalrec.metrics.qini import Qini, qini
from causalrec.metrics.uplift_at_k import uplift_at_k
from causalrec.types import Doubles, Ints

sklift = pytest.importorskip("sklift.metrics", reason="scikit-uplift is not installed (extra dev)")
pytestmark = pytest.mark.filterwarnings("ignore:Function stable_cumsum:FutureWarning")
SEEDS = [
    pytest.param(seed, digits, share, id=f"{seed}-{digits}-{share}")
    for seed, digits, share in ((0, 9, 0.5), (1, 9, 0.1), (2, 1, 0.5), (3, 0, 0.8), (4, 1, 0.05), (5, 2, 0.6))
]


def rows(seed: int, digits: int, share: float, n: int = 501) -> tuple[Doubles, Ints, Ints]:
    rng = np.random.default_rng(seed)
    prediction, treatment = rng.normal(size=n).round(digits), (rng.random(n) < share).astype(np.int64)
    outcome = rng.random(n) < 0.2 + 0.1 * seed + 0.2 * treatment * (prediction > 0)
    return prediction, outcome.astype(np.int64), treatment


def tensors(*columns: np.ndarray) -> tuple[Tensor, ...]:  # type: ignore[type-arg]
    return tuple(torch.from_numpy(column) for column in columns)


@pytest.mark.parametrize(("seed", "digits", "share"), SEEDS)
def test_areas(seed: int, digits: int, share: float) -> None:
    prediction, outcome, treatment = rows(seed, digits, share)
    mine, theirs = tensors(prediction, outcome, treatment), (outcome, prediction, treatment)
    assert float(qini(*mine, normalise=True)) == pytest.approx(sklift.qini_auc_score(*theirs), rel=1e-9)
    assert float(auuc(*mine, normalise=True)) == pytest.approx(sklift.uplift_auc_score(*theirs), rel=1e-9)
    for metric, curve in ((qini, sklift.qini_curve), (auuc, sklift.uplift_curve)):
        count, height = curve(*theirs)
        area = (trapezium(count, height) - count[-1] * height[-1] / 2) / len(outcome) ** 2
        assert float(metric(*mine)) == pytest.approx(area, rel=1e-9)


@pytest.mark.parametrize("k", [0.1, 0.3, 0.77])
def test_uplift_at_k_of_distinct_predictions(k: float) -> None:
    prediction, outcome, treatment = rows(0, 9, 0.5)
    uplift = uplift_at_k(*tensors(prediction, outcome, treatment), share=k)
    assert float(uplift) == pytest.approx(sklift.uplift_at_k(outcome, prediction, treatment, "overall", k), rel=1e-9)


def test_replicates_are_those_of_resampled_rows() -> None:
    prediction, outcome, treatment = rows(2, 1, 0.5)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, 501, (20, 501))
    metric = Qini(501, normalise=True)
    score, label, arm = tensors(prediction, outcome, treatment)
    metric.update(Scored(score, label, torch.arange(501), 0.0, None, arm, torch.full((501,), 0.5)))
    weights = np.stack([np.bincount(draw, minlength=501) for draw in draws]).astype(np.float64)
    expected = [sklift.qini_auc_score(outcome[d], prediction[d], treatment[d]) for d in draws]
    np.testing.assert_allclose(metric.replicates(torch.from_numpy(weights)), expected, rtol=1e-9)
