"""Next-item rows: each position once, a user's together and in order, with negatives as of other samplers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.positions import Positions
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import DataError, RequestError

USERS, ITEMS = 9, 30


def log_of(users: int = USERS) -> InteractionLog:
    """User u met 3 + u items, at times that the file mixes."""
    rng = np.random.default_rng(0)
    user = rng.permutation(np.repeat(np.arange(users), 3 + np.arange(users)))
    item = np.concatenate([rng.permutation(ITEMS)[:1] for _ in user])
    return InteractionLog(
        user=user,
        item=item,
        time=rng.permutation(len(user)),
        treatment=np.ones(len(user), np.int64),
        outcome=np.ones(len(user), np.float32),
        num_users=users,
        num_items=ITEMS,
    )


def epoch_of(log: InteractionLog, space: str = "triples", seed: int = 0, epoch: int = 0) -> list[SampledRows]:
    return list(Positions(batch_size=16, num_negatives=7).epoch(log, space, seed, epoch))


@pytest.mark.parametrize("space", ["triples", "candidates"])
def test_each_position_is_a_row_once_and_a_sequence_stands_together_in_order(space: str) -> None:
    log = log_of()
    assert log.time is not None
    batches = epoch_of(log, space)
    assert len(batches) == Positions(batch_size=16).batches(log, space) == -(-len(log) // 16)
    row = np.concatenate([batch.row for batch in batches])
    assert sorted(row.tolist()) == list(range(len(log)))
    user, time = log.users[row], log.time[row]
    assert (np.diff(user) != 0).sum() == USERS - 1, "a user's rows follow one another"
    assert (np.diff(time)[np.diff(user) == 0] > 0).all(), "in the order of time"


def test_seed_and_epoch_alone_decide_the_order_of_users() -> None:
    log = log_of()
    first, again, later, other = (
        np.concatenate([batch.user for batch in epoch_of(log, "triples", *key)]).tolist()
        for key in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert first == again and first != later != other != first


def test_negatives_are_items_that_the_user_has_no_row_with() -> None:
    log = log_of()
    for batch in epoch_of(log):
        assert batch.negative is not None
        assert (log.finder(batch.user * ITEMS + batch.negative) < 0)[batch.weight > 0].all()
        assert batch.weight.any()


def test_candidates_are_drawn_anew_for_a_batch() -> None:
    batches = epoch_of(log_of(), "candidates")
    assert all(batch.candidates is not None and len(batch.candidates) == 7 for batch in batches)
    assert len({tuple(batch.candidates.tolist()) for batch in batches if batch.candidates is not None}) == len(batches)
    assert Positions(num_negatives=7).candidate_count("candidates", 100, ITEMS) == 7


def test_labelled_rows_and_logs_without_order_are_refused_in_one_line() -> None:
    with pytest.raises(RequestError, match=r"sampler=positions: draws no logged rows; it draws candidates, triples"):
        epoch_of(log_of(), "logged")
    with pytest.raises(DataError, match=r"orders each user's rows by time and the log has no times"):
        epoch_of(dataclasses.replace(log_of(), time=None))
