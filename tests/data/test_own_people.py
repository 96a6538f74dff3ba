"""Tables of people, a row each, as `causalrec data` judges them: what is warned of, and what is random there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from causalrec import cli
from causalrec.data.tabular.randomisation_balance import randomisation_balance

Ask = Callable[..., tuple[int, str]]
ROWS = 400
RANDOM = ["dataset.randomised_log=true", "graph.edges=['age -> outcome','exposure -> outcome']"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 400 people, 160 of them of a trial, and what `data new` writes for it, the trial no covariate."""
    rng, folder = np.random.default_rng(4), tmp_path_factory.mktemp("people")
    age, trial, treated = rng.integers(18, 80, ROWS), np.arange(ROWS) % 5 < 2, rng.integers(0, 2, ROWS)
    spend = 0.1 * age + treated + rng.normal(size=ROWS)
    rows = [f"u{k},{age[k]},{trial[k]:d},{treated[k]},{spend[k]:.3f},2024-01-{1 + k % 28:02d}" for k in range(ROWS)]
    table = folder / "people.csv"
    table.write_text("\n".join(["user,age,trial,treated,spend,time", *rows]), encoding="utf-8")
    assert cli.main(["data", "new", str(table), "--config-dir", str(folder / "conf")]) == 0
    for group, line, left in (("dataset", "    trial: numeric", "    #"), ("graph", ", trial", "")):
        path = folder / "conf" / group / "people.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(line, left), encoding="utf-8")
    return folder


@pytest.fixture
def ask(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask `causalrec data` of these people; return its exit code and what it said, in one line."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CAUSALREC_CACHE", str(folder / "cache"))

    def call(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = cli.main(["data", words[0], "people", "--config-dir", "conf", *words[1:]])
        return code, " ".join("".join(capsys.readouterr()).split())

    return call


def test_people_of_one_row_are_warned_of_nothing(ask: Ask) -> None:
    code, said = ask("check", "dataset.randomised_flag=trial")
    assert code == 0 and "0 errors, 0 warnings" in said and "randomised: 160 rows" in said


def test_the_test_of_a_randomised_log_is_part_of_it_and_its_outcomes_are_no_positives(ask: Ask) -> None:
    code, said = ask("audit", "split=random", *RANDOM)
    assert code == 0
    assert "test: logged (part of the randomised log: exposure was drawn at random in every row)" in said
    assert "per test user: 1 rows " in said and "positive" not in said


def test_a_check_says_that_the_log_is_random_and_that_a_latent_node_says_nothing(ask: Ask) -> None:
    code, said = ask("check", *RANDOM, "graph.latent=[taste]")
    assert code == 0 and "randomised: the log itself: exposure was drawn at random in every row" in said
    assert "warning: people: graph.latent: no edge touches taste, so that nothing hidden is accounted for" in said


def test_an_empty_split_names_what_took_its_rows(ask: Ask) -> None:
    code, said = ask("audit", "split=temporal")
    assert code == 1 and "none of the 400 has more than 1; set split=random" in said
    code, said = ask("audit", "split.unseen=drop")
    assert code == 1 and "test split is empty: each of its 40 rows has a user or item without a training row" in said


def test_ids_of_one_row_tell_no_balance_and_those_of_many_do() -> None:
    once = np.arange(100)
    assert randomisation_balance(once[:40], once[40:], 100).random
    popular = np.repeat(np.arange(50), np.arange(50))
    with_single = np.concatenate([popular, np.arange(50, 90)])  # forty more, of a row each
    assert randomisation_balance(popular, with_single, 90).follows
    shunned = randomisation_balance(np.repeat(np.arange(50), 50 - np.arange(50)), popular, 50)
    assert not shunned.random and not shunned.follows


def test_a_column_that_says_the_treatment_is_warned_of_before_a_run(folder: Path, ask: Ask) -> None:
    path = folder / "people.csv"
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows[1:]:
        row[3] = str(int(int(row[1]) >= 50))  # treated from 50 years on
    (folder / "older.csv").write_text("\n".join(map(",".join, rows)), encoding="utf-8")
    code, said = ask("check", "dataset.interactions=older.csv")
    assert code == 0 and "0 errors, 1 warning" in said
    assert "warning: people: treatment follows age: 100% of the rows have a value of it at which some arm was" in said


def test_a_claimed_draw_that_a_column_decides_is_warned_of_before_a_run_and_beside_its_table(
    folder: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split(",") for line in (folder / "people.csv").read_text(encoding="utf-8").splitlines()]
    for row in rows[1:]:
        row[3] = str(int(int(row[1]) >= 50))
    (folder / "claimed.csv").write_text("\n".join(map(",".join, rows)), encoding="utf-8")
    claimed = ["dataset.interactions=claimed.csv", *RANDOM]
    assert "warning: people: treatment follows age: 100% of the rows" in ask("check", *claimed)[1]
    options = ["task=effect", "learner=linear_dml", "logger=none", f"paths.runs={folder / 'runs'}"]
    assert cli.main(["train", "--config-dir", "conf", "dataset=people", *claimed, *options]) == 0
    assert "Warning: treatment follows age" in " ".join("".join(capsys.readouterr()).split())
