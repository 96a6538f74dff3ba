"""Augmentations change training rows alone, and their weights keep what the loss estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from causalrec.data.audit import audit
from causalrec.data.augmentation.base import AbstractAugmentation, augment_rows
from causalrec.data.augmentation.tail_oversampling import TailOversampling, tail_items
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.split.random import Random
from causalrec.errors import DataError
from causalrec.types import Doubles
from tests.data.test_split import CARD, dataset, log_of

USERS, ITEMS = 30, 20


def skewed_log() -> InteractionLog:
    """Item k is logged by about 29 - k of the users; propensities are known."""
    shown = [(user, item) for item in range(ITEMS) for user in range(USERS) if (user * 7 + item) % USERS < USERS - item]
    user, item = np.array(shown).T
    outcome = (np.random.default_rng(0).random(len(user)) < item / ITEMS).astype(np.float32)
    propensity = ((USERS - item) / USERS).astype(np.float32)
    return InteractionLog(item, np.ones_like(item), outcome, ITEMS, user, USERS, propensity=propensity, name="toy")


def dataset_of(log: InteractionLog) -> CausalDataset:
    return CausalDataset(
        CARD, log, pl.DataFrame({"u": range(log.num_users)}), pl.DataFrame({"i": range(log.num_items)})
    )


def test_rows_of_the_tail_stand_as_often_as_asked_and_weigh_one_together() -> None:
    item = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])  # 10 rows: item 2 begins at row 9, item 1 at row 6
    exposed = np.ones(10, np.int64)
    chance = np.linspace(0.1, 1.0, 10).astype(np.float32)
    log = InteractionLog(item, exposed, np.arange(10).astype(np.float32), 4, np.arange(10), 10, propensity=chance)
    assert tail_items(log, 0.2).tolist() == [False, False, True, True]
    assert tail_items(log, 0.4).tolist() == [False, True, True, True]
    rows = TailOversampling(tail_share=0.2, factor=3).augment(log, dataset_of(log), 0)
    assert rows.outcome.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9]
    assert rows.row_weights.tolist() == pytest.approx([1] * 9 + [1 / 3] * 3)
    assert rows.propensity is not None and rows.propensity.tolist() == [*chance[:9].tolist(), *[chance[9]] * 3]
    again = TailOversampling(tail_share=0.2, factor=2).augment(rows, dataset_of(log), 0)
    assert again.row_weights.sum() == pytest.approx(10), "weights of an augmentation before it stay in"


def means(log: InteractionLog, space: str, value: Callable[[Any], Doubles]) -> tuple[Doubles, Doubles]:
    """Return by epoch the weighted mean of a value, and the mean without the log's own weights."""
    weighted, plain = [], []
    for epoch in range(300):
        rows = list(Balanced(batch_size=64).epoch(log, space, 1, epoch))
        size = sum(len(batch.row) for batch in rows)
        weighted.append(sum(float((batch.weight * value(batch)).sum()) for batch in rows) / size)
        plain.append(sum(float(value(batch).sum()) for batch in rows) / size)
    return np.array(weighted), np.array(plain)


def test_the_weighted_mean_over_logged_rows_is_the_logs_and_the_plain_one_is_not() -> None:
    log = skewed_log()
    rows = TailOversampling(factor=5).augment(log, dataset_of(log), 0)
    assert log.propensity is not None and rows.propensity is not None and len(rows) > len(log)
    loss = log.item.astype(float) / log.propensity
    weighted, plain = means(rows, "logged", lambda batch: batch.item / rows.propensity[batch.row])  # type: ignore[index]
    np.testing.assert_allclose(weighted, loss.sum() / log.num_pairs, rtol=1e-5)
    assert (np.abs(plain - loss.mean()) > 0.1 * loss.mean()).all()


def test_the_weighted_mean_over_all_pairs_stays_that_of_all_pairs() -> None:
    log = skewed_log()
    rows = TailOversampling(factor=5).augment(log, dataset_of(log), 0)
    value = np.random.default_rng(2).normal(size=log.num_pairs) + np.linspace(0, 3, log.num_pairs)
    weighted, plain = means(rows, "all_pairs", lambda batch: value[batch.user * ITEMS + batch.item])
    error = weighted.std(ddof=1) / np.sqrt(len(weighted))
    assert error < 0.02 and abs(weighted.mean() - value.mean()) < 4 * error
    unweighted, _ = means(replace(rows, weight=None), "all_pairs", lambda batch: value[batch.user * ITEMS + batch.item])
    error = unweighted.std(ddof=1) / np.sqrt(len(unweighted))
    assert abs(unweighted.mean() - value.mean()) < 4 * error, "a pair of several rows counts once"
    assert abs(plain.mean() - value.mean()) > 4 * plain.std(ddof=1) / np.sqrt(len(plain))


def test_rows_of_one_pair_that_differ_count_by_their_weights_among_all_pairs() -> None:
    log = InteractionLog(
        item=np.array([0, 0, 1]),
        treatment=np.ones(3, np.int64),
        outcome=np.array([10, 20, 0], np.float32),
        user=np.zeros(3, np.int64),
        num_items=4,
        num_users=1,
        weight=np.array([0.25, 0.75, 1], np.float32),
    )
    weighted, _ = means(log, "all_pairs", lambda batch: np.where(batch.row >= 0, log.outcome[batch.row], 0.0))
    error = weighted.std(ddof=1) / np.sqrt(len(weighted))
    assert abs(weighted.mean() - (0.25 * 10 + 0.75 * 20) / 4) < 4 * error < 1


def test_the_weighted_mean_over_triples_is_the_logs() -> None:
    log = skewed_log()
    rows = TailOversampling(factor=5).augment(log, dataset_of(log), 0)
    met = np.bincount(log.user, minlength=USERS) < ITEMS  # type: ignore[arg-type]
    weighted, plain = means(rows, "triples", lambda batch: batch.item.astype(float))
    assert log.user is not None and met.all()
    assert weighted.mean() == pytest.approx(log.item.mean(), rel=0.02)
    assert plain.mean() > 1.1 * log.item.mean()


@dataclass(frozen=True, kw_only=True)
class Changed(AbstractAugmentation):
    """Returns what a function makes of the rows."""

    own_propensity: ClassVar[bool] = True

    change: Callable[[InteractionLog, CausalDataset], InteractionLog]

    def augment(self, train: InteractionLog, dataset: CausalDataset, seed: int) -> InteractionLog:
        return self.change(train, dataset)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda log, _: log.take(np.zeros(0, np.int64)), "augmentation=mine: leaves no training row"),
        (
            lambda log, _: replace(log, num_users=99),
            "augmentation=mine: has 99 users and 20 items, the log 30 and 20; ",
        ),
        (lambda log, _: replace(log, propensity=None), "augmentation=mine: lacks propensity, unlike the log; "),
        (lambda log, _: replace(log, time=log.item), "augmentation=mine: has time, unlike the log; "),
        (
            lambda log, _: replace(log, weight=np.zeros(len(log), np.float32)),
            r"toy: row 0: weight is not a number above 0 \(\d+ such rows\); leave out",
        ),
    ],
)
def test_rows_that_do_not_fit_the_log_are_refused_in_one_line(change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        augment_rows({"mine": Changed(change=change)}, skewed_log(), dataset_of(skewed_log()), 0)
    assert "\n" not in str(caught.value)


def test_an_augmentation_cannot_read_the_test() -> None:
    data = dataset(log_of(np.arange(300)), log_of(np.arange(300, 400)), randomised="uniform")
    train = data.logged.take(np.arange(200))
    seen: list[CausalDataset] = []

    def look(log: InteractionLog, readable: CausalDataset) -> InteractionLog:
        seen.append(readable)
        return log

    assert augment_rows({"look": Changed(change=look)}, train, data, 0) is train
    assert seen[0].logged is train and seen[0].randomised is None and seen[0].oracle is None


def test_the_audit_counts_augmented_rows() -> None:
    data, split = dataset(log_of(np.arange(300)), unseen="keep"), Random()
    splits = split(data)
    rows = TailOversampling().augment(splits.train, data, 0)
    report = audit(data, splits, split, rows)
    assert report.augmented_rows == len(rows) > len(splits.train) == report.rows["train"]
    assert f"augmented: networks train on {len(rows)} rows made of the {len(splits.train)}" in report.warnings[-1]
    assert audit(data, splits, split).augmented_rows is None
