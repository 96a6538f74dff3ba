"""Batches: every logged row once, drawn from (seed, epoch) alone, and weighted so that means are unbiased."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.sampler.rows import SampledRows, pairs_log, uniform_pairs
from causalrec.errors import DataError

USERS, ITEMS = 30, 40


def skewed_log(seed: int = 0) -> InteractionLog:
    """Pairs of large code are logged more often, so that logged rows are no picture of the population."""
    rng = np.random.default_rng(seed)
    chance = np.linspace(0.02, 0.4, USERS * ITEMS)
    shown = rng.permutation(np.flatnonzero(rng.random(USERS * ITEMS) < chance))
    exposed = np.ones(len(shown), np.int64)
    return InteractionLog(shown % ITEMS, exposed, exposed.astype(np.float32), ITEMS, shown // ITEMS, USERS)


def draw_epoch(sampler: Balanced, space: str, seed: int, epoch: int) -> list[SampledRows]:
    return list(sampler.epoch(skewed_log(), space, seed, epoch))  # type: ignore[arg-type]


@pytest.mark.parametrize("space", ["logged", "all_pairs"])
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_every_logged_row_enters_an_epoch_once(space: str, share: float) -> None:
    log, sampler = skewed_log(), Balanced(batch_size=64, observed_share=share)
    batches = draw_epoch(sampler, space, 1, 2)
    sizes = [64] * (len(log) // 64) + ([len(log) % 64] if len(log) % 64 else [])
    leading = [rows.row[:size] for rows, size in zip(batches, sizes, strict=True)]  # logged rows lead a mixed batch
    assert sorted(np.concatenate(leading).tolist()) == list(range(len(log)))
    assert len(batches) == sampler.batches(log, space) == len(sizes), "as many steps in every space"


@pytest.mark.parametrize("space", ["logged", "all_pairs"])
def test_rows_name_the_pair_that_the_log_holds(space: str) -> None:
    log = skewed_log()
    assert log.user is not None
    logged = set(log.codes.tolist())
    for rows in draw_epoch(Balanced(batch_size=64), space, 0, 0):
        is_logged = rows.row >= 0
        np.testing.assert_array_equal(log.user[rows.row[is_logged]], rows.user[is_logged])
        np.testing.assert_array_equal(log.item[rows.row[is_logged]], rows.item[is_logged])
        assert not logged & set((rows.user * ITEMS + rows.item)[~is_logged].tolist())


@pytest.mark.parametrize("space", ["logged", "all_pairs"])
def test_the_same_seed_and_epoch_give_the_same_batches_and_another_epoch_does_not(space: str) -> None:
    sampler = Balanced(batch_size=64)
    first, again = draw_epoch(sampler, space, 5, 3), draw_epoch(sampler, space, 5, 3)
    for batch, same_batch in zip(first, again, strict=True):
        for name in ("row", "user", "item", "weight"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(same_batch, name))
    for other in (draw_epoch(sampler, space, 5, 4), draw_epoch(sampler, space, 6, 3)):
        assert not np.array_equal(first[0].row, other[0].row)


def test_mixed_batches_have_the_share_of_logged_rows_that_was_asked() -> None:
    batches = draw_epoch(Balanced(batch_size=20, observed_share=0.25), "all_pairs", 0, 0)
    assert all(len(rows.row) == 80 for rows in batches[:-1])
    finder_hits = np.mean([(rows.row[20:] >= 0).mean() for rows in batches[:-1]])
    assert finder_hits == pytest.approx(len(skewed_log()) / (USERS * ITEMS), abs=0.06)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_weighted_means_over_mixed_batches_are_unbiased_and_unweighted_ones_are_not(share: float) -> None:
    value = np.random.default_rng(3).normal(size=USERS * ITEMS) + np.linspace(-2, 2, USERS * ITEMS)
    sampler = Balanced(batch_size=64, observed_share=share)
    weighted, plain = [], []
    for epoch in range(400):
        batches = draw_epoch(sampler, "all_pairs", 0, epoch)
        values = [value[rows.user * ITEMS + rows.item] for rows in batches]
        weighted.append(np.mean([(rows.weight * x).mean() for rows, x in zip(batches, values, strict=True)]))
        plain.append(np.mean([x.mean() for x in values]))
    error = np.std(weighted, ddof=1) / np.sqrt(len(weighted))
    assert error < 0.02
    assert abs(np.mean(weighted) - value.mean()) < 4 * error
    assert abs(np.mean(plain) - value.mean()) > 4 * np.std(plain, ddof=1) / np.sqrt(len(plain))


def test_logged_weights_make_the_batch_mean_the_ips_estimate() -> None:
    log = skewed_log()
    propensity = np.linspace(0.02, 0.4, USERS * ITEMS)
    batches = draw_epoch(Balanced(batch_size=len(log)), "logged", 0, 0)
    inverse = 1 / propensity[batches[0].user * ITEMS + batches[0].item]
    assert len(batches) == 1
    assert (batches[0].weight * inverse).mean() == pytest.approx((1 / propensity[log.codes]).sum() / log.num_pairs)


def test_a_userless_log_gives_user_zero() -> None:
    items = np.arange(10)
    log = InteractionLog(items, np.ones(10, np.int64), np.ones(10, np.float32), 10)
    (rows,) = Balanced(batch_size=32).epoch(log, "logged", 0, 0)
    assert rows.user.tolist() == [0] * 10 and sorted(rows.item.tolist()) == items.tolist()


def test_the_finder_gives_the_row_of_a_logged_pair_and_minus_one_else() -> None:
    log = skewed_log()
    row = log.finder(np.arange(log.num_pairs))
    expected = np.full(log.num_pairs, -1)
    expected[log.codes] = np.arange(len(log))
    np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("most", [USERS * ITEMS, 500])
def test_uniform_pairs_are_unexposed_and_stand_for_all_of_them(most: int) -> None:
    log = skewed_log()
    pairs, weight = uniform_pairs(log, most)
    assert not np.isin(pairs, log.codes).any()
    assert len(pairs) * weight == pytest.approx(log.num_pairs - len(log))
    assert (weight == 1.0) == (most == USERS * ITEMS)


def test_pairs_become_unexposed_rows_with_unseen_outcomes() -> None:
    built = pairs_log(np.array([0, 1]), np.array([3, 4]), skewed_log())
    assert built.treatment.tolist() == [0, 0] and np.isnan(built.outcome).all()
    assert built.codes.tolist() == [3, ITEMS + 4]


def test_a_triple_holds_each_logged_row_once_beside_an_item_its_user_has_no_row_with() -> None:
    log = skewed_log()
    batches = draw_epoch(Balanced(batch_size=16), "triples", 0, 0)
    rows = np.concatenate([b.row for b in batches])
    assert sorted(rows) == list(range(len(log)))
    assert log.user is not None
    for batch in batches:
        assert batch.negative is not None
        is_positive = np.isin(batch.user * log.num_items + batch.negative, log.codes)
        np.testing.assert_array_equal(batch.weight, (~is_positive).astype(np.float32))
    assert np.mean(np.concatenate([b.weight for b in batches])) > 0.5


def test_negatives_are_uniform_over_the_items_a_user_has_not_met() -> None:
    few = InteractionLog(np.array([0, 1]), np.ones(2, np.int64), np.ones(2, np.float32), 6, np.zeros(2, np.int64), 1)
    negatives = np.concatenate(
        [
            b.negative
            for epoch in range(600)
            for b in Balanced().epoch(few, "triples", 0, epoch)
            if b.negative is not None
        ]
    )
    counts = np.bincount(negatives, minlength=6)
    assert counts[:2].tolist() == [0, 0]
    assert np.abs(counts[2:] - 300).max() < 5 * np.sqrt(300)


def test_a_user_who_met_every_item_has_no_negative_and_weighs_nothing() -> None:
    user, item, shown = np.array([0, 0, 1]), np.array([0, 1, 0]), np.ones(3, np.int64)
    log = InteractionLog(item, shown, shown.astype(np.float32), 2, user, 2)
    (batch,) = Balanced().epoch(log, "triples", 0, 0)
    assert dict(zip(batch.row.tolist(), batch.weight.tolist(), strict=True)) == {0: 0.0, 1: 0.0, 2: 1.0}


def test_triples_of_users_who_met_everything_are_refused() -> None:
    full = InteractionLog(np.array([0, 1]), np.ones(2, np.int64), np.ones(2, np.float32), 2, np.zeros(2, np.int64), 1)
    with pytest.raises(DataError, match="every user has a row with every item: no negative is left to draw"):
        list(Balanced().epoch(full, "triples", 0, 0))


def test_negatives_avoid_further_known_rows_too() -> None:
    def row_log(item: int) -> InteractionLog:
        return InteractionLog(np.array([item]), np.ones(1, np.int64), np.ones(1, np.float32), 3, np.zeros(1, int), 1)

    (batch,) = Balanced().epoch(row_log(0), "triples", 0, 0, further_log=row_log(1))
    assert batch.negative is not None and batch.negative.tolist() == [2] and batch.weight.tolist() == [1.0]
