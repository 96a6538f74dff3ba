"""Few-shot draws, cold items and users, and TALLRec's windows: what is trained on, and what a history may read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalrec.data.audit import audit
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractSplit
from causalrec.data.split.cold import cold_ids
from causalrec.data.split.cold_items import ColdItems
from causalrec.data.split.cold_users import ColdUsers
from causalrec.data.split.few_shot import FewShot, subsample
from causalrec.data.split.random import Random
from causalrec.data.split.splits import Splits
from causalrec.data.split.windows import Windows, window_rows
from causalrec.errors import DataError, RequestError
from tests.data.test_split import ITEMS, USERS, codes, dataset, log_of, with_randomised

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))


COLD: dict[str, type[ColdItems] | type[ColdUsers]] = {"item": ColdItems, "user": ColdUsers}


def timed_dataset(rows: int = 300, seed: int = 0) -> CausalDataset:
    times = np.random.default_rng(seed).integers(40, size=rows)
    return dataset(log_of(codes(rows, seed), time=times))


def few_shot(train_size: int | None, base: AbstractSplit | None = None, **settings: Any) -> FewShot:
    return FewShot(base=base or Random(unseen="keep"), train_size=train_size, **settings)


def code_sets(splits: Splits) -> list[set[int]]:
    return [set(log.codes.tolist()) for log in (splits.train, splits.validation, splits.test)]


@pytest.mark.parametrize("shots", [4, 16, 25])
def test_few_shots_leave_the_test_alone_and_keep_as_many_validation_rows(shots: int) -> None:
    data = timed_dataset()
    base_splits, splits = Random(unseen="keep")(data), few_shot(shots)(data)
    assert len(splits.train) == shots and len(splits.validation) == max(16, shots)
    assert splits.hashes["test"] == base_splits.hashes["test"]
    assert splits.drawn_from is not None and splits.drawn_from.codes.tolist() == base_splits.train.codes.tolist()
    shot_codes, base_codes = code_sets(splits), code_sets(base_splits)
    assert shot_codes[0] <= base_codes[0] and shot_codes[1] <= base_codes[1]


def test_the_validation_of_few_shots_takes_all_it_has_where_that_is_fewer() -> None:
    splits = few_shot(100)(timed_dataset())
    assert (len(splits.train), len(splits.validation)) == (100, 30)


def test_fewer_shots_are_a_part_of_more_and_follow_the_draw_alone() -> None:
    data = timed_dataset()
    first, more = (code_sets(few_shot(shots, subsample_seed=3)(data)) for shots in (8, 24))
    assert first[0] < more[0] and first[1] < more[1] and first[2] == more[2]
    other = code_sets(few_shot(8, subsample_seed=4)(data))
    assert other[0] != first[0] and other[1] != first[1] and other[2] == first[2]


def test_each_row_is_as_likely_a_shot() -> None:
    counts = np.zeros(30)
    for seed in range(400):
        counts[subsample(np.arange(30), 6, seed)] += 1
    assert abs(counts - 80).max() < 5 * np.sqrt(400 * 0.2 * 0.8)


def test_the_logged_propensity_of_a_shot_is_scaled_to_how_rarely_it_is_drawn() -> None:
    data = dataset(log_of(codes(300, 0), propensity=np.full(300, 0.5, np.float32)))
    splits = few_shot(24)(data)
    assert splits.train.propensity is not None
    np.testing.assert_allclose(splits.train.propensity, 0.5 * 24 / 300, rtol=1e-6)


def test_more_shots_than_rows_are_refused() -> None:
    with pytest.raises(RequestError, match=r"split\.train_size: asks for 241 training rows of 240; take fewer"):
        FewShot(base=Random(), train_size=241)(timed_dataset())


def test_few_shots_of_a_randomised_test_keep_it_whole() -> None:
    data = with_randomised()
    splits = few_shot(20)(data)
    assert data.randomised is not None and splits.test.codes.tolist() == data.randomised.codes.tolist()
    assert not code_sets(splits)[0] & code_sets(splits)[2]


@pytest.mark.parametrize("side", ["item", "user"])
@pytest.mark.parametrize("randomised", [False, True])
def test_no_cold_id_of_the_test_or_the_validation_has_a_row_elsewhere(side: str, randomised: bool) -> None:
    data = with_randomised() if randomised else timed_dataset()
    splits = COLD[side](test=0.2, validation=0.2, unseen="keep")(data)
    ids = [set(getattr(log, side).tolist()) for log in (splits.train, splits.validation, splits.test)]
    assert not ids[0] & ids[1] and not ids[0] & ids[2] and not ids[1] & ids[2]
    count = {"item": ITEMS, "user": USERS}[side]
    assert [len(side_ids) for side_ids in ids] == pytest.approx([0.6 * count, 0.2 * count, 0.2 * count], abs=1)
    candidates = data.randomised if data.randomised is not None else data.logged
    assert len(splits.test) == np.isin(getattr(candidates, side), list(ids[2])).sum(), (
        "all rows of a cold id are tested"
    )
    report = audit(data, splits, COLD[side](unseen="keep"))
    assert {"item": report.cold_items, "user": report.cold_users}[side] == len(splits.test) == report.unseen_rows


def test_a_randomised_part_of_other_users_stays_whole_and_takes_no_training_row() -> None:
    log = InteractionLog(
        item=np.arange(60) % 6,
        treatment=np.ones(60, np.int64),
        outcome=np.ones(60, np.float32),
        user=np.arange(60) // 6,
        num_items=6,
        num_users=10,
    )
    data = replace(dataset(log.take(log.users < 8)), randomised=log.take(log.users >= 8))
    splits = ColdUsers(validation=0.25, test=0.5, unseen="keep")(data)
    assert len(splits.test) == 12 and (len(splits.train), len(splits.validation)) == (36, 12)
    assert not np.isin(splits.validation.users, splits.train.users).any()
    overlapping = replace(data, logged=log.take((log.users < 8) | (np.arange(60) == 48)))
    mixed = ColdUsers(validation=0.2, test=0.1, seed=1, unseen="keep", duplicates="keep")(overlapping)
    assert (mixed.test.users == 9).sum() == 6, "a user without a logged row stays whole beside one with some"


def test_cold_ids_follow_the_seed_and_are_drawn_among_those_with_rows() -> None:
    log = log_of(np.arange(10) * ITEMS + 3)  # item 3 alone
    held, tested = cold_ids([log], "item", 0.0, 0.5, 0)
    assert tested.tolist() == [k == 3 for k in range(ITEMS)] and not held.any()
    masks = [cold_ids([log], "user", 0.0, 0.5, seed)[1].tolist() for seed in (0, 0, 1)]
    assert masks[0] == masks[1] != masks[2]


def test_cold_users_of_a_log_without_users_are_refused() -> None:
    userless = InteractionLog(np.arange(20), np.ones(20, np.int64), np.ones(20, np.float32), ITEMS, name="toy")
    with pytest.raises(DataError, match=r"toy: this split is by user and the log has none"):
        ColdUsers()(dataset(userless))


def test_windows_are_rows_with_enough_earlier_ones_in_the_order_of_first_appearance() -> None:
    user = np.array([7, 2, 7, 7, 2, 2, 7, 0])
    time = np.array([5, 1, 5, 1, 9, 9, 8, 0])
    log = InteractionLog(np.arange(8), np.ones(8, np.int64), np.ones(8, np.float32), 8, user, 8, time, name="toy")
    # user 7 first (rows 3, 0, 2, 6 in time, the tie 0, 2 in row order), then 2 (rows 1, 4, 5), then 0 (row 7)
    assert window_rows(log, 2, 99).tolist() == [2, 6, 5]
    assert window_rows(log, 0, 99).tolist() == [3, 0, 2, 6, 1, 4, 5, 7]
    assert window_rows(log, 1, 3).tolist() == [6, 4, 5]


def test_windows_are_cut_by_place_and_nothing_else_is_trained_on() -> None:
    data = timed_dataset()
    split = few_shot(None, Windows(window_count=50, min_history=3, unseen="keep"), history_rows="all")
    splits, rows = split(data), window_rows(data.logged, 3, 50)
    cut = [set(data.logged.codes[window].tolist()) for window in np.split(rows, [40, 45])]
    assert code_sets(splits) == cut
    assert splits.context is not None and len(splits.context) == 260
    assert set(splits.context.codes.tolist()) == set(data.logged.codes.tolist()) - cut[0]


def test_the_context_is_what_the_shots_left_out_or_every_other_row() -> None:
    data = timed_dataset()
    rest = few_shot(20, history_rows="rest")(data)
    assert rest.context is not None and rest.drawn_from is not None
    assert set(rest.context.codes.tolist()) == set(rest.drawn_from.codes.tolist()) - code_sets(rest)[0]
    every = few_shot(20, history_rows="all")(data)
    assert every.context is not None and len(every.context) == 280 and code_sets(every)[2] < set(every.context.codes)
    assert few_shot(20)(data).context is None
    assert rest.hashes["context"] != every.hashes["context"]


def test_a_context_without_shots_or_without_times_is_refused() -> None:
    with pytest.raises(RequestError, match=r"split\.history_rows=rest: is what split\.train_size left out"):
        few_shot(None, history_rows="rest")
    with pytest.raises(DataError, match=r"toy: split\.history_rows=all needs the time of each row"):
        few_shot(None, history_rows="all")(dataset(log_of(codes(300, 0))))
    with pytest.raises(DataError, match=r"toy: split=windows needs the time of each row"):
        Windows(unseen="keep")(dataset(log_of(codes(300, 0))))


def test_the_audit_tells_the_classes_the_shots_and_what_histories_read() -> None:
    data = timed_dataset()
    split = few_shot(20, history_rows="all")
    splits = split(data)
    report = audit(data, splits, split)
    assert report.positives["train"] == int(splits.train.outcome.sum()) and set(report.positives) == set(report.rows)
    assert (report.drawn_from, report.context_rows) == (240, 280)
    assert report.users["test"] == len(np.unique(splits.test.user)) < 30
    assert report.items["train"] == len(np.unique(splits.train.item))
    assert report.cold_items == (~np.isin(splits.test.item, splits.train.item)).sum() > 0
    few_users, times, few_rows, read = report.warnings
    assert times.startswith("the log has times, and the split does not go by them: ")
    assert few_users.startswith(f"the test has {report.users['test']} users")
    assert few_rows == "few-shot: 20 training rows drawn from 240, 20 validation rows"
    assert read.startswith("histories read 280 rows that are not trained on, 30 of the test")


def test_the_audit_warns_of_a_training_split_of_one_class() -> None:
    data = dataset(log_of(codes(300, 0), outcome=np.ones(300, np.float32)))
    warnings = audit(data, Random()(data), Random()).warnings
    assert "every outcome of the train split is 1: it tells no class from the other" in warnings


def test_a_test_of_many_users_is_no_warning() -> None:
    exposed = np.ones(900, np.int64)
    log = InteractionLog(
        np.arange(900) % 5, exposed, (np.arange(900) % 2).astype(np.float32), 5, np.arange(900) // 5, 180
    )
    report = audit(dataset(log), Random()(dataset(log)), Random())
    assert report.users["test"] >= 30 and report.warnings == () and report.drawn_from is None


@pytest.mark.network
def test_tallrec_is_rebuilt_from_ml100k() -> None:
    data = ML100K(threshold=4.0).load(DATA)
    splits = few_shot(None, Windows(unseen="keep"), history_rows="all")(data)
    logs = (splits.train, splits.validation, splits.test)
    assert [len(log) for log in logs] == [8000, 1000, 1000]
    assert [round(float(log.outcome.mean()), 3) for log in logs] == [0.557, 0.658, 0.528]
    assert [len(np.unique(log.user)) for log in logs] == [80, 14, 16]
    split = few_shot(64, Windows(unseen="keep"), history_rows="all")
    shots = split(data)
    assert len(shots.train) == 64 and shots.hashes["test"] == splits.hashes["test"]
    assert audit(data, shots, split).warnings[0].startswith("the test has 16 users")
