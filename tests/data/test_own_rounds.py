"""A table of one's own as rounds of a bandit: action, propensity, reward, user, context; what is wrong in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalrec.data.contexts import Contexts
from causalrec.data.datasets.csv import CsvTables
from causalrec.data.split.random import Random
from causalrec.data.tabular.table_config import EntityTableConfig
from causalrec.errors import DataError, RequestError

HEADER = "who,action,reward,p,slot,hour,day"
ROWS = ["u1,a,1,0.5,1,3,mon", "u1,b,0,0.25,2,4,tue", "u2,a,0,0.5,1,5,mon", "u1,a,1,0.75,2,3,tue"]
ROUNDS: dict[str, Any] = {
    "user": "who",
    "item": "action",
    "outcome": "reward",
    "kind": "reward",
    "propensity": "p",
    "position": "slot",
    "row_columns": {"hour": "numeric", "day": "category"},
    "rounds": True,
    "repeats": "allowed",
    "feedback": "exposure_logged",
    "self_selected": False,
}
EVERY = "who,action,reward,pa,pb"
EVERY_ROWS = ["u1,a,1,0.5,0.5", "u1,b,0,0.75,0.25", "u2,a,0,1,0"]
EVERY_ROUNDS: dict[str, Any] = {
    **{key: ROUNDS[key] for key in ("user", "item", "outcome", "kind", "rounds", "repeats")},
    "propensity": {"a": "pa", "b": "pb"},
}


def write(root: Path, lines: list[str]) -> Path:
    (root / "csv").mkdir(exist_ok=True)
    (root / "csv" / "interactions.csv").write_text("\n".join(lines) + "\n")
    return root


def tables(**keys: Any) -> CsvTables:
    return CsvTables(threshold=None, **keys)


def test_a_round_holds_action_reward_propensity_user_slot_and_context(tmp_path: Path) -> None:
    world = tables(**ROUNDS)
    data = world.load(write(tmp_path, [HEADER, *ROWS]))
    log = data.logged
    assert world.card.rounds and log.of_rounds and data.logging_policy is None
    assert log.propensity is not None and log.user is not None and log.position is not None
    assert (log.item.tolist(), log.outcome.tolist(), log.user.tolist()) == ([0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 0])
    assert (log.propensity.tolist(), log.position.tolist()) == ([0.5, 0.25, 0.5, 0.75], [1, 2, 1, 2])
    assert log.columns["hour"].tolist() == [3, 4, 5, 3] and log.columns["day"].tolist() == ["mon", "tue", "mon", "tue"]
    assert log.population == pytest.approx(2 + 4 + 2 + 4 / 3)


def test_a_split_leaves_the_propensities_of_rounds_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"u{k % 9},{'ab'[int(k)]},1,0.5,1,3,mon" for k in rng.integers(2, size=100)]
    root = write(tmp_path, [HEADER, *lines])
    for rounds, left in ((True, 0.5), (False, 0.4)):
        data = tables(**{**ROUNDS, "rounds": rounds}).load(root)
        train = Random(validation=0.1, test=0.1)(data).train
        assert train.propensity is not None
        np.testing.assert_allclose(train.propensity, left, rtol=1e-6)


def test_columns_of_all_items_are_the_logging_policy(tmp_path: Path) -> None:
    data = tables(**EVERY_ROUNDS).load(write(tmp_path, [EVERY, *EVERY_ROWS]))
    assert data.logged.propensity is not None and data.logging_policy is not None
    assert data.logged.propensity.tolist() == [0.5, 0.25, 1.0]
    later = Contexts.of_log(data.logged).take(np.array([1, 2]))
    assert data.logging_policy(later).tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert [column.name for column in data.card.columns] == ["user", "item"], "no model reads the policy"


def test_a_log_without_users_needs_no_word_of_rounds(tmp_path: Path) -> None:
    keys = {**EVERY_ROUNDS, "user": None, "rounds": False}
    data = tables(**keys).load(write(tmp_path, [EVERY, *EVERY_ROWS]))
    assert data.logged.user is None and data.card.rounds and data.logging_policy is not None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("u1,b,0,0,2,4,tue", r"line 3: p: propensity '0' is outside \(0, 1\]"),
        ("u1,b,0,1.5,2,4,tue", r"line 3: p: propensity '1\.5' is outside \(0, 1\]"),
        ("u1,b,0,,2,4,tue", r"line 3: p: propensity nothing is outside \(0, 1\]"),
        ("u1,b,nan,0.25,2,4,tue", r"line 3: .*not a finite number"),
        ("u1,,0,0.25,2,4,tue", r"line 3: action: no id"),
        ("u1,b,0,0.25", r"line 3: "),
    ],
)
def test_a_bad_round_is_refused_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tables(**ROUNDS).load(write(tmp_path, [HEADER, ROWS[0], row, ROWS[2]]))


def test_an_action_that_the_catalogue_lacks_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [HEADER, *ROWS])
    (tmp_path / "csv" / "actions.csv").write_text("action,price\na,3\n")
    items: dict[str, Any] = {"file": "actions.csv", "id": "action", "columns": {"price": "numeric"}}
    with pytest.raises(DataError, match=r"interactions\.csv: line 3: .*b.*"):
        tables(**ROUNDS, items=EntityTableConfig(**items)).load(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("u1,b,0,0.75,0.5", r"row 1: the propensities of all items do not sum to 1 but to 1\.25 \(1 such rows\)"),
        ("u1,b,0,1.25,-0.25", r"row 1: a propensity of an item is outside \[0, 1\]"),
        ("u1,b,0,1,0", r"row 1: the propensity of the item taken is 0"),
        ("u1,b,0,1,", r"line 3: .*pb.* is not a finite number"),
        ("u1,c,0,1,0", r"dataset\.propensity: item 'c' has no column; name one for each item"),
    ],
)
def test_what_is_no_distribution_is_refused(tmp_path: Path, row: str, message: str) -> None:
    rows = [EVERY_ROWS[0], row, EVERY_ROWS[2]] + (["u1,b,0,0.5,0.5"] if ",c," in row else [])
    with pytest.raises(DataError, match=message):
        tables(**EVERY_ROUNDS).load(write(tmp_path, [EVERY, *rows]))


def test_a_column_of_an_unknown_item_is_refused(tmp_path: Path) -> None:
    keys = {**EVERY_ROUNDS, "propensity": {"a": "pa", "bb": "pb"}}
    with pytest.raises(DataError, match=r"dataset\.propensity: 'bb' is no item of the log; did you mean 'b'"):
        tables(**keys).load(write(tmp_path, [EVERY, *EVERY_ROWS]))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({**ROUNDS, "propensity": None}, r"^dataset\.rounds: says what dataset\.propensity is the probability of"),
        ({**EVERY_ROUNDS, "rounds": False}, r"^dataset\.propensity: names a column for each item.*rounds=true"),
        (
            {**EVERY_ROUNDS, "propensity": {"a": "pa", "b": "pa"}},
            r"^dataset\.propensity: the column 'pa' is taken",
        ),
        ({**ROUNDS, "repeats": "keep_last"}, r"^dataset\.repeats=keep_last: leaves rounds out by the item taken"),
        ({**ROUNDS, "k_core": 2}, r"^dataset\.k_core: leaves rounds out by the item taken"),
        ({**ROUNDS, "exposure": "t", "arms": ["x"]}, r"^dataset\.rounds: a policy takes an item in each"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        tables(**keys)
