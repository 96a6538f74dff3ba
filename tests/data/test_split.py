"""Splits are disjoint, deterministic and honest about repeats, unseen ids and propensities; the audit counts them."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec.data.audit import audit
from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.auto import Auto
from causalrec.data.split.cold_users import ColdUsers
from causalrec.data.split.few_shot import FewShot
from causalrec.data.split.leave_last import LeaveLast
from causalrec.data.split.random import Random
from causalrec.data.split.row_order import can_go_by_time
from causalrec.data.split.temporal import Temporal, unseen_user_rows
from causalrec.errors import DataError, RequestError
from causalrec.training.folds import fold_logs

USERS, ITEMS = 20, 25
CARD = DatasetCard(
    name="toy",
    domain="test",
    licence="none",
    urls=(),
    sha256={},
    columns=(),
    outcome="click",
    feedback="explicit",
    threshold=4.0,
    scale=(1.0, 5.0),
)


def log_of(codes: np.ndarray, *, name: str = "toy", seed: int = 0, **columns: Any) -> InteractionLog:
    outcome = (np.random.default_rng(seed).random(len(codes)) < 0.5).astype(np.float32)
    base = {"treatment": np.ones(len(codes), np.int64), "outcome": outcome, "num_users": USERS, "num_items": ITEMS}
    return InteractionLog(user=codes // ITEMS, item=codes % ITEMS, name=name, **{**base, **columns})


def dataset(logged: InteractionLog, test: InteractionLog | None = None, **card: Any) -> CausalDataset:
    users, items = pl.DataFrame({"u": range(logged.num_users)}), pl.DataFrame({"i": range(logged.num_items)})
    return CausalDataset(dataclasses.replace(CARD, **card), logged, users, items, test)


def codes(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(USERS * ITEMS, count, replace=False)


def with_randomised(**card: Any) -> CausalDataset:
    return dataset(log_of(codes(300, 1)), log_of(codes(100, 2), seed=5), randomised="uniform", **card)


def test_the_three_parts_are_disjoint_and_make_up_the_log() -> None:
    data = dataset(log_of(codes(300, 0)))
    splits = Random(validation=0.1, test=0.1)(data)
    pair_sets = [set(log.codes.tolist()) for log in (splits.train, splits.validation, splits.test)]
    assert [len(log) for log in pair_sets] == [240, 30, 30]
    assert set.union(*pair_sets) == set(data.logged.codes.tolist())
    assert not splits.test_is_randomised


def test_the_test_is_the_randomised_part_where_there_is_one() -> None:
    data = with_randomised()
    splits = Random()(data)
    assert data.randomised is not None and splits.test_is_randomised
    np.testing.assert_array_equal(splits.test.codes, data.randomised.codes)


@pytest.mark.parametrize(("rule", "trains", "tests"), [("drop_train", False, True), ("drop_test", True, False)])
def test_repeated_pairs_leave_the_side_that_the_rule_names(rule: Any, trains: bool, tests: bool) -> None:
    data = with_randomised()
    assert data.randomised is not None
    shared = np.intersect1d(data.logged.codes, data.randomised.codes)
    splits = Random(duplicates=rule)(data)
    fit_codes = np.concatenate([splits.train.codes, splits.validation.codes])
    assert len(shared) > 20 and splits.duplicates == len(shared)
    assert np.isin(shared, fit_codes).all() == trains and np.isin(shared, fit_codes).any() == trains
    assert np.isin(shared, splits.test.codes).all() == tests and np.isin(shared, splits.test.codes).any() == tests
    assert audit(data, splits, Random(duplicates=rule)).leaked_rows == 0


def test_kept_repeats_are_audited_as_leaks() -> None:
    data, split = with_randomised(), Random(duplicates="keep")
    splits = split(data)
    report = audit(data, splits, split)
    assert report.leaked_rows == report.duplicates == splits.duplicates > 20
    assert len(splits.train) + len(splits.validation) == 300


def test_fresh_test_labels_make_a_repeated_pair_no_leak() -> None:
    data = with_randomised(fresh_test_labels=True)
    report = audit(data, Random()(data), Random())
    assert report.leaked_rows == 0 and report.duplicates > 20 and report.duplicate_rule.startswith("kept")


def test_an_unseen_test_item_is_an_error_until_a_rule_is_set() -> None:
    seen = codes(300, 1)
    data = dataset(log_of(seen[seen % ITEMS != 7]), log_of(codes(100, 2)), randomised="uniform")
    assert data.randomised is not None
    new = int((data.randomised.item == 7).sum())
    with pytest.raises(
        DataError, match=rf"toy: {new} test rows.*item 7\); set split\.unseen=drop or split\.unseen=keep"
    ):
        Random(unseen="error")(data)
    dropped, unchanged = Random(unseen="drop")(data), Random(unseen="keep")(data)
    assert (len(dropped.test), len(unchanged.test), dropped.unseen, unchanged.unseen) == (100 - new, 100, new, new)
    assert 7 not in dropped.test.item and 7 in unchanged.test.item


def test_the_card_says_what_to_do_with_unseen_rows_until_the_split_does() -> None:
    seen = codes(300, 1)
    data = dataset(log_of(seen[seen % ITEMS != 7]), log_of(codes(100, 2)), randomised="uniform", unseen="drop")
    splits = Random()(data)
    assert 7 not in splits.test.item and audit(data, splits, Random()).unseen_rule == "drop"
    assert 7 in Random(unseen="keep")(data).test.item
    with pytest.raises(DataError, match="without a training row"):
        Random(unseen="error")(data)


def test_a_split_without_rows_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match="toy: the validation split is empty"):
        Random(validation=0.0)(with_randomised())
    with pytest.raises(DataError, match="toy: the test split is empty"):
        Random(test=0.0)(dataset(log_of(codes(300, 0))))


def test_splits_follow_the_seed_alone() -> None:
    first, again, other = (Random(seed=seed)(with_randomised()).hashes for seed in (3, 3, 4))
    assert first == again
    assert first["train"] != other["train"] and first["test"] == other["test"]
    assert set(first) == {"train", "validation", "test"}


def test_a_changed_outcome_changes_the_hash() -> None:
    data = with_randomised()
    assert data.randomised is not None
    flipped = dataclasses.replace(data.randomised, outcome=1 - data.randomised.outcome)
    changed = dataclasses.replace(data, randomised=flipped)
    assert Random()(data).hashes["test"] != Random()(changed).hashes["test"]


@pytest.mark.parametrize("randomised", [False, True])
def test_a_logged_propensity_is_scaled_so_that_its_inverses_still_sum_to_the_pairs(randomised: bool) -> None:
    rng = np.random.default_rng(0)
    users, items = 200, 200
    chance = np.where(np.arange(users * items) % 2, 0.4, 0.1).astype(np.float32)
    shown = np.flatnonzero(rng.random(users * items) < chance)
    exposed_codes = np.sort(rng.choice(users * items, 10_000, replace=False))

    def log(rows: np.ndarray, propensity: np.ndarray | None) -> InteractionLog:
        exposed = np.ones(len(rows), np.int64)
        outcome = exposed.astype(np.float32)
        return InteractionLog(rows % items, exposed, outcome, items, rows // items, users, propensity=propensity)

    data = dataset(log(shown, chance[shown]), log(exposed_codes, None) if randomised else None)
    splits = Random(validation=0.25, test=0.25)(data)
    for split_log in (splits.train, splits.validation):
        assert split_log.propensity is not None
        weight = 1 / split_log.propensity.astype(np.float64)
        error = np.sqrt((weight**2).sum())
        assert abs(weight.sum() - users * items) < 3 * error < 0.1 * users * items


def test_a_part_holds_the_share_of_the_propensity_that_it_holds_of_the_log() -> None:
    data = dataset(log_of(codes(300, 0), propensity=np.full(300, 0.5, np.float32)))
    splits = Random(validation=0.1, test=0.1)(data)
    for log, share in ((splits.train, 0.8), (splits.validation, 0.1), (splits.test, 0.1)):
        assert log.propensity is not None
        np.testing.assert_allclose(log.propensity, 0.5 * share, rtol=1e-6)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_the_propensity_sample_leaves_the_test_and_the_training_rows_alone(share: float) -> None:
    data = with_randomised()
    assert data.randomised is not None
    splits, unsampled = Random(propensity_sample=share)(data), Random()(data)
    assert (
        splits.randomised_sample is not None
        and splits.randomised_sample.name == "randomised_sample"
        and unsampled.randomised_sample is None
    )
    assert len(splits.randomised_sample) == 100 * share and len(splits.test) == 100 - len(splits.randomised_sample)
    assert not np.isin(splits.randomised_sample.codes, splits.test.codes).any()
    assert set(splits.randomised_sample.codes) | set(splits.test.codes) == set(data.randomised.codes)
    fit_codes = np.concatenate([splits.train.codes, splits.validation.codes])
    assert not np.isin(fit_codes, splits.test.codes).any() and np.isin(fit_codes, data.logged.codes).all()
    at = {int(code): float(y) for code, y in zip(data.randomised.codes, data.randomised.outcome, strict=True)}
    assert [at[int(code)] for code in splits.randomised_sample.codes] == splits.randomised_sample.outcome.tolist()


def test_the_propensity_sample_is_hashed_and_follows_the_seed() -> None:
    first, again, other = (Random(seed=seed, propensity_sample=0.2)(with_randomised()).hashes for seed in (3, 3, 4))
    assert first == again and set(first) == {"train", "validation", "test", "randomised_sample"}
    assert first["randomised_sample"] != other["randomised_sample"] and first["test"] != other["test"]


def test_the_propensity_sample_is_drawn_at_random_by_row() -> None:
    counts = np.zeros(100)
    for seed in range(300):
        sample = Random(seed=seed, propensity_sample=0.2, unseen="keep")(with_randomised()).randomised_sample
        assert sample is not None
        counts[np.isin(np.sort(codes(100, 2)), sample.codes)] += 1
    assert abs(counts - 60).max() < 5 * np.sqrt(300 * 0.2 * 0.8)


def test_a_propensity_sample_without_randomised_rows_is_refused() -> None:
    with pytest.raises(RequestError, match=r"split\.propensity_sample=0\.05: toy has no randomised rows"):
        Random(propensity_sample=0.05)(dataset(log_of(codes(300, 0))))


def split_temporal(user: list[int], time: list[int] | None, **settings: Any) -> list[list[int]]:
    """Split rows by time; return the rows of training, validation and test."""
    exposed = np.ones(len(user), np.int64)
    times = None if time is None else np.array(time)
    log = InteractionLog(
        np.arange(len(user)), exposed, exposed.astype(np.float32), 25, np.array(user), 20, times, name="toy"
    )
    splits = Temporal(unseen="keep", **settings)(dataset(log))
    return [sorted(log.item.tolist()) for log in (splits.train, splits.validation, splits.test)]


def test_the_latest_rows_of_each_user_are_the_test_and_those_before_the_validation() -> None:
    user = [0, 1, 0, 1, 0, 1, 0, 0, 2, 2]
    time = [50, 3, 10, 2, 40, 1, 30, 20, 9, 8]
    train, validation, test = split_temporal(user, time)
    assert (train, validation, test) == ([2, 5, 6, 7, 8, 9], [3, 4], [0, 1])


def test_a_share_of_each_users_rows_is_held_and_ties_are_drawn() -> None:
    tied = [split_temporal([4] * 10, [7] * 10, validation=0.2, test=0.3, seed=seed) for seed in (0, 0, 1)]
    assert tied[0] == tied[1] != tied[2] and [len(rows) for rows in tied[2]] == [5, 2, 3]
    assert tied[0][2] != [7, 8, 9], "no sorting of the file says which rows are the test"
    train, validation, test = split_temporal([4] * 3, [1, 2, 3], validation=0.45, test=0.5)
    assert (train, validation, test) == ([0], [1], [2])


def test_no_test_row_of_a_user_is_older_than_what_is_trained_on() -> None:
    rng = np.random.default_rng(0)
    data = dataset(log_of(codes(300, 0), time=rng.integers(50, size=300)))
    splits = Temporal(validation=0.2, test=0.2)(data)
    for user in range(USERS):
        times = [log.time[log.user == user] for log in (splits.train, splits.validation, splits.test)]  # type: ignore[index]
        for early, late in itertools.pairwise(times):
            assert not len(early) or not len(late) or early.max() <= late.min()
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 300
    assert len(splits.test) == pytest.approx(60, abs=8)


def test_with_a_randomised_test_the_latest_logged_rows_are_the_validation() -> None:
    data = dataset(log_of(np.arange(10), time=np.arange(10)), log_of(np.arange(30, 40)), randomised="uniform")
    splits = Temporal(validation=0.2, unseen="keep")(data)
    assert splits.validation.codes.tolist() == [8, 9] and len(splits.train) == 8 and len(splits.test) == 10


def test_a_userless_log_is_split_at_one_time_for_all() -> None:
    log = log_of(np.arange(20), time=np.arange(20)[::-1].copy())
    userless = dataclasses.replace(log, user=None, num_users=0)
    data = CausalDataset(CARD, userless, pl.DataFrame(), pl.DataFrame({"i": range(ITEMS)}))
    splits = Temporal(unseen="keep")(data)
    assert (splits.test.codes.tolist(), splits.validation.codes.tolist()) == ([0, 1], [2, 3])


def test_a_log_without_times_is_refused() -> None:
    with pytest.raises(DataError, match=r"toy: split=temporal needs the time of each row and it has none"):
        split_temporal([0, 0, 0], None)


def test_a_global_cut_is_one_time_for_all_users_and_its_ties_stand_after_it() -> None:
    times = [9, 1, 5, 5, 2, 8, 3, 4, 6, 7]
    train, validation, test = split_temporal([0, 1] * 5, times, cut="global", validation=0.2, test=0.2)
    assert (train, validation, test) == ([1, 2, 3, 4, 6, 7], [8, 9], [0, 5])
    train, validation, test = split_temporal([0, 1] * 5, [*times[:8], 8, 8], cut="global", validation=0.2, test=0.2)
    assert (train, validation, test) == ([1, 4, 6, 7], [2, 3], [0, 5, 8, 9])
    log = log_of(np.arange(8, 16), time=np.array([1, 2, 3, 4, 5, 6, 7, 8]))
    time = Temporal(cut="global", unseen="keep")(dataset(log, log_of(np.arange(30, 40)))).validation.time
    assert time is not None and time.tolist() == [8]


def test_a_global_cut_is_refused_where_times_of_users_do_not_compare() -> None:
    placed = dataclasses.replace(CARD, times_compare=False)
    for split in (Temporal(cut="global"), FewShot(base=Temporal(cut="global"))):
        split.check(CARD)
        with pytest.raises(RequestError, match=r"split\.cut=global: the times of toy are places .*set split\.cut=user"):
            split.check(placed)
    Temporal(cut="user").check(placed)


def test_how_many_test_rows_have_an_unseen_user_under_either_cut_by_hand() -> None:
    user, time = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2]), np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    log = log_of(user * ITEMS + np.arange(10), time=time)
    assert unseen_user_rows(log, 0.1, 0.2) == {"user": (0, 2), "global": (2, 2)}
    assert unseen_user_rows(log, 0.2, 0.4)["global"] == (4, 4)


def test_auto_goes_by_time_unless_the_test_is_randomised_or_most_users_are_too_short() -> None:
    timed = log_of(np.arange(100), time=np.arange(100))
    short = log_of(np.arange(USERS) * ITEMS, time=np.arange(USERS))
    test = log_of(np.arange(30, 40), time=np.arange(10))
    keys = {"seed": 3, "validation": 0.2, "test": 0.25, "unseen": "keep", "propensity_sample": 0.0}
    split = Auto(**keys)  # type: ignore[arg-type]
    chosen = [
        split.choose(*rows) for rows in [(timed, None), (timed, test), (short, None), (log_of(codes(300, 0)), None)]
    ]
    assert [type(split) for split in chosen] == [Temporal, Random, Random, Random]
    assert all({key: getattr(split, key) for key in keys} == keys for split in chosen)
    assert split(dataset(timed)).hashes == Temporal(**keys)(dataset(timed)).hashes  # type: ignore[arg-type]
    few = FewShot(base=split, train_size=4).choose(timed, None)
    assert isinstance(few, FewShot) and isinstance(few.base, Temporal) and few.goes_by_time


def test_the_audit_says_which_split_was_picked() -> None:
    data, split = dataset(log_of(np.arange(100), time=np.arange(100))), Auto(unseen="keep")
    report = audit(data, split(data), split)
    assert (
        report.split == "each user's latest rows (picked by split=auto: the log has times)"
        and report.warnings[1:] == ()
    )
    assert audit(data, split(data), split.choose(data.logged, None)).split == "each user's latest rows"


def test_auto_takes_rows_at_random_where_times_hardly_differ_and_says_why() -> None:
    tied = dataset(log_of(np.arange(100), time=np.full(100, 5)))
    report = audit(tied, Auto(unseen="keep")(tied), Auto(unseen="keep"))
    assert report.split == "rows at random (picked by split=auto: most rows are of users with fewer than 3 times)"
    days = dataset(log_of(np.arange(100), time=np.arange(100) // 9))
    assert "the log has times" in audit(days, Auto(unseen="keep")(days), Auto(unseen="keep")).split
    assert can_go_by_time(days.logged) and not can_go_by_time(tied.logged)
    short = dataset(log_of(np.repeat(np.arange(USERS), 2) * ITEMS + np.tile([0, 1], USERS), time=np.arange(2 * USERS)))
    split = Auto(unseen="keep")
    lines = audit(short, split(short), split).warnings
    assert not [line for line in lines if "split=temporal" in line], "what auto declined is no advice"


def test_the_audit_says_what_few_shots_and_userless_logs_are_cut_by() -> None:
    data = dataset(log_of(np.arange(100), time=np.arange(100)))
    at_random = FewShot(base=Random(unseen="keep"), train_size=8)
    assert audit(data, at_random(data), at_random).split == "rows at random, few to train on"
    by_auto = FewShot(base=Auto(unseen="keep"), train_size=8)
    words = "each user's latest rows, few to train on (picked by split=auto: the log has times)"
    assert audit(data, by_auto(data), by_auto).split == words
    log = dataclasses.replace(data.logged, user=None, num_users=0)
    userless = CausalDataset(CARD, log, pl.DataFrame(), pl.DataFrame({"i": range(ITEMS)}))
    split = Temporal(unseen="keep")
    assert audit(userless, split(userless), split).split == "the latest rows of all"


def test_the_audit_warns_of_ties_of_seeds_that_draw_nothing_and_of_coarse_times() -> None:
    days = dataset(log_of(np.arange(200), time=np.tile(np.arange(25) // 5, 8)))
    split = Temporal(unseen="keep")
    (tied,) = [line for line in audit(days, split(days), split).warnings if "have the time of" in line]
    assert tied.startswith("16 of 16 test rows (100%)")
    fine = dataset(log_of(np.arange(200), time=np.arange(200)))
    by_seed = Temporal(unseen="keep", seed=3)
    assert any("split.seed=3 draws nothing" in line for line in audit(fine, by_seed(fine), by_seed).warnings)
    assert not [line for line in audit(fine, split(fine), split).warnings if "draws nothing" in line]
    thirds = dataset(log_of(np.arange(300), time=np.arange(300) // 100))
    cut = Temporal(unseen="keep", cut="global")
    start = (
        "split.cut=global: rows of one time stay together, so that the test takes 33% of the rows where 10% were asked"
    )
    assert [line for line in audit(thirds, cut(thirds), cut).warnings if line.startswith(start)]
    assert not [line for line in audit(fine, cut(fine), cut).warnings if "stay together" in line]


def test_rows_that_a_rule_drops_from_the_test_are_not_called_unused() -> None:
    data, split = with_randomised(), Random(duplicates="drop_test", unseen="keep")
    assert not [line for line in audit(data, split(data), split).warnings if "in no split" in line]


def test_propensities_of_rounds_stay_in_every_part() -> None:
    propensity = np.linspace(0.1, 0.9, 200).astype(np.float32)
    log = dataclasses.replace(log_of(np.arange(200), propensity=propensity), user=None, num_users=0)
    data = CausalDataset(CARD, log, pl.DataFrame(), pl.DataFrame({"i": range(ITEMS)}))
    splits = Random(unseen="keep")(data)
    pool = splits.pool(200)
    assert pool.propensity is not None
    np.testing.assert_array_equal(
        np.sort(pool.propensity), np.sort(np.concatenate([splits.train.propensity, splits.validation.propensity]))
    )  # type: ignore[arg-type]
    assert set(pool.propensity) <= set(propensity)
    for train, held in fold_logs(pool, 4):
        assert set(train.propensity) | set(held.propensity) <= set(propensity)  # type: ignore[arg-type]


def test_the_audit_warns_of_randomised_rows_that_no_split_holds() -> None:
    data = dataset(log_of(codes(300, 1)), log_of(codes(100, 2), seed=5), randomised="uniform")
    assert data.randomised is not None
    split = ColdUsers(test=0.5, unseen="keep")
    splits = split(data)
    left = len(data.randomised) - len(splits.test)
    assert left > 20
    line = f"{left} of 100 randomised rows are in no split: the split leaves them out"
    assert line in audit(data, splits, split).warnings
    at_random = Random(propensity_sample=0.1, unseen="drop")
    assert not [line for line in audit(data, at_random(data), at_random).warnings if "in no split" in line]


def test_the_future_is_not_counted_where_times_of_users_do_not_compare() -> None:
    logged = log_of(np.arange(0, 50), time=np.tile(np.arange(25), 2))
    data = dataset(logged, times_compare=False)
    split = Random(unseen="keep")
    report = audit(data, split(data), split)
    assert report.future_rows is None and any("training row of their user" in line for line in report.warnings)


def test_the_audit_counts_rows_candidates_positives_and_the_future_by_hand() -> None:
    logged = log_of(np.arange(0, 50), time=np.arange(50))
    test_codes = np.array([60, 61, 75, 26])  # users 2, 2, 3, 1
    test = log_of(test_codes, outcome=np.array([1, 1, 0, 0], np.float32), time=np.array([60, 3, 5, 4]))
    data = dataset(logged, test, randomised="uniform")
    split = Random(validation=0.1, unseen="keep")
    splits = split(data)
    report = audit(data, splits, split)
    assert report.rows == {"train": 44, "validation": 5, "test": 4}  # pair 26 left training: 49 rows, 4.9 held
    assert report.mean_outcome["test"] == 0.5
    assert report.candidates_per_user == pytest.approx(4 / 3)
    assert report.positives_per_user == pytest.approx(2 / 3)
    assert report.users_without_positive == 2
    assert (report.duplicates, report.leaked_rows, report.future_rows) == (1, 0, 3)
    assert report.unseen_rows == 3  # users 2 and 3 have no training row
    assert report.threshold == 4.0 and report.test == "randomised: uniform"
    assert report.hashes == splits.hashes and report.randomised_rows_used == 0


def test_the_audit_counts_training_rows_that_come_from_the_randomised_part() -> None:
    data = dataset(log_of(np.arange(0, 50)), log_of(np.arange(100, 140)), randomised="uniform")
    assert data.randomised is not None
    split = Random(unseen="keep")
    splits = split(data)
    assert audit(data, splits, split).randomised_rows_used == 0
    tuned = dataclasses.replace(splits, validation=data.randomised.take(np.arange(7)))
    assert audit(data, tuned, split).randomised_rows_used == 7


def test_the_audit_says_that_a_logged_test_is_not_unbiased() -> None:
    data = dataset(log_of(codes(300, 0)))
    report = audit(data, Random()(data), Random())
    assert report.test == "logged (not unbiased)" and report.future_rows is None


def test_a_userless_log_splits_and_audits() -> None:
    rng = np.random.default_rng(0)
    logged = log_of(rng.integers(ITEMS, size=300))
    userless = dataclasses.replace(logged, user=None, num_users=0)
    data = CausalDataset(CARD, userless, pl.DataFrame(), pl.DataFrame({"i": range(ITEMS)}))
    splits = Random()(data)
    report = audit(data, splits, Random())
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (240, 30, 30)
    assert report.candidates_per_user is None


def split_leave_last(user: list[int], time: list[int], randomised: bool = False, **settings: Any) -> list[list[int]]:
    """Leave the last rows of each user; return the rows of training, validation and test."""
    exposed = np.ones(len(user), np.int64)
    log = InteractionLog(
        np.arange(len(user)), exposed, exposed.astype(np.float32), 25, np.array(user), 20, np.array(time)
    )
    splits = LeaveLast(unseen="keep", **settings)(dataset(log, log_of(np.arange(400, 410)) if randomised else None))
    return [sorted(log.item.tolist()) for log in (splits.train, splits.validation, splits.test)]


def test_the_last_row_of_each_user_is_the_test_and_the_one_before_the_validation() -> None:
    user = [0, 1, 0, 1, 0, 1, 2, 2]
    time = [50, 7, 10, 7, 40, 7, 9, 8]
    # user 1's three rows are of one second: ties go by row order; user 2 has no row to train on and stays whole
    assert split_leave_last(user, time) == [[1, 2, 6, 7], [3, 4], [0, 5]]


def test_more_rows_can_be_left() -> None:
    user, time = [0] * 6 + [1] * 3, [6, 5, 4, 3, 2, 1, 1, 2, 3]
    assert split_leave_last(user, time, test_rows=2, validation_rows=1) == [[3, 4, 5, 6, 7, 8], [2], [0, 1]]


def test_beside_a_randomised_test_the_last_row_is_the_validation() -> None:
    train, validation, test = split_leave_last([0, 0, 1, 1, 2], [1, 2, 2, 1, 1], randomised=True)
    assert (train, validation, len(test)) == ([0, 3, 4], [1, 2], 10)


def test_leave_last_needs_users_and_times() -> None:
    with pytest.raises(DataError, match=r"toy: split=leave_last needs the time of each row and it has none; set split"):
        LeaveLast(unseen="keep")(dataset(log_of(codes(300, 0))))
    userless = InteractionLog(np.arange(20), np.ones(20, np.int64), np.ones(20, np.float32), ITEMS, name="toy")
    data = CausalDataset(CARD, userless, pl.DataFrame(), pl.DataFrame({"i": range(ITEMS)}))
    with pytest.raises(DataError, match=r"toy: this split is by user and the log has none"):
        LeaveLast()(data)
