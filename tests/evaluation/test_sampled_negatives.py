"""Each test positive among sampled negatives: who is drawn, what is averaged, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from causalrec.errors import RequestError
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.slice.base import OUTCOME_KINDS, SliceData, select_all
from causalrec.evaluation.slice.sampled_negatives import SampledNegativesSlice
from causalrec.types import Floats
from tests.evaluation.slice_source import Source
from tests.evaluation.test_slices import METRICS, dataset_of, log_of, random_splits

USERS, ITEMS = 40, 30
SPLITS = random_splits()


def lists_of(negatives: int, seed: int = 0) -> SliceData:
    source = Source(dataset_of(users=USERS, items=ITEMS), SPLITS)
    (data,) = SampledNegativesSlice(negatives=negatives, seed=seed).select(source)
    return data


@pytest.mark.parametrize("negatives", [3, 12])
def test_each_positive_meets_distinct_items_that_its_user_has_no_row_with(negatives: int) -> None:
    data = lists_of(negatives)
    met = {*SPLITS.train.codes.tolist(), *SPLITS.validation.codes.tolist(), *SPLITS.test.codes.tolist()}
    lists = (data.user * ITEMS + data.item).reshape(-1, negatives + 1)
    assert data.name == f"sampled_negatives_{negatives}" and "Krichene" in data.note
    assert sorted(lists[:, 0].tolist()) == sorted(SPLITS.test.codes.tolist())
    assert not met & set(lists[:, 1:].ravel().tolist())
    assert all(len(set(row)) == negatives + 1 and len({code // ITEMS for code in row}) == 1 for row in lists.tolist())
    np.testing.assert_array_equal(data.label.reshape(lists.shape)[:, 0], 1)
    assert data.label.sum() == len(lists)
    np.testing.assert_array_equal(lists_of(negatives).item, data.item)
    assert (lists_of(negatives, seed=1).item != data.item).any()


def test_every_item_without_a_row_is_drawn_as_often() -> None:
    log = log_of((0, 0), users=2, items=11)
    splits = dataclasses.replace(SPLITS, train=log, validation=log, test=log_of((0, 1), users=2, items=11))
    source = Source(dataset_of(users=2, items=11), splits)
    counts = np.zeros(11)
    for seed in range(600):
        (data,) = SampledNegativesSlice(negatives=2, seed=seed).select(source)
        counts[data.item[1:]] += 1
    assert counts[:2].sum() == 0 and np.abs(counts[2:] - 1200 / 9).max() < 4 * np.sqrt(1200 / 9)


def test_means_are_over_positives_and_intervals_over_users() -> None:
    data = lists_of(5)

    def by_item(rows: SliceData) -> Floats:
        return rows.item.astype(np.float32)

    scores = {s.metric: s for s in Evaluator(METRICS, [data], 1.0, replicates=30)(by_item, "model")}
    item = data.item.reshape(-1, 6)
    rank = (item[:, 1:] > item[:, :1]).sum(1)
    assert scores["recall@5"].value == pytest.approx((rank < 5).mean())
    assert scores["ndcg@5"].value == pytest.approx(np.where(rank < 5, 1 / np.log2(rank + 2), 0).mean())
    by_user = scores["recall@5"].by_user
    assert by_user is not None and np.nansum(by_user > -1) == len(np.unique(data.user))
    user = data.user[0]
    assert by_user[user] == pytest.approx((rank < 5)[data.user[::6] == user].mean())
    jackknife = scores["recall@5"].jackknife
    assert jackknife is not None and np.isfinite(jackknife).all()
    group = np.random.default_rng(0).permutation(USERS) % 20
    assert jackknife[1, 3] == pytest.approx((rank < 5)[group[data.user[::6]] != 3].mean())


def test_a_log_with_too_few_items_is_refused_in_one_line() -> None:
    source = Source(dataset_of(users=USERS, items=ITEMS), SPLITS)
    slices = {"sampled_negatives": SampledNegativesSlice()}
    message = r"^slice.sampled_negatives.negatives=99: 52 of 52 test positives .* of 30\); set negatives=\d+ or fewer$"
    with pytest.raises(RequestError, match=message) as refusal:
        select_all(slices, source, OUTCOME_KINDS)
    most = int(str(refusal.value).split("negatives=")[-1].split()[0])
    assert len(lists_of(most)) == 52 * (most + 1)


def test_other_feedback_has_no_such_lists() -> None:
    assert not list(SampledNegativesSlice().select(Source(dataset_of("explicit"), SPLITS)))
