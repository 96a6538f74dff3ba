"""Histories: what a plain loop finds, and never the row itself, its own item, its time, or the future."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FakeCoat, FakeML100K
from hypothesis import given, settings
from hypothesis import strategies as st

from causalrec import cli
from causalrec.config.schema import ExperimentConfig
from causalrec.data.log import InteractionLog
from causalrec.encoders.history import PAD, Histories, History
from causalrec.errors import RequestError
from causalrec.prepared import PreparedData, RunPlan
from causalrec.running import prepare
from causalrec.types import UNLOGGED_TIME, Batch, Ints

USERS, ITEMS = 5, 6


def log_of(rows: list[tuple[int, int, int, int, int]], timed: bool = True) -> InteractionLog:
    """Rows of (user, item, time, treatment, outcome)."""
    user, item, time, treatment, outcome = np.array(rows, np.int64).reshape(-1, 5).T
    return InteractionLog(
        user=user,
        item=item,
        time=time if timed else None,
        treatment=treatment,
        outcome=outcome.astype(np.float32),
        num_users=USERS,
        num_items=ITEMS,
    )


def batch_of(user: Any, item: Any, time: Any = None, negative: Any = None) -> Batch:
    unit_column = torch.ones(len(item))
    return Batch(
        user=torch.as_tensor(user),
        item=torch.as_tensor(item),
        treatment=unit_column.long(),
        outcome=unit_column,
        observed=unit_column,
        propensity=unit_column,
        weight=unit_column,
        features=torch.zeros(len(item), 0),
        time=None if time is None else torch.as_tensor(time),
        negative=None if negative is None else torch.as_tensor(negative),
    )


def history_by_loop(
    log: InteractionLog, user: int, item: int, time: int | None, length: int
) -> list[tuple[int, float]]:
    """The (item, outcome) of the latest events, oldest first, by the words of the docstring."""
    assert log.user is not None
    events = []
    for row in range(len(log)):
        when = 0 if log.time is None else int(log.time[row])
        old = log.time is None or time is None or when < time
        if log.user[row] == user and log.treatment[row] > 0 and old:
            events.append((when, row, int(log.item[row]), float(log.outcome[row])))
    others = [(i, y) for _, _, i, y in sorted(events)[-2 * length :] if i != item]
    latest = others[-length:]
    return [(PAD, 0.0)] * (length - len(latest)) + latest


def pairs(history: History) -> list[list[tuple[int, float]]]:
    rows = zip(history.items.tolist(), history.outcomes.tolist(), strict=True)
    return [list(zip(items, outcomes, strict=True)) for items, outcomes in rows]


events = st.tuples(
    st.integers(0, USERS - 2),  # the last user has no row
    st.integers(0, ITEMS - 1),
    st.integers(1_000_000_000, 1_000_000_004),  # few times, so that many rows tie
    st.sampled_from([0, 1, 1, 2]),
    st.integers(0, 5),
)
wanted = st.tuples(
    st.integers(0, USERS - 1),
    st.integers(0, ITEMS - 1),
    st.sampled_from([0, *range(1_000_000_000, 1_000_000_006), UNLOGGED_TIME]),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(events, max_size=40), st.lists(wanted, min_size=1, max_size=12), st.integers(1, 7), st.booleans())
def test_histories_are_those_of_a_plain_loop(rows: Any, queries: Any, length: int, timed: bool) -> None:
    log = log_of(rows, timed)
    user, item, time = (list(column) for column in zip(*queries, strict=True))
    histories = Histories(log, length)
    expected = [history_by_loop(log, *row, length) for row in queries]
    history = histories(batch_of(user, item, time))
    assert history.items.dtype == torch.int64 and history.outcomes.dtype == torch.float32
    assert pairs(history) == expected
    few, index = histories.distinct_histories(batch_of(user, item, time))
    assert pairs(History(few.items[index], few.outcomes[index])) == expected
    assert pairs(histories(batch_of(user, item))) == [history_by_loop(log, u, i, None, length) for u, i, _ in queries]


def test_an_own_item_met_many_times_leaves_room_for_others() -> None:
    rows = [(0, 1, 1, 1, 3), (0, 2, 2, 1, 4), *[(0, 5, t, 1, 1) for t in (3, 4, 5)]]
    histories = Histories(log_of(rows), 2)
    assert pairs(histories(batch_of([0], [5], [UNLOGGED_TIME]))) == [[(PAD, 0.0), (2, 4.0)]], (
        "of the latest four events"
    )
    assert pairs(Histories(log_of(rows), 3)(batch_of([0], [5], [UNLOGGED_TIME])))[0][1:] == [(1, 3.0), (2, 4.0)]


def test_a_negative_is_left_out_of_the_history_too() -> None:
    rows = [(0, 1, 1, 1, 3), (0, 2, 2, 1, 4), (0, 3, 3, 1, 5), (0, 3, 3, 1, 5)]
    histories, batch = Histories(log_of(rows), 2), batch_of([0, 0, 0], [3, 3, 0], negative=[2, 4, 3])
    expected = [[PAD, 1], [1, 2], [1, 2]]
    assert histories(batch).items.tolist() == expected
    few, index = histories.distinct_histories(batch)
    assert few.items[index].tolist() == expected


def test_distinct_histories_are_few_where_pairs_are_late() -> None:
    log = log_of([(u, i, 10 * i, 1, i) for u in range(3) for i in range(4)])
    every = np.arange(USERS * ITEMS)
    few, index = Histories(log, 3).distinct_histories(batch_of(every // ITEMS, every % ITEMS))
    # of users 0 to 2 one without and four with an own item left out, of the two others the empty one
    assert len(few.items) == 3 * 5 + 1
    assert index.shape == every.shape


def test_nothing_of_a_row_or_after_it_reaches_its_history() -> None:
    rng = np.random.default_rng(5)
    rows = list(zip(*(rng.integers(n, size=200).tolist() for n in (4, ITEMS, 30)), [1] * 200, [2] * 200, strict=True))
    log = log_of(rows)
    assert log.time is not None and log.user is not None
    for row in range(0, 200, 17):
        late = log.time >= log.time[row]
        changed = dataclasses.replace(
            log, item=np.where(late, (log.item + 1) % ITEMS, log.item), outcome=np.where(late, np.float32(9), 2)
        )
        batch = batch_of(log.user[[row]], log.item[[row]], log.time[[row]])
        assert pairs(Histories(changed, 50)(batch)) == pairs(Histories(log, 50)(batch))


def test_a_history_is_trimmed_to_the_longest() -> None:
    history = History(torch.tensor([[PAD, PAD, 3], [PAD, 4, 5]]), torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    assert history.trim().items.tolist() == [[PAD, 3], [4, 5]]
    assert history.trim().outcomes.tolist() == [[0, 1], [1, 0]]
    assert History(history.items[:, :1], history.outcomes[:, :1]).trim().items.shape == (2, 0)


@pytest.mark.parametrize("timed", [True, False])
def test_without_events_every_history_is_empty(timed: bool) -> None:
    histories = Histories(log_of([(0, 1, 5, 0, 1)], timed), 3)  # not exposed
    for history in (
        histories(batch_of([0, 4], [1, 2], [5, 9])),
        histories.distinct_histories(batch_of([0, 4], [1, 2]))[0],
    ):
        assert not history.mask.any() and not history.outcomes.any() and history.items.shape[1] == 3


def test_in_double_precision_outcomes_are_double_and_ids_stay_whole() -> None:
    for rows in ([(0, 1, 5, 1, 1)], []):
        history = Histories(log_of(rows), 2).double()(batch_of([0], [3], [UNLOGGED_TIME]))
        assert history.outcomes.dtype == torch.float64 and history.items.dtype == torch.int64


def test_histories_are_no_part_of_the_weights() -> None:
    assert not Histories(log_of([(0, 1, 5, 1, 1)]), 2).state_dict()


@pytest.mark.parametrize("events", [None, dataclasses.replace(log_of([(0, 1, 5, 1, 1)]), user=None)])
def test_without_users_histories_are_refused(events: InteractionLog | None) -> None:
    with pytest.raises(RequestError, match="histories need users in the data and in the outcome view"):
        Histories(events, 3)


Read = list[tuple[Batch, History]]


@pytest.fixture
def train_run(
    fake_ml100k: FakeML100K, fake_coat: FakeCoat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[PreparedData, Read]]:
    """Train through the command line; return what it was trained on and every history that was read."""
    data = fake_coat(fake_ml100k(tmp_path / "data", users=40, items=30, ratings=700))
    for name, folder in (("DATA", data), ("CACHE", tmp_path / "cache"), ("RUNS", tmp_path / "runs")):
        monkeypatch.setenv(f"CAUSALREC_{name}", str(folder))
    monkeypatch.chdir(tmp_path)
    read: Read = []
    plain = Histories.distinct_histories

    def spy(self: Histories, batch: Batch) -> tuple[History, torch.Tensor]:
        few, index = plain(self, batch)
        read.append((batch, History(few.items[index], few.outcomes[index])))
        return few, index

    monkeypatch.setattr(Histories, "distinct_histories", spy)
    prepared_last: list[PreparedData] = []
    prepare_data = prepare.prepare_data

    def note(config: ExperimentConfig, plan: RunPlan) -> PreparedData:
        prepared_last.append(prepare_data(config, plan))
        return prepared_last[-1]

    monkeypatch.setattr(prepare, "prepare_data", note)

    def call(*overrides: str) -> tuple[PreparedData, Read]:
        read.clear()
        small = [
            "trainer=smoke",
            "selection.folds=1",
            "trainer.progress=false",
            "logger=none",
            "selection.candidates={optimizer.weight_decay:[0.1]}",
        ]
        small += ["evaluation.replicates=20", "encoder.width=8", "encoder.length=10", "sampler.batch_size=64"]
        assert cli.main(["train", *small, *overrides]) == 0
        return prepared_last[-1], list(read)

    return call


@pytest.mark.parametrize("split", ["random", "temporal"])
@pytest.mark.parametrize("objective", ["naive", "dr_jl"])
def test_no_history_of_a_run_holds_its_own_row_or_a_later_one(objective: str, split: str, train_run: Any) -> None:
    ready, read = train_run("dataset=ml100k", "encoder=gpt4rec", f"objective={objective}", f"split={split}")
    split_logs = {"train": ready.train, "validation": ready.validation, "test": ready.splits.test}
    logs = dict(split_logs, history_log=ready.history_log)
    logged = {name: set(zip(log.user.tolist(), log.item.tolist(), strict=True)) for name, log in logs.items()}
    when = {(u, i): t for log in logs.values() for u, i, t in zip(log.user, log.item, log.time, strict=True)}
    judged = dict.fromkeys(split_logs, 0)
    for batch, history in read:
        assert batch.time is not None, "a batch of a timed log tells its times"
        rows = zip(batch.user.tolist(), batch.item.tolist(), batch.time.tolist(), history.items.tolist(), strict=True)
        for user, item, time, history_items in rows:
            assert time == when.get((user, item), UNLOGGED_TIME) or (
                (user, item) not in logged["train"] and time == UNLOGGED_TIME
            )
            for other in history_items:
                if other != PAD:
                    assert other != item
                    assert (user, other) in logged["history_log"], "only training rows are told"
                    assert when[user, other] < time
            for name in split_logs:
                judged[name] += (user, item) in logged[name] and time < UNLOGGED_TIME and max(history_items) > PAD
    assert min(judged.values()) > 20, f"each part was read, with histories: {judged}"


def test_a_run_on_a_log_without_times_reads_the_other_rows(train_run: Any) -> None:
    ready, read = train_run("dataset=coat", "split.unseen=drop", "encoder=bert4rec", "objective=ips")
    history_log = ready.history_log
    assert history_log is not None and history_log.time is None and read
    events: Ints = history_log.codes
    for batch, history in read:
        assert not (history.items == batch.item[:, None]).any()
        codes = batch.user[:, None] * history_log.num_items + history.items
        assert np.isin(codes[history.mask].numpy(), events).all()
        counts = np.bincount(history_log.user, minlength=history_log.num_users)[batch.user]
        has_item = np.isin((batch.user * history_log.num_items + batch.item).numpy(), events)
        np.testing.assert_array_equal(history.mask.sum(1).numpy(), np.minimum(counts - has_item, 10))
