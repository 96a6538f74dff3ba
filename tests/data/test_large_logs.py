"""What a log of many pairs costs: pairs are searched in their order, and validation rows are drawn once."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import DENSE, PairFinder
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.sampler.base import AbstractLogSampler
from causalrec.data.sampler.triples import Triples
from causalrec.features.views import FeatureMatrix
from causalrec.training.datamodule import LogDataModule


def log_of(rows: int, users: int, items: int) -> InteractionLog:
    rng = np.random.default_rng(0)
    return InteractionLog(
        user=rng.integers(users, size=rows),
        item=rng.integers(items, size=rows),
        treatment=np.ones(rows, np.int64),
        outcome=np.ones(rows, np.float32),
        propensity=np.ones(rows, np.float32),
        num_users=users,
        num_items=items,
    )


def test_pairs_are_found_whatever_the_order_and_shape_of_what_is_asked() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(2 * DENSE, size=500)
    codes[400:] = codes[:100]  # of repeats, the first row
    wanted = rng.permutation(np.concatenate([codes, rng.integers(2 * DENSE, size=100)])).reshape(2, 3, -1)
    first_row = {int(code): row for row, code in reversed([*enumerate(codes)])}
    expected = [first_row.get(int(code), -1) for code in wanted.ravel()]
    assert PairFinder(codes, 2 * DENSE)(wanted).ravel().tolist() == expected


@pytest.mark.parametrize("tries", [1, 3, 20])
def test_negatives_are_those_of_asking_about_every_row_again(tries: int) -> None:
    log = log_of(300, 10, 40)
    rows = np.arange(300).reshape(3, 100)
    drawn = Triples(max_negative_tries=tries).draw(rows, log, log, np.random.default_rng(1))
    rng, seen = np.random.default_rng(1), set(log.codes.tolist())
    negative = rng.integers(40, size=rows.shape)
    for _ in range(tries):
        met = np.vectorize(lambda user, item: user * 40 + item in seen)(log.users[rows], negative)
        if not met.any():
            break
        negative = np.where(met, rng.integers(40, size=rows.shape), negative)
    met = np.vectorize(lambda user, item: user * 40 + item in seen)(log.users[rows], negative)
    assert drawn.negative is not None and drawn.negative.tolist() == negative.tolist()
    assert drawn.weight.tolist() == (~met).astype(np.float32).tolist()
    assert met.any() == (tries < 20)


def test_distinct_pairs_are_counted() -> None:
    log = log_of(300, 10, 40)
    assert log.distinct_pairs == len(set(log.codes.tolist())) < 300
    assert log.take(np.arange(0)).distinct_pairs == 0


def test_validation_rows_are_drawn_once_and_are_the_same_in_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, drawn = AbstractLogSampler.blocks, []

    def note_draw(self: AbstractLogSampler, *arguments: object) -> object:
        drawn.append(arguments[3])  # the epoch
        return blocks(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(AbstractLogSampler, "blocks", note_draw)
    empty = [np.zeros((count, 0), np.float32) for count in (10, 40)]
    logs = log_of(300, 10, 40), log_of(50, 10, 40)
    features = FeatureMatrix((), ("user", "item"), *empty, ())
    data = LogDataModule(*logs, features, Balanced(), "triples", 0, validation_space="triples")
    loader = data.val_dataloader()
    negatives = []
    for epoch in range(3):
        loader.set_epoch(epoch)
        negatives.append([batch.negative.tolist() for batch in loader if batch.negative is not None])
    assert drawn == [0] and negatives[0] == negatives[1] == negatives[2] and len(negatives[0][0]) == 50
