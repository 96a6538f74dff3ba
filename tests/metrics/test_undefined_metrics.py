"""Metrics of nothing to average over are nan, not an error and not a number."""

from __future__ import annotations

import pytest
import torch

from causalrec.metrics.base import AbstractMetric, Scored
from causalrec.metrics.ndcg import NDCG
from causalrec.metrics.recall import Recall


@pytest.mark.parametrize("metric", [NDCG(2, k=5), Recall(2, k=5)])
def test_without_a_positive_a_ranking_metric_is_nan_under_skip(metric: AbstractMetric) -> None:
    metric.update(Scored(torch.tensor([0.1, 0.9]), torch.zeros(2), torch.tensor([0, 1]), 0.5))
    assert metric.compute().isnan()
    assert metric.replicates(torch.ones(3, 2, dtype=torch.float64)).isnan().all()


def test_a_replicate_that_draws_no_user_with_a_positive_is_nan() -> None:
    metric = NDCG(2, k=5)
    metric.update(Scored(torch.tensor([0.1, 0.9]), torch.tensor([0.0, 1.0]), torch.tensor([0, 1]), 0.5))
    replicates = metric.replicates(torch.tensor([[2.0, 0.0], [1.0, 1.0]], dtype=torch.float64))
    assert replicates[0].isnan() and float(replicates[1]) == 1.0
