"""Training on a draw of the users and items: whose rows, whose pairs, and what is said of the rest of the test."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from causalrec.data.audit import audit
from causalrec.data.log import InteractionLog
from causalrec.data.pair_pool import PairPool
from causalrec.data.sampler.all_items import AllItems
from causalrec.data.sampler.all_pairs import AllPairs
from causalrec.data.sampler.base import AbstractSampler
from causalrec.data.sampler.item_pairs import ItemPairs
from causalrec.data.sampler.rows import unexposed_pairs
from causalrec.data.sampler.shared_negatives import SharedNegatives
from causalrec.data.sampler.triples import Triples
from causalrec.data.split.random import Random
from causalrec.data.split.sampled_ids import SampledIds
from causalrec.errors import DataError, RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.popularity import PopularityPropensity
from tests.data.test_split import ITEMS, USERS, codes, dataset, log_of, with_randomised


def sampled_ids(**settings: Any) -> SampledIds:
    return SampledIds(base=Random(unseen="keep"), **settings)


def pool_of(log: InteractionLog) -> PairPool:
    assert log.pool is not None
    return log.pool


def test_rows_of_drawn_users_and_items_alone_are_trained_on_and_the_test_stays() -> None:
    data = with_randomised()
    base, splits = Random(unseen="keep")(data), sampled_ids()(data)
    pool = pool_of(splits.train)
    assert (len(pool.users), len(pool.items)) == (USERS // 2, round(ITEMS / 2))
    for ours, theirs in ((splits.train, base.train), (splits.validation, base.validation)):
        inside = [k for k in range(len(theirs)) if theirs.users[k] in pool.users and theirs.item[k] in pool.items]
        assert 0 < len(inside) < len(theirs)
        assert ours.codes.tolist() == theirs.codes[inside].tolist()
    assert splits.hashes["test"] == base.hashes["test"] and splits.test.pool is None


def test_a_smaller_draw_is_among_a_larger_one_and_another_seed_draws_others() -> None:
    data = with_randomised()
    small, large, other = (
        pool_of(sampled_ids(**settings)(data).train)
        for settings in ({"user_share": 0.3}, {"user_share": 0.8}, {"user_share": 0.3, "subsample_seed": 1})
    )
    assert set(small.users) < set(large.users) and small.items.tolist() == large.items.tolist()
    assert small.users.tolist() != other.users.tolist() and small.items.tolist() != other.items.tolist()


def test_the_audit_says_how_much_of_the_test_is_of_ids_outside() -> None:
    data, split = with_randomised(), sampled_ids()
    splits = split(data)
    outside = int((~pool_of(splits.train).holds(splits.test.users, splits.test.item)).sum())
    report = audit(data, splits, split)
    assert 0 < outside < 100 and report.leaked_rows == 0
    assert any(
        line.endswith(
            f"drawn at random; {outside} of 100 test rows ({outside / 100:.1%}) have a user or an item outside"
        )
        for line in report.warnings
    )
    assert report.resampled_by == ("split.subsample_seed",)


def test_training_stands_for_the_pairs_of_drawn_ids_by_hand() -> None:
    """Of 20 x 25 ids 10 x 12 are drawn: 120 pairs; a logged propensity is the share of *their* rows that train."""
    data = dataset(log_of(codes(300, 0), propensity=np.full(300, 0.5, np.float32)))
    splits = sampled_ids()(data)
    train, pool = splits.train, pool_of(splits.train)
    assert train.num_pairs == 120 and train.num_codes == 500
    assert train.pair_codes(np.array([0, 13])).tolist() == [
        pool.users[0] * ITEMS + pool.items[0],
        pool.users[1] * ITEMS + pool.items[1],
    ]
    rows = int(pool.holds(data.logged.users, data.logged.item).sum())
    assert train.propensity is not None and splits.test.propensity is not None
    np.testing.assert_allclose(train.propensity, 0.5 * len(train) / rows, rtol=1e-6)
    np.testing.assert_allclose(splits.test.propensity, 0.5 * len(splits.test) / 300, rtol=1e-6)


@pytest.mark.parametrize(
    ("sampler", "space"),
    [
        (AllPairs(batch_size=64), "all_pairs"),
        (Triples(batch_size=64), "triples"),
        (SharedNegatives(batch_size=64, num_negatives=200), "candidates"),
        (AllItems(batch_size=64), "candidates"),
    ],
)
def test_no_sampler_draws_an_id_from_outside(sampler: AbstractSampler, space: str) -> None:
    train = sampled_ids()(with_randomised()).train
    pool, items = pool_of(train), set[int]()
    for rows in sampler.epoch(train, space, 0, 0):
        others = rows.item if space == "all_pairs" else rows.negative if space == "triples" else rows.candidates
        assert others is not None
        items |= set(others.tolist())
        assert set(rows.user.tolist()) <= set(pool.users.tolist())
    assert items <= set(pool.items.tolist()) and len(items) > len(pool.items) // 2


@pytest.mark.parametrize("max_pairs", [1_000, 50])
def test_unexposed_pairs_are_those_of_drawn_ids(max_pairs: int) -> None:
    train = sampled_ids()(with_randomised()).train
    pairs, weight = unexposed_pairs(train, max_pairs)
    assert pool_of(train).holds(pairs // ITEMS, pairs % ITEMS).all()
    assert not np.isin(pairs, train.codes).any()
    assert weight.sum() == pytest.approx(train.num_pairs - len(train))


def test_the_weighted_mean_over_drawn_pairs_is_unbiased() -> None:
    """Mean of x over the 120 pairs, from weighted batches: right with the pool, and wrong where all ids are drawn."""
    train = sampled_ids()(with_randomised()).train
    values = np.random.default_rng(0).normal(size=train.num_codes)
    truth = values[train.pair_codes(np.arange(train.num_pairs))].mean()

    def estimate(log: InteractionLog) -> float:
        batches = [b for epoch in range(60) for b in AllPairs(batch_size=64).epoch(log, "all_pairs", 0, epoch)]
        total = sum(float((b.weight * values[b.user * ITEMS + b.item]).sum()) for b in batches)
        return total / sum(len(b.row) for b in batches)

    assert estimate(train) == pytest.approx(truth, abs=0.03)
    assert abs(estimate(dataclasses.replace(train, pool=None)) - truth) > 0.05


def test_what_cannot_be_drawn_is_refused_in_one_line() -> None:
    with pytest.raises(RequestError, match=r"leaves no id out; choose split=random"):
        sampled_ids(user_share=1, item_share=1)
    arms = dataclasses.replace(log_of(np.arange(20)), user=None, num_users=0)
    with pytest.raises(DataError, match=r"this split is by user and the log has none"):
        sampled_ids()(dataset(arms))
    with pytest.raises(DataError, match=r"no training row has a drawn user and item, of 1 users"):
        sampled_ids(user_share=0.01, item_share=0.01)(with_randomised())


def test_other_items_and_popularity_are_of_the_drawn_ids() -> None:
    train = sampled_ids()(with_randomised()).train
    pool = pool_of(train)
    negatives = [batch.negative for epoch in range(9) for batch in ItemPairs().epoch(train, "item_pairs", 0, epoch)]
    assert set(np.concatenate(negatives)) <= set(pool.items)  # type: ignore[arg-type]
    propensity = PopularityPropensity()
    none = [np.zeros((count, 0), np.float32) for count in (train.num_users, train.num_items)]
    propensity.fit(train, FeatureMatrix((), ("item",), *none, ()))
    met = np.isin(pool.items, train.item).mean()
    assert (1 / propensity.predict(train)).sum() / train.num_pairs == pytest.approx(met, rel=1e-5)
