"""WMF and UBPR: worked numbers, their special cases, and pairs of items through logs and batches."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.sampler.item_pairs import ItemPairs
from causalrec.errors import DataError
from causalrec.estimators.objective.bpr import BPR
from causalrec.estimators.objective.rel_mf import RelMF
from causalrec.estimators.objective.ubpr import UBPR, unbiased_preference
from causalrec.estimators.objective.wmf import WMF
from causalrec.features.views import FeatureMatrix
from causalrec.training.datamodule import LogTensors
from causalrec.types import ITEM_PAIRS, OUTCOME, Batch, Outputs
from tests.estimators.test_positive_only import batch_of
from tests.statistical.test_positive_only_risk import distance

# --- WMF


def test_wmf_by_hand() -> None:
    batch, raw = batch_of([1, 0], [1, 0], [1, 1]), torch.tensor([0.5, 0.5])
    squared = WMF(confidence=4.0).terms(batch, Outputs({OUTCOME: raw}, "logit"))["outcome"]
    assert squared.value.tolist() == [4 * 0.25, 0.25]
    assert (squared.trains, squared.normaliser) == (OUTCOME, None)
    log = WMF(confidence=4.0, loss="log").terms(batch, Outputs({OUTCOME: torch.zeros(2)}, "logit"))["outcome"]
    assert log.value.tolist() == pytest.approx([4 * math.log(2), math.log(2)])


def test_wmf_scores_what_it_fits() -> None:
    outputs = Outputs({OUTCOME: torch.zeros(1)}, "logit")
    assert WMF().score(outputs).tolist() == [0.0] and WMF(loss="log").score(outputs).tolist() == [0.5]


def test_with_a_weight_of_one_wmf_is_rel_mf_where_all_is_seen() -> None:
    batch, outputs = batch_of([1, 0], [1, 0], [1, 1]), Outputs({OUTCOME: torch.tensor([0.3, -1.0])}, "logit")
    for confidence, alike in ((1.0, True), (2.0, False)):
        value = WMF(confidence=confidence, loss="log").terms(batch, outputs)["outcome"].value
        assert torch.allclose(value, RelMF().terms(batch, outputs)["outcome"].value) == alike


# --- UBPR


def preferences(negative_observed: list[float], negative_propensity: list[float]) -> tuple[Batch, Outputs]:
    """Two positives of propensity .5 and .1, each a score of log 3 ahead of its other item: errors log(4/3)."""
    batch = dataclasses.replace(
        batch_of([1, 1], [1, 1], [0.5, 0.1]),
        negative_observed=torch.tensor(negative_observed),
        negative_propensity=torch.tensor(negative_propensity),
    )
    ahead = Outputs({OUTCOME: torch.full((2,), math.log(3))}, "logit")
    return batch, dataclasses.replace(ahead, negatives=Outputs({OUTCOME: torch.zeros(2)}, "logit"))


def test_ubpr_by_hand() -> None:
    error = math.log(4 / 3)
    batch, outputs = preferences([0.0, 1.0], [float("nan"), 0.25])
    free = UBPR(clip_negative=False).terms(batch, outputs)["outcome"]
    assert free.value.tolist() == pytest.approx([2 * error, 10 * -3 * error])
    assert (free.trains, free.normaliser) == (OUTCOME, None)
    assert UBPR().terms(batch, outputs)["outcome"].value.tolist() == pytest.approx([2 * error, 0])
    raised = UBPR(clip=0.5, clip_negative=False).terms(batch, outputs)["outcome"]
    assert raised.value.tolist() == pytest.approx([2 * error, 2 * -1 * error])
    assert UBPR().score(outputs).tolist() == pytest.approx([math.log(3)] * 2)


def test_where_all_is_seen_ubpr_is_bpr_against_items_that_are_not_chosen() -> None:
    batch, outputs = preferences([0.0, 1.0], [1.0, 1.0])
    batch = dataclasses.replace(batch, propensity=torch.ones(2))
    plain = BPR().terms(batch, outputs)["outcome"].value
    for clip_negative in (True, False):
        value = UBPR(clip_negative=clip_negative).terms(batch, outputs)["outcome"].value
        torch.testing.assert_close(value, plain * torch.tensor([1.0, 0.0]))


def test_ubpr_needs_pairs_of_items() -> None:
    batch, outputs = preferences([0.0, 1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="the objective's space must be 'item_pairs'"):
        UBPR().terms(dataclasses.replace(batch, negative_observed=None), outputs)


# --- pairs of items

USERS, ITEMS = 40, 12
BARE = FeatureMatrix((), (), np.zeros((USERS, 0), "f4"), np.zeros((ITEMS, 0), "f4"), ())


def log_of(positive: Tensor, theta: Tensor) -> InteractionLog:
    """The log of the positives of `[U,I]`."""
    user, item = (ids.numpy() for ids in torch.nonzero(positive, as_tuple=True))
    unit = np.ones(len(item), np.int64)
    propensity = theta.expand_as(positive)[positive > 0].numpy().astype("f4")
    return InteractionLog(item, unit, unit.astype("f4"), ITEMS, user, USERS, propensity=propensity)


def draw_positives(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Relevance and exposure `[U,I]`, the better items exposed more; and whether they met."""
    draw = torch.Generator().manual_seed(seed)
    fixed = torch.Generator().manual_seed(99)
    relevance = 0.1 + 0.8 * torch.rand(USERS, ITEMS, generator=fixed, dtype=torch.float64)
    theta = (0.15 + 0.75 * relevance**2).clamp(0.2, 0.9)
    positive = torch.rand(USERS, ITEMS, generator=draw, dtype=torch.float64) < theta * relevance
    return relevance, theta, positive.double()


def test_each_row_stands_once_against_another_item_whose_row_is_looked_up() -> None:
    log = log_of(*reversed(draw_positives(0)[1:]))
    others, rows = [], []
    for epoch in range(60):
        for batch in ItemPairs(batch_size=32).epoch(log, ITEM_PAIRS, 0, epoch):
            assert batch.negative is not None and batch.negative_row is not None
            np.testing.assert_array_equal(log.finder(batch.user * ITEMS + batch.negative), batch.negative_row)
            others.append((batch.negative - batch.item) % ITEMS)
            rows.append(batch.row)
    counts = np.bincount(np.concatenate(others), minlength=ITEMS)
    assert counts[0] == 0, "never itself"
    expected = 60 * len(log) / (ITEMS - 1)
    assert np.abs(counts[1:] - expected).max() < 5 * np.sqrt(expected)
    assert (np.bincount(np.concatenate(rows)) == 60).all()


def test_batches_tell_whether_the_other_item_is_positive_and_its_propensity() -> None:
    _, theta, positive = draw_positives(1)
    (block,) = Balanced(batch_size=int(positive.sum())).epoch(log_of(positive, theta), ITEM_PAIRS, 3, 0)
    batch = LogTensors(log_of(positive, theta), BARE).batch(block)
    assert batch.negative is not None and batch.negative_observed is not None and batch.negative_propensity is not None
    seen = positive[batch.user, batch.negative]  # type: ignore[index]
    assert 0.1 < float(seen.mean()) < 0.9
    torch.testing.assert_close(batch.negative_observed.double(), seen)
    expected = torch.where(seen > 0, theta[batch.user, batch.negative], 1.0)  # type: ignore[index]
    torch.testing.assert_close(batch.negative_propensity.double(), expected, rtol=1e-6, atol=1e-6)


def test_a_catalogue_of_one_item_is_refused() -> None:
    log = InteractionLog(np.zeros(2, int), np.ones(2, int), np.ones(2, "f4"), 1, np.arange(2), 2)
    with pytest.raises(DataError, match="has one item, which stands against no other"):
        next(ItemPairs().epoch(log, ITEM_PAIRS, 0, 0))


# --- the risk


def sampled_risk(seed: int, theta: Tensor, raw: Tensor, objective: UBPR) -> float:
    """The loss of one epoch on one log, as a mean over all ordered pairs of items of a user."""
    _, _, positive = draw_positives(seed)
    log = log_of(positive, theta)
    (block,) = ItemPairs(batch_size=len(log)).epoch(log, ITEM_PAIRS, seed, 0)
    batch = LogTensors(log, BARE).batch(block)
    assert batch.negative is not None
    outputs = Outputs({OUTCOME: raw[batch.user, batch.item]}, "logit")  # type: ignore[index]
    negatives = Outputs({OUTCOME: raw[batch.user, batch.negative]}, "logit")  # type: ignore[index]
    value = objective.terms(batch, dataclasses.replace(outputs, negatives=negatives))["outcome"].value
    return float((batch.weight * value).mean()) * len(log) / (USERS * ITEMS)


def test_ubpr_estimates_the_preference_risk_under_the_true_exposure_alone() -> None:
    relevance, theta, _ = draw_positives(0)
    raw = torch.randn(USERS, ITEMS, generator=torch.Generator().manual_seed(5), dtype=torch.float64) + relevance
    behind = torch.nn.functional.softplus(raw[:, None, :] - raw[:, :, None])  # of i, j
    preferred = relevance[:, :, None] * (1 - relevance[:, None, :])
    apart = ~torch.eye(ITEMS, dtype=torch.bool)
    truth = float((preferred * behind)[:, apart].mean())
    free, flat = UBPR(clip=0.0, clip_negative=False), torch.full_like(theta, float(theta.mean()))
    cases = ((free, theta, True), (free, flat, False), (UBPR(clip=0.0), theta, False))
    for objective, chance, right in cases:
        estimates = torch.tensor([sampled_risk(seed, chance, raw, objective) for seed in range(250)]).double()
        away = abs(distance(estimates, truth))
        assert away < 3 if right else away > 6


def test_the_weight_by_hand() -> None:
    yes, no = torch.ones(3), torch.zeros(3)
    error = torch.tensor([1.0, 2.0, 3.0])
    half = (torch.full((3,), 0.5), torch.full((3,), 0.25))
    assert unbiased_preference(error, (no, yes), half).tolist() == [0, 0, 0], "only positives stand first"
    assert unbiased_preference(error, (yes, no), half).tolist() == [2, 4, 6]
