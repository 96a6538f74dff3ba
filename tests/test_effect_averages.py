"""Average effects through a run: of whom, by column, on test rows of all arms, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import last_of_each

import causalrec
from causalrec import cli
from causalrec.config.run_config import Evaluation

TABLE = ["logger=none", "evaluation.replicates=20", "metric=[ate_error]"]
INSTRUMENT = ["graph=effect_simulation_instrument", "learner=ortho_iv"]
FRONT_DOOR = ["graph=effect_simulation_front_door", "learner=dowhy_front_door"]
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `causalrec train task=effect` and return its record, or what it said."""
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*overrides: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main(last_of_each("train", "task=effect", "--json", *TABLE, *overrides)) == code
        out, err = capsys.readouterr()
        return err if code else json.loads(out)[0]

    return call


def scores_of(record: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(score["metric"], score["slice"]): score for score in record["scores"]}


def test_an_average_is_of_the_rows_of_all_arms_and_of_no_truth_slice(run: Run) -> None:
    record = run("learner=linear_dml", "dataset.units=1500", "dataset.arms=2", "split.test=0.4")
    scores = scores_of(record)
    averages = {where: score for (metric, where), score in scores.items() if metric == "average_effect"}
    assert set(averages) == {"training", "training_arm2", "logged", "logged_arm2"}
    assert [averages[where]["n"] for where in ("logged", "logged_arm2", "training")] == [600, 600, 900]
    assert all(score["low"] < score["value"] < score["high"] for score in averages.values())
    assert scores["coverage", "in_sample"]["n"] == 900


def test_a_network_averages_over_the_test_rows_as_a_table_does(run: Run) -> None:
    network = ["trainer.max_epochs=3", "selection.folds=1", "trainer.progress=false", "selection.candidates=none"]
    shared = ["dataset.units=1200", "split.test=0.5", "evaluation.target=treated"]
    by_network = scores_of(run(*network, *shared))["average_effect", "logged"]
    by_table = scores_of(run("learner=t_learner", *shared))["average_effect", "logged"]
    assert by_network["n"] == by_table["n"] == 600
    assert by_network["low"] < by_table["value"] < by_network["high"]
    assert by_table["low"] < by_network["value"] < by_table["high"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """60 treated of a trial beside 2,000 controls of another population; the effect is 1 in region a, 3 in b."""
    rng, folder = np.random.default_rng(1), tmp_path / "data" / "csv"
    treated = np.repeat([1, 0], [60, 2000])
    age, region = rng.normal(size=2060) + 1.5 * treated, np.array(["a", "b"])[rng.integers(2, size=2060)]
    spent = age + treated * np.where(region == "a", 1.0, 3.0) + rng.normal(size=2060)
    folder.mkdir(parents=True)
    lines = [f"p{k},{treated[k]},{age[k]:.4f},{region[k]},{spent[k]:.4f}" for k in rng.permutation(2060)]
    (folder / "interactions.csv").write_text("\n".join(["who,arm,age,region,spent", *lines]))
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "data"))
    names = {"user": "who", "item": "null", "exposure": "arm", "outcome": "spent", "kind": "reward"}
    overrides = [f"dataset.{key}={name}" for key, name in names.items()]
    overrides += ["dataset=csv", "dataset.threshold=null", "dataset.arms=[trial]", "dataset.feedback=exposure_logged"]
    overrides += ["dataset.users={columns: {age: numeric, region: category}}", "dataset.self_selected=false"]
    overrides += ["graph.edges=['age, region -> exposure, outcome','exposure -> outcome']", "graph.latent=[]"]
    return [*overrides, "learner=linear_dml", "split=random", "split.test=0.1"]


def test_a_rare_arm_of_another_population_is_trimmed_warned_of_and_judged_by_column(
    study: list[str], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    by_region = ["slice=[uplift,uplift_by_column]", "slice.uplift_by_column.column=region"]
    record = run(*study, *by_region, "evaluation.target=treated", "evaluation.trim=0.02")
    scores = scores_of(record)
    average = scores["average_effect", "training"]
    assert average["low"] < 2 < average["high"] and average["n"] < 1000
    for level, truth in (("a", 1), ("b", 3)):
        of_level = scores["average_effect", f"training_region={level}"]
        assert of_level["low"] < truth < of_level["high"] and of_level["n"] < average["n"]
        assert ("average_effect", f"logged_region={level}") in scores
    assert scores["equal_effects_p", "training_region"]["value"] < 0.01
    (note,) = [note for note in record["task"]["footnotes"] if note.startswith("Average effect on the treated rows; ")]
    assert f"{1854 - average['n']:,} of 1,854 training rows and " in note
    assert note.endswith(
        "of 206 test rows with a propensity below 0.02 left out: the estimand is that of the rows kept."
    )
    assert "on the treated rows" in record["descriptions"]["average_effect"]
    warned = " ".join(record["warnings"])
    assert "average_effect@training: evaluation.trim=0.02 leaves out " in warned
    (little,) = [line for line in record["warnings"] if line.startswith("average_effect@training: little overlap: ")]
    assert f"overlap: {average['n'] - 47} controls weigh as much as " in little, "of the rows that trimming keeps, once"
    run(*study, "slice=[uplift]", "name=all")
    tables = causalrec.table(Path("runs/default"))
    assert len(tables) == 2, "averages over different rows stand in no table together"
    (folder,) = Path("runs/default/linear_dml").iterdir()
    capsys.readouterr()
    assert cli.main(["refute", str(folder), "--json", "--repeats", "3"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "linear_dml. Average effect on the treated rows; " in report["estimator"]
    assert report["value"] == [pytest.approx(average["value"])] and report["low"] == [pytest.approx(average["low"])]


@pytest.mark.parametrize(
    ("overrides", "said", "code"),
    [
        (["evaluation.target=treatd"], "evaluation.target='treatd': input should be 'all', 'treated', 'untreated'", 2),
        (["evaluation.trim=0.5"], "evaluation.trim=0.5: input should be less than 0.5", 2),
        (["evaluation.trim=-0.1"], "evaluation.trim=-0.1: input should be greater than or equal to 0", 2),
        (
            ["learner=dowhy_ipw", "evaluation.target=overlap"],
            "evaluation.target=overlap: learner=dowhy_ipw averages on all, treated, untreated alone",
            2,
        ),
        (
            ["learner=dowhy_doubly_robust", "evaluation.target=treated"],
            "evaluation.target=treated: learner=dowhy_doubly_robust averages on all alone; leave it out, or choose",
            2,
        ),
        (
            [*INSTRUMENT, "evaluation.target=treated"],
            "evaluation.target=treated: learner=ortho_iv averages on all alone, as it goes by an instrument",
            2,
        ),
        ([*INSTRUMENT, "evaluation.trim=0.1"], "evaluation.trim=0.1: learner=ortho_iv goes by an instrument and", 2),
        (
            [*FRONT_DOOR, "evaluation.target=untreated"],
            "learner=dowhy_front_door averages on all alone, as it goes by a front door",
            2,
        ),
        ([*FRONT_DOOR, "evaluation.trim=0.1"], "learner=dowhy_front_door goes by a front door and leaves none out", 2),
        (
            ["task=exposed_mean", "dataset=ml100k", "evaluation.target=treated"],
            "evaluation.target=treated: is of average effects, but task=exposed_mean asks for exposed_mean",
            2,
        ),
        (
            ["task=exposed_mean", "dataset=ml100k", "evaluation.trim=0.1"],
            "evaluation.trim=0.1: is of average effects, but task=exposed_mean asks for exposed_mean",
            2,
        ),
        (
            ["learner=linear_dml", "dataset.units=300", "evaluation.trim=0.49"],
            "fewer than 10; lower it",
            1,
        ),
    ],
)
def test_an_average_of_nobody_is_one_line(overrides: list[str], said: str, code: int, run: Run) -> None:
    error = run(*overrides, code=code)
    assert said in error and "Traceback" not in error
    assert code == 1 or len(error.strip().splitlines()) == 1


def test_weak_instruments_are_warned_of_beside_the_number(run: Run) -> None:
    sim = [*INSTRUMENT, "dataset.confounder_strength=1", "dataset.units=800", "dataset.instrument_strength=0"]
    record = run(*sim)
    assert ("effect_of_compliers", "training") in scores_of(record)
    assert [line for line in record["warnings"] if "effect_of_compliers@training, first_stage_f@training: ins" in line]
    assert not [metric for metric, _ in scores_of(record) if metric == "average_effect"]


def test_records_of_before_average_over_all_rows() -> None:
    before = Evaluation(replicates=200, seed=0, level=0.95)
    assert (before.target, before.trim) == ("all", 0)
