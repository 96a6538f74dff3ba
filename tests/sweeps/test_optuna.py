"""A study: what is searched, by what it is judged, and that a cut one ends as if it had not been cut."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import begin, finished_jobs, kill, launch, records, result, wait_for

from causalrec.errors import DataError, RequestError

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402

from causalrec.sweeps.search_space import read_space  # noqa: E402
from causalrec.sweeps.study_store import SharedStudy, open_study  # noqa: E402

STUDY = ["hydra/sweeper=optuna", "sweep=study"]
LR = "optimizer.lr=tag(log,interval(0.001,0.1))"


# what is searched


def test_the_words_of_hydra_become_distributions() -> None:
    searched = read_space(
        [
            "++a=interval(0,2)",
            "++b=tag(log,interval(1e-3,1))",
            "++c=int(interval(1,5))",
            "++d=range(1,10,3)",
            "++e=range(0.5,2,0.5)",
            "head=choice(dot,mlp)",
            "++f=1,2",
            "++fixed=3",
        ]
    )
    assert searched.fixed == ("++fixed=3",)
    assert dict(searched.searched) == {
        "a": optuna.distributions.FloatDistribution(0, 2),
        "b": optuna.distributions.FloatDistribution(1e-3, 1, log=True),
        "c": optuna.distributions.IntDistribution(1, 5),
        "d": optuna.distributions.IntDistribution(1, 7, step=3),
        "e": optuna.distributions.FloatDistribution(0.5, 1.5, step=0.5),
        "head": optuna.distributions.CategoricalDistribution(["dot", "mlp"]),
        "f": optuna.distributions.CategoricalDistribution(["1", "2"]),
    }
    values = {"a": 0.1, "b": 0.01, "c": 2, "d": 4, "e": 1.0, "head": "mlp", "f": "2"}
    given = ["++fixed=3", "++a=0.1", "++b=0.01", "++c=2", "++d=4", "++e=1.0", "head=mlp", "++f=2"]
    assert searched.overrides(values) == given


def test_corners_hold_every_choice_and_both_ends() -> None:
    corners = read_space(["a=interval(0,2)", "b=x,y,z"]).corners()
    assert corners == [{"a": 0.0, "b": "x"}, {"a": 2.0, "b": "y"}, {"a": 2.0, "b": "z"}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a=1"], "nothing to search"),
        (["seed=0,1"], "seed=0,1: decides what trials are measured by"),
        (["split.validation=interval(0.1,0.2)"], "decides what trials are measured by"),
        (["selection.criterion=ips,naive"], "decides what trials are measured by"),
        (["a=tag(lin,interval(0,1))"], "unknown tag 'lin'; known: log"),
        (["a=tag(log,interval(0,1))"], "a=tag(log,interval(0,1)): "),
        (["a=interval(2,1)"], "a=interval(2,1): "),
        (["a=choice(1)"], "holds one value"),
        (["a=range(3,3)"], "holds no value"),
        (["a=glob(*)"], "cannot be searched"),
        (["a=tag(log,choice(1,2))"], "cannot be searched"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_space(arguments)
    assert said in str(refused.value) and "\n" not in str(refused.value)


# the store


SEARCHED = read_space(["x=interval(0,1)", "y=interval(0,1)"]).searched


def store_of(folder: Path, **search: Any) -> SharedStudy:
    return open_study(None, folder, "minimize", search, heartbeat=1)


def run_trials(store: SharedStudy, trials: int, n_trials: int = 20) -> list[dict[str, Any]]:
    """Run trials of a known function to their end."""
    params = []
    for _ in range(trials):
        assert store.count_left(n_trials) > 0
        trial = store.ask("TPESampler", 0, SEARCHED, n_trials)
        assert trial is not None
        store.tell(trial, (trial.params["x"] - 0.3) ** 2 + trial.params["y"])
        params.append(trial.params)
    return params


@pytest.mark.long
def test_a_cut_study_draws_as_one_that_was_not(tmp_path: Path) -> None:
    uncut = run_trials(store_of(tmp_path / "whole"), 16)
    halves = [run_trials(store_of(tmp_path / "cut"), 8) for _ in range(2)]
    assert [*halves[0], *halves[1]] == uncut
    assert len({params["x"] for params in uncut}) == 16


DEAD = """
import os, sys
from pathlib import Path
from causalrec.sweeps.search_space import read_space
from causalrec.sweeps.study_store import open_study
store = open_study(None, Path(sys.argv[1]), "minimize", {}, heartbeat=1)
searched = read_space(["x=interval(0,1)", "y=interval(0,1)"]).searched
if sys.argv[2] == "early":
    store.study.ask(dict(searched))
else:
    first = store.ask("TPESampler", 0, searched, 20)
    if sys.argv[2] == "first of two":
        store.tell(store.ask("TPESampler", 0, searched, 20), 1.0)
os.kill(os.getpid(), 9)
"""


def kill_after_asking(folder: Path, when: str) -> None:
    done = subprocess.run([sys.executable, "-c", DEAD, str(folder), when], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_killed_trial_is_drawn_again_with_its_settings_and_place(tmp_path: Path) -> None:
    uncut = run_trials(store_of(tmp_path / "whole"), 4)
    run_trials(store_of(tmp_path / "cut"), 1)
    kill_after_asking(tmp_path / "cut", "late")
    store = store_of(tmp_path / "cut")
    assert store.study.get_trials()[1].state is TrialState.RUNNING
    assert store.count_left(4) == 3
    assert run_trials(store, 3) == uncut[1:]
    trials = store.study.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert [trial.user_attrs["place"] for trial in trials] == [0, 1, 1, 2, 3]
    assert store.count_left(4) == 0 and not store.trials_elsewhere()


def test_a_killed_trial_keeps_its_place_where_a_later_one_has_ended(tmp_path: Path) -> None:
    kill_after_asking(tmp_path, "first of two")
    store = store_of(tmp_path)
    assert store.count_left(3) == 2
    run_trials(store, 2)
    positions = {trial.user_attrs["place"] for trial in store.study.get_trials() if trial.state is TrialState.COMPLETE}
    assert positions == {0, 1, 2}


@pytest.mark.long
def test_a_trial_killed_before_its_first_beat_does_not_run_for_ever(tmp_path: Path) -> None:
    kill_after_asking(tmp_path, "early")
    store = store_of(tmp_path)
    assert store.count_left(1) == 0 and store.trials_elsewhere(), "its launcher may yet be alive"
    until = time.monotonic() + 30
    while store.count_left(1) == 0 and time.monotonic() < until:
        time.sleep(0.5)
    assert store.count_left(1) == 1 and not store.trials_elsewhere()


@pytest.mark.long
def test_a_running_trial_of_a_live_launcher_is_left_alone(tmp_path: Path) -> None:
    first, second = store_of(tmp_path), store_of(tmp_path)
    trial = first.ask("RandomSampler", 0, SEARCHED, 2)
    assert trial is not None
    with first.keep_alive([trial]):
        until = time.monotonic() + 9  # longer than the six beats of silence after which a trial is buried
        while time.monotonic() < until:
            assert second.count_left(2) == 1 and second.trials_elsewhere()
            time.sleep(0.5)


def test_trials_begun_beyond_the_last_are_given_back(tmp_path: Path) -> None:
    first, second = store_of(tmp_path), store_of(tmp_path)
    begun = [first.ask("RandomSampler", 0, SEARCHED, 2), first.ask("RandomSampler", 0, SEARCHED, 2)]
    assert all(begun) and second.ask("RandomSampler", 0, SEARCHED, 2) is None
    assert second.count_left(2) == 0


def test_a_failed_trial_counts_and_the_next_are_drawn(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    trial = store.ask("RandomSampler", 0, SEARCHED, 3)
    assert trial is not None
    store.tell(trial, "no finite value")
    assert store.count_left(3) == 2
    run_trials(store, 2)
    assert store.count_left(3) == 0
    assert store.summary().startswith("2 trial(s) complete, 1 failed; best ")


def test_another_search_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    store_of(tmp_path, search=["x=interval(0,1)"])
    store_of(tmp_path, search=["x=interval(0,1)"])
    with pytest.raises(RequestError, match=r"begun with search=x=interval\(0,1\), not x=interval\(0,2\); name another"):
        store_of(tmp_path, search=["x=interval(0,2)"])
    with pytest.raises(RequestError, match="begun with direction=minimize, not maximize"):
        open_study(None, tmp_path, "maximize", {"search": ["x=interval(0,1)"]}, heartbeat=1)


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DataError, match=r"study\.db: not a study's database") as refused:
        store_of(tmp_path)
    assert "\n" not in str(refused.value)
    with pytest.raises(DataError, match="host/db: not a study's database"):
        open_study("nosuch://user:secret@host/db", tmp_path, "minimize", {}, heartbeat=1)


def spoil(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "study.db") as database:
        database.execute(statement)
    database.close()


def cut_database(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero_its_middle(path: Path) -> None:
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + bytes(third) + content[2 * third :])


def replace_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.rename(path.with_name("moved"))
        make(path)

    return replace


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with one trial that runs."""
    folder = tmp_path_factory.mktemp("begun") / "study"
    assert store_of(folder).ask("RandomSampler", 0, SEARCHED, 4) is not None
    return folder


@pytest.mark.parametrize(
    "damage",
    [
        cut_database,
        zero_its_middle,
        replace_by(os.mkfifo),
        replace_by(Path.mkdir),
        replace_by(lambda path: path.symlink_to("moved")),
        replace_by(lambda path: path.symlink_to("gone")),
        lambda path: path.with_name("study.db-journal").symlink_to("gone"),
        lambda path: spoil(path.parent, "update trial_user_attributes set value_json = '{' where key = 'holder'"),
        lambda path: spoil(path.parent, "update trial_user_attributes set value_json = '[1]' where key = 'place'"),
        lambda path: spoil(path.parent, "update study_user_attributes set value_json = '3'"),
        lambda path: spoil(path.parent, "update trial_params set distribution_json = '{}'"),
    ],
)
def test_a_damaged_study_is_one_line(damage: Callable[[Path], object], begun: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(begun, folder)
    damage(folder / "study.db")
    with pytest.raises(DataError, match=r"study\.db") as refused:
        store_of(folder)
    assert "\n" not in str(refused.value) and not (folder / "gone").exists()


@pytest.mark.parametrize(
    "holder", ["3", '{"pid": 1}', '{"host": 1, "machine": 2, "pid": "x", "started": null}', "null"]
)
def test_a_holder_that_names_nobody_is_waited_for_as_one_that_said_nothing(
    holder: str, begun: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(begun, folder)
    spoil(folder, f"update trial_user_attributes set value_json = '{holder}' where key = 'holder'")
    store = store_of(folder)
    assert store.count_left(4) == 3 and store.trials_elsewhere() and store.adopted == {0}


# the command


def trials_of(folder: Path) -> list[Any]:
    study = optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.db'}")
    return list(study.get_trials(deepcopy=False))


def criterion(record: dict[str, Any]) -> float:
    return min(float(candidate["criterion"]) for candidate in record["selection"]["candidates"])


@pytest.mark.long
@pytest.mark.slow
def test_a_study_minimises_the_biased_criterion_and_a_second_launch_goes_on_to_the_total(tmp_path: Path) -> None:
    folder, overrides = tmp_path / "runs/study", [*STUDY, LR, "encoder.width=choice(2,4)"]
    code, out, err = launch(tmp_path, *overrides, "hydra.sweeper.n_trials=3")
    assert code == 0, err
    job_records = records(folder)
    assert finished_jobs(folder) == sorted(job_records) and len(job_records) == len(out.splitlines()) == 3
    values = {trial.user_attrs["place"]: trial.value for trial in trials_of(folder)}
    by_place = {int(job.split("/")[0].rpartition("trial")[2]): record for job, record in job_records.items()}
    assert values == {position: pytest.approx(criterion(record), rel=1e-12) for position, record in by_place.items()}
    for trial in trials_of(folder):
        config = by_place[trial.user_attrs["place"]]["config"]
        assert config["optimizer"]["lr"] == trial.params["optimizer.lr"]
        assert config["encoder"]["width"] == int(trial.params["encoder.width"])
    assert f"3 trial(s) complete, 0 failed; best {min(values.values()):.6g} by trial" in err
    assert "tuned on" not in err
    code, out, err = launch(tmp_path, *overrides, "hydra.sweeper.n_trials=5", "hydra.sweeper.batch=2")
    assert code == 0, err
    assert len(trials_of(folder)) == len(records(folder)) == 5
    code, out, err = launch(tmp_path, *overrides, "hydra.sweeper.n_trials=5")
    assert code == 0 and len(records(folder)) == 5 and "5 trial(s) complete" in err


@pytest.mark.long
def test_a_study_killed_between_and_in_trials_ends_as_one_that_was_not(tmp_path: Path) -> None:
    overrides = [LR, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4"]
    code, _, err = launch(tmp_path, *overrides, "sweep=whole")
    assert code == 0, err
    folder = tmp_path / "runs/cut"
    for number in (1, 2):
        process = begin(tmp_path, *overrides, "sweep=cut")
        wait_for(lambda number=number: list((folder / ".ledger/claims").glob(f"*trial{number}~*")))
        kill(process)
        assert [trial.state.name for trial in trials_of(folder)].count("RUNNING") == 1
    code, _, err = launch(tmp_path, *overrides, "sweep=cut")
    assert code == 0, err
    states = [trial.state.name for trial in trials_of(folder)]
    assert sorted(states) == ["COMPLETE"] * 4 + ["FAIL"] * 2
    uncut, cut = records(tmp_path / "runs/whole"), records(folder)
    assert finished_jobs(folder) == sorted(cut) and len(cut) == 4
    assert {job: result(record) for job, record in cut.items()} == {job: result(uncut[job]) for job in uncut}


@pytest.mark.long
@pytest.mark.slow
def test_a_failing_trial_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    overrides = [*STUDY, "hydra.sweeper.sampler=RandomSampler", "hydra.sweeper.n_trials=5"]
    code, _, err = launch(tmp_path, *overrides, "optimizer.lr=choice(0.01,1e38)")
    trials = trials_of(tmp_path / "runs/study")
    failed = [trial for trial in trials if trial.state is TrialState.FAIL]
    assert 0 < len(failed) < len(trials) == 5, err
    assert {trial.params["optimizer.lr"] for trial in failed} == {"1e+38"}
    assert all(trial.user_attrs["reason"] for trial in failed)
    assert {trial.state.name for trial in trials if trial not in failed} == {"COMPLETE"}
    assert f"{5 - len(failed)} trial(s) complete, {len(failed)} failed" in err
    code, _, err = launch(tmp_path, *STUDY[:1], LR, "sweep=none", "dataset.outcome=nope", "hydra.sweeper.n_trials=2")
    assert code == 1
    assert "causalrec: 0 trial(s) complete, 2 failed" in err and err.count("causalrec: failed: ") == 2
    assert all("nope" in trial.user_attrs["reason"] for trial in trials_of(tmp_path / "runs/none"))


@pytest.mark.long
@pytest.mark.slow
def test_a_score_of_the_test_is_taken_only_by_name_and_with_a_warning(tmp_path: Path) -> None:
    overrides = [*STUDY, LR, "hydra.sweeper.n_trials=2", "hydra.sweeper.metric=auc@logged"]
    code, _, err = launch(tmp_path, *overrides)
    assert code == 0, err
    warning = "hydra.sweeper.metric=auc@logged: the test is being tuned on; its scores are no longer a test"
    assert err.count(warning) == 1
    job_records = records(tmp_path / "runs/study")
    scores = {
        s["value"] for r in job_records.values() for s in r["scores"] if (s["metric"], s["slice"]) == ("auc", "logged")
    }
    assert {trial.value for trial in trials_of(tmp_path / "runs/study")} == scores
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path / 'runs/study/study.db'}")
    assert study.direction.name == "MAXIMIZE"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seed=0,1"], "seed=0,1: decides what trials are measured by"),
        (["optimizer.lrr=interval(0.1,1)"], "optimizer.lrr: unknown key; did you mean 'lr'"),
        (["optimizer.lr=interval(-1,1)"], "optimizer.lr=-1.0: "),
        (
            [LR, "hydra.sweeper.metric=acu@logged"],
            "hydra.sweeper.metric=acu@logged: not METRIC@SLICE of this run; did you mean 'auc'",
        ),
        ([LR, "hydra.sweeper.ntrials=3"], "hydra.sweeper.ntrials: unknown key; did you mean 'n_trials'"),
        ([LR, "hydra.sweeper.sampler=tpe"], "hydra.sweeper.sampler='tpe': "),
    ],
)
def test_a_wrong_study_is_refused_before_any_trial(overrides: list[str], said: str, tmp_path: Path) -> None:
    code, out, err = launch(tmp_path, *STUDY, *overrides)
    assert (code, out) == (2, ""), err
    assert said in err and "Traceback" not in err and err.count("causalrec: ") == 1
    assert not (tmp_path / "runs/study/study.db").exists()
