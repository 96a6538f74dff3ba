"""A study's database from somebody else, or damaged: one line that names it and the mend, or one trial drawn anew."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from causalrec.errors import CausalRecError, DataError, RequestError

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402

from causalrec.config.component import validate_component  # noqa: E402
from causalrec.sweeps.driver import run_all  # noqa: E402
from causalrec.sweeps.optuna_sweeper import OptunaSweeper, _log_wait  # noqa: E402
from causalrec.sweeps.search_space import read_space  # noqa: E402
from causalrec.sweeps.study_store import SharedStudy, open_study  # noqa: E402

SPACE = ["optimizer.lr=tag(log,interval(1e-3,1e-1))"]
SEARCHED = read_space(SPACE).searched
ELSEWHERE = json.dumps({"host": "h", "machine": "m", "pid": 1, "started": "1"})
HOLDER = "update trial_user_attributes set value_json = ? where key = 'holder'"


def store_of(folder: Path) -> SharedStudy:
    return open_study(None, folder, "minimize", {"search": SPACE}, heartbeat=10)


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a trial that has a value and one that runs, held by a process of another machine."""
    folder = tmp_path_factory.mktemp("damaged") / "study"
    store = store_of(folder)
    first, second = (store.ask("RandomSampler", 0, SEARCHED, 4) for _ in range(2))
    assert first is not None and second is not None
    store.tell(first, 0.5)
    edit(folder, HOLDER, ELSEWHERE)
    return folder


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "study"))


def edit(folder: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(folder / "study.db") as database:
        assert database.execute(statement, values).rowcount > 0
    database.close()


def go_on(folder: Path) -> str:
    """Do what a launch does with a study, its jobs left out."""
    store = store_of(folder)
    store.check_settings(SEARCHED)
    while store.count_left(3) > 0:
        trial = store.ask("RandomSampler", 0, SEARCHED, 3)
        assert trial is not None
        store.tell(trial, 1.0)
    return store.trials_elsewhere() or store.summary()


# trials that run elsewhere


def test_a_trial_that_runs_elsewhere_is_waited_for_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = go_on(folder)
    assert elsewhere == "1 trial(s) that run elsewhere (h process 1)"
    assert _log_wait(elsewhere, _log_wait(elsewhere, "")) == elsewhere
    assert capsys.readouterr().err == f"causalrec: waiting for {elsewhere}\n"


@pytest.mark.parametrize(
    "statement",
    [
        "update trial_heartbeats set heartbeat = '2099-01-01 00:00:00.000000'",
        "update trial_heartbeats set heartbeat = datetime('now', '+1 hour')",  # the clock was set back
        "delete from trial_heartbeats",
    ],
)
def test_a_beat_from_the_future_or_none_is_a_dead_trial(statement: str, folder: Path) -> None:
    edit(folder, statement)
    assert go_on(folder).startswith("3 trial(s) complete, 0 failed; best 0.5 by trial0: ")


def test_a_launcher_whose_trial_was_taken_over_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_of(folder)
    trial = store.ask("RandomSampler", 0, SEARCHED, 4)
    assert trial is not None
    edit(folder, "update trials set state = 'FAIL' where number = ?", trial.number)
    store.tell(trial, 1.0)
    store.tell(trial, "a reason")
    assert capsys.readouterr().err.count(f"trial {trial.number} was taken over by another launcher") == 2


def test_a_beat_that_cannot_be_stored_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_study(None, folder, "minimize", {"search": SPACE}, heartbeat=1)
    trial = store.ask("RandomSampler", 0, SEARCHED, 4)
    assert trial is not None
    edit(folder, "update trial_heartbeats set heartbeat = 'x'")
    object.__setattr__(store, "heartbeat", 0.01)
    with store.keep_alive([trial]):
        time.sleep(0.1)
    said = capsys.readouterr().err
    assert "study.db: " in said and "Traceback" not in said


# damage


POSITION = "update trial_user_attributes set value_json = ? where key = 'place'"
DIRECTION = "update study_directions set direction = ?"


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (POSITION, ['"../../../../x y\\u001b"']),
        (POSITION, ["-1"]),
        (POSITION, ["true"]),
        (POSITION, ["99"]),
        ("delete from trial_user_attributes where key = 'place'", []),
        ("update study_user_attributes set value_json = '[1]'", []),
        ("""update study_user_attributes set value_json = '{"search": [1, {}]}'""", []),
        ("update trial_values set value = 'abc'", []),
        ("update trial_values set value_type = 'INF_NEG', value = null", []),
        ("update trial_values set value = 9e999", []),
        ("delete from trial_values", []),
        ("insert into trial_values select 9, trial_id, 1, 0.5, 'FINITE' from trial_values", []),
        ("insert into study_directions values (9, 'MINIMIZE', 1, 1)", []),
        (DIRECTION, ["MAXIMIZE"]),
        (DIRECTION, ["SIDEWAYS"]),
        ("update trials set state = 'ASLEEP'", []),
        ("update trials set datetime_start = 'yesterday'", []),
        ("update trials set number = 'x' where number = 1", []),
        ("update trial_heartbeats set heartbeat = 'yesterday'", []),
        ("update trial_params set distribution_json = '{}'", []),
        ("update trial_params set param_value = 1e308", []),
        ("update trial_params set param_name = 'x y'", []),
    ],
)
def test_a_damaged_study_is_one_line_with_the_mend(statement: str, values: list[object], folder: Path) -> None:
    edit(folder, statement, *values)
    with pytest.raises(CausalRecError) as refused:
        go_on(folder)
    said = str(refused.value)
    assert "study" in said and "name another sweep" in said and "\n" not in said and len(said) < 500


@pytest.mark.parametrize("holder", ['"a string"', '{"pid": -1}'])
def test_a_holder_that_names_nobody_is_given_six_beats(holder: str, folder: Path) -> None:
    edit(folder, HOLDER, holder)
    assert go_on(folder) == "1 trial(s) that run elsewhere"


@pytest.mark.parametrize("fixed", [{"optimizer.lr": "abc"}, {"optimizer.lr": 1e308}, {"x": 1}, [1]])
def test_a_queued_trial_outside_what_is_searched_is_left(
    fixed: Any, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = store_of(folder).study
    study.add_trial(optuna.create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": fixed}))
    go_on(folder)
    said = capsys.readouterr().err
    assert "trial 2 was queued with " in said and said.count("\n") == 1
    assert study.get_trials()[2].state is TrialState.FAIL


def test_a_running_trial_of_damaged_settings_is_drawn_anew(folder: Path) -> None:
    edit(folder, "update trial_params set param_value = 1e308 where trial_id = 2")
    edit(folder, "delete from trial_heartbeats")
    assert go_on(folder).startswith("3 trial(s) complete")


@pytest.mark.parametrize(
    ("damage", "mend"),
    [
        (lambda database: database.execute("drop table trials"), "name another sweep=NAME"),
        (lambda database: database.execute("drop table trial_heartbeats"), "name another sweep=NAME"),
    ],
)
def test_damage_while_a_study_runs_is_one_line_from_every_method(
    damage: Callable[[sqlite3.Connection], object], mend: str, folder: Path
) -> None:
    store = store_of(folder)
    with sqlite3.connect(folder / "study.db") as database:
        damage(database)
    database.close()
    with pytest.raises(DataError, match=r"study\.db: ") as refused:
        store.count_left(4)
    assert mend in str(refused.value) and "\n" not in str(refused.value)


def test_every_public_method_of_a_study_is_guarded() -> None:
    public = [method for name, method in vars(SharedStudy).items() if callable(method) and not name.startswith("_")]
    assert len(public) >= 6 and all(hasattr(method, "__wrapped__") for method in public)


# settings


@pytest.mark.parametrize("heartbeat", [0, 86_401, 10**12])
def test_seconds_between_beats_are_bounded(heartbeat: int) -> None:
    target = f"{OptunaSweeper.__module__}.{OptunaSweeper.__name__}"
    with pytest.raises(RequestError, match="heartbeat"):
        validate_component("hydra.sweeper", {"_target_": target, "heartbeat": heartbeat}, OptunaSweeper)


@pytest.mark.parametrize(("trials", "max_jobs"), [(10**29, 10_000), (10_001, 10_000), (20, 19)])
def test_trials_are_counted_as_jobs_are(
    trials: int, max_jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    count = [] if trials == 20 else [f"++hydra.sweeper.n_trials={trials}"]
    with pytest.raises(
        RequestError, match=f"n_trials={trials}: asks for .* jobs, above the {max_jobs:,} of one launch"
    ):
        run_all(["hydra/sweeper=optuna", *count, *SPACE, "dataset=csv"], "", False, print, max_jobs=max_jobs)
    assert not list(tmp_path.iterdir())
