"""The compiled pass and the tensors give the same areas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from causalrec.metrics import uplift_area
from causalrec.metrics.auuc import AUUC
from causalrec.metrics.base import Scored, Subsets
from causalrec.metrics.qini import Qini

ROWS, USERS = 400, 90


def rows(binary: bool) -> Scored:
    rng = np.random.default_rng(1)
    prediction = rng.integers(0, 60, ROWS).astype(np.float32) / 7  # with ties
    outcome = rng.integers(2, size=ROWS) if binary else rng.normal(size=ROWS)
    columns = (prediction, outcome.astype(np.float32), rng.integers(USERS, size=ROWS))
    effect, label, cluster = (torch.from_numpy(column) for column in columns)
    treatment, propensity = rng.integers(2, size=ROWS), rng.uniform(0.2, 0.8, ROWS).astype(np.float32)
    return Scored(effect, label, cluster, 0.0, None, torch.from_numpy(treatment), torch.from_numpy(propensity))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("kind", [Qini, AUUC])
def test_both_ways_agree(
    kind: type[Qini | AUUC], weights: bool, normalise: bool, binary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored, rng = rows(binary), np.random.default_rng(2)
    resamples = torch.from_numpy(rng.multinomial(USERS, np.full(USERS, 1 / USERS), size=30).astype(np.float64))
    resamples[0] = 0  # nobody
    subsets = Subsets(scored, torch.from_numpy(rng.random((12, ROWS)) < 0.7), USERS)
    values = []
    for many in (1 << 60, 0):
        monkeypatch.setattr(uplift_area, "MANY", many)
        metric = kind(USERS, normalise=normalise, weights=weights)
        metric.update(scored)
        values.append(torch.cat([metric.replicates(resamples), metric.on_subsets(subsets), metric.compute()[None]]))
    torch.testing.assert_close(values[0], values[1], rtol=1e-9, atol=1e-12, equal_nan=True)
    assert torch.isfinite(values[0][1:]).all() == (binary or not normalise)
