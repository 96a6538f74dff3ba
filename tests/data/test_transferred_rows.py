"""Augmentations that give unrated pairs the outcomes of other rows: by hand, and on a simulated truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from causalrec.data.audit import audit
from causalrec.data.augmentation.base import augment_rows
from causalrec.data.augmentation.counterfactual_history import CounterfactualHistory, behaviour_vectors
from causalrec.data.augmentation.tail_oversampling import TailOversampling
from causalrec.data.augmentation.text_transfer import TextTransfer, nearest_items, tf_idf
from causalrec.data.augmentation.transferred_rows import unit_rows
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.random import Random
from causalrec.errors import DataError, RequestError
from causalrec.types import Doubles, Ints

TEXTS = ("red leather shoe", "red leather boot", "blue pen", "blue ink pen", "")
COLUMNS = (Column("title", "item", "text"), Column("photo", "item", "vector"), Column("price", "item", "numeric"))
CARD = DatasetCard("toy", "", "", (), {}, COLUMNS, "click", "explicit")


def log_of(pairs: list[tuple[int, int]], items: int = 5, users: int = 3) -> InteractionLog:
    user, item = np.array(pairs).T
    row = np.arange(len(item), dtype=np.float32)
    chance = (0.1 + row / (2 * len(row))).astype(np.float32)
    return InteractionLog(
        item, np.ones_like(item), row, items, user, users, propensity=chance, time=10 * np.arange(len(item))
    )


def dataset_of(log: InteractionLog, texts: tuple[str, ...] = TEXTS) -> CausalDataset:
    table = pl.DataFrame({"title": texts, "price": np.arange(len(texts), dtype=float)})
    vectors = np.eye(len(texts), 3, dtype=np.float32)
    vectors[1] = [0.9, 0.1, 0]
    return CausalDataset(CARD, log, pl.DataFrame({"u": range(log.num_users)}), table, item_vectors={"photo": vectors})


def rows_behind(rows: InteractionLog, log: InteractionLog) -> list[tuple[int, int, float]]:
    assert rows.take(np.arange(len(log))).codes.tolist() == log.codes.tolist(), "the log's rows come first, as they are"
    user, item, outcome = rows.users[len(log) :], rows.item[len(log) :], rows.outcome[len(log) :]
    return sorted(zip(user.tolist(), item.tolist(), outcome.tolist(), strict=True))


# --- ratings of text neighbours


def test_an_unrated_pair_gets_the_rating_of_the_nearest_rated_item_with_its_propensity_time_and_weight() -> None:
    log = log_of([(0, 0), (0, 2), (1, 0), (1, 1), (2, 4)])
    rows = TextTransfer(neighbours=1, similarity=0.3, weight=0.25).augment(log, dataset_of(log), 0)
    assert rows_behind(rows, log) == [(0, 1, 0.0), (0, 3, 1.0)], "user 1 has rated both shoes, and item 4 has no words"
    assert rows.row_weights.tolist() == [1] * 5 + [0.25] * 2
    assert rows.propensity is not None and log.propensity is not None and rows.time is not None
    order = np.argsort(rows.item[5:])
    np.testing.assert_allclose(rows.propensity[5:][order], log.propensity[:2])
    assert rows.time[5:][order].tolist() == [0, 10]
    assert TextTransfer(similarity=1.0).augment(log, dataset_of(log), 0) is log, "no neighbour, no row"


def test_of_several_neighbours_the_nearest_ones_rating_stands() -> None:
    texts = ("old shoe", "red leather shoe", "leather shoe", "pen", "ink")
    log = log_of([(0, 0), (0, 1), (1, 3)])
    rows = TextTransfer(neighbours=3, similarity=0.1).augment(log, dataset_of(log, texts), 0)
    near, cosine = nearest_items(tf_idf(list(texts)), 2)
    assert near[2].tolist() == [1, 0] and cosine[2, 0] > cosine[2, 1] > 0.1
    assert rows_behind(rows, log) == [(0, 2, 1.0)]


def test_frozen_vectors_stand_in_place_of_words_and_a_missing_one_has_no_neighbour() -> None:
    log = log_of([(0, 0), (1, 4)])
    rows = TextTransfer(vectors="photo", similarity=0.8).augment(log, dataset_of(log), 0)
    assert rows_behind(rows, log) == [(0, 1, 0.0)]
    assert unit_rows(np.array([[np.nan, 1], [0, 2]], np.float32)).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": ("titel",)}, r"columns: toy has no item column titel of words; did you mean 'title'"),
        ({"columns": ("price",)}, r"columns: toy has no item column price of words"),
        ({"vectors": "foto"}, r"vectors=foto: toy has no such vectors of items; did you mean 'photo'"),
        ({"vectors": "photo", "columns": ("title",)}, r"columns: is not read beside vectors; set one of the two"),
    ],
)
def test_columns_that_are_not_there_are_refused_in_one_line(settings: dict[str, object], message: str) -> None:
    log = log_of([(0, 0), (1, 4)])
    with pytest.raises(RequestError, match=message) as caught:
        TextTransfer(**settings).augment(log, dataset_of(log), 0)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", [TextTransfer(), CounterfactualHistory()], ids=lambda each: type(each).__name__)
def test_a_log_without_users_is_refused(method: TextTransfer | CounterfactualHistory) -> None:
    log = replace(log_of([(0, 0), (0, 1)], users=1), user=None, num_users=1)
    with pytest.raises(DataError, match=r"transfers outcomes among a user's items, and .* has no users; drop it"):
        method.augment(log, dataset_of(log), 0)


def test_a_pair_of_the_test_is_no_leak_where_its_outcome_is_that_of_a_training_row() -> None:
    rng = np.random.default_rng(0)
    codes = rng.choice(30 * 20, 300, replace=False)
    log = log_of([(code // 20, code % 20) for code in codes], items=20, users=30)
    log = replace(log, propensity=None, time=None, outcome=(log.outcome % 2).astype(np.float32))
    data, split = dataset_of(log, tuple(f"kind{k % 4} thing" for k in range(20))), Random()
    splits = split(data)
    rows = augment_rows({"transfer": TextTransfer(similarity=0.9)}, splits.train, data, 0)
    assert np.isin(splits.test.codes, rows.codes).any()
    assert audit(data, splits, split, rows).leaked_rows > 0
    assert audit(data, splits, split, rows, training_outcomes=True).leaked_rows == 0
    assert TextTransfer.training_outcomes and CounterfactualHistory.training_outcomes


# --- counterfactual histories


def two_tastes(seed: int = 0) -> tuple[InteractionLog, Ints]:
    """Each user meets and likes items of one of two kinds, and meets a few of the other, which it dislikes."""
    rng = np.random.default_rng(seed)
    kind_of_item, kind_of_user = np.arange(40) % 2, np.arange(60) % 2
    same = kind_of_user[:, None] == kind_of_item
    user, item = np.nonzero(rng.random(same.shape) < np.where(same, 0.6, 0.02))
    outcome = same[user, item].astype(np.float32)
    return InteractionLog(item, np.ones_like(item), outcome, 40, user, 60, propensity=0.3 + 0 * outcome), kind_of_item


def test_an_event_is_replaced_by_an_unmet_item_of_the_same_taste_with_its_outcome() -> None:
    log, kind = two_tastes()
    rows = CounterfactualHistory(per_user=2, width=2, weight=0.1).augment(log, dataset_of(log, ("x",) * 40), 3)
    extra = np.arange(len(log), len(rows))
    assert 100 <= len(extra) <= 120, "two events of nearly every user"
    assert not np.isin(rows.codes[extra], log.codes).any() and len(np.unique(rows.codes[extra])) == len(extra)
    assert rows.row_weights[extra] == pytest.approx(0.1)
    truth = kind[rows.item[extra]] == rows.users[extra] % 2
    assert (rows.outcome[extra] == truth).mean() > 0.95, "what is added is what the user would have said"
    again = CounterfactualHistory(width=2).augment(log, dataset_of(log, ("x",) * 40), 3)
    assert again.codes.tolist() == rows.codes.tolist() and (
        CounterfactualHistory(width=2).augment(log, dataset_of(log, ("x",) * 40), 4).codes.tolist()
        != rows.codes.tolist()
    )


def test_a_candidate_that_pushes_the_liked_item_down_is_not_taken() -> None:
    log, _ = two_tastes()
    few = CounterfactualHistory(per_user=20, width=2, top_k=1).augment(log, dataset_of(log, ("x",) * 40), 3)
    many = CounterfactualHistory(per_user=20, width=2, top_k=100).augment(log, dataset_of(log, ("x",) * 40), 3)
    assert len(log) < len(few) < len(many)


def test_items_met_by_the_same_users_have_near_vectors() -> None:
    log, kind = two_tastes()
    cosine = behaviour_vectors(log, 2) @ behaviour_vectors(log, 2).T
    same = kind[:, None] == kind
    assert cosine[same].min() > cosine[~same].max()
    assert behaviour_vectors(log.take(np.arange(3)), 500).shape[0] == 40


# --- oversampling: 2,000 draws


def test_over_2000_draws_the_weighted_mean_of_the_loss_is_the_logs_and_the_plain_one_is_not() -> None:
    log, _ = two_tastes()
    rng = np.random.default_rng(5)
    log = log.take(np.flatnonzero(rng.random(len(log)) < 0.1 + 0.9 * (log.item < 8)))
    loss = rng.exponential(size=log.num_items)[log.item] + (log.item >= 8)
    rows = TailOversampling(factor=5).augment(log, dataset_of(log, ("x",) * 40), 0)
    value = loss[np.searchsorted(log.codes, rows.codes)]
    chosen = rng.integers(len(rows), size=(2000, 64))  # batches of the rows an epoch has
    size = len(rows) / rows.row_weights.sum()  # the rows' mean weight is not one
    weighted = (rows.row_weights[chosen] * value[chosen]).mean(1) * size
    plain = value[chosen].mean(1)

    def errors_off(means: Doubles) -> float:
        return float(abs(means.mean() - loss.mean()) / (means.std(ddof=1) / len(means) ** 0.5))

    assert errors_off(weighted) < 4 < errors_off(plain)
