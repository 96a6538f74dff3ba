"""Refuters, by worked numbers and by effects that are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from causalrec import cli
from causalrec.commands import refute
from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.data.datasets.effect_simulation import EffectSimulation
from causalrec.errors import DataError
from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest
from causalrec.estimators.effect.base import LearnerData
from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict
from causalrec.evaluation.refuter.negative_control import NegativeControl
from causalrec.evaluation.refuter.re_estimation import LINEAR_CROSSFIT, ReEstimator
from causalrec.evaluation.refuter.run_refuters import run_refuters

REFUTERS: list[AbstractEffectRefuter] = [
    validate_component(name, node, AbstractEffectRefuter).build()
    for name in yaml.safe_load((package_folder("conf") / "task" / "effect.yaml").read_text())["defaults"][-1][
        "override /refuter"
    ]
    for node in yaml.safe_load((package_folder("conf") / "refuter" / f"{name}.yaml").read_text()).values()
]
TABLE = ["logger=none", "evaluation.replicates=20", "dataset.units=600"]  # what a learner from a table reads too
STRENGTHS = ("unobserved common cause", "E-value", "marginal sensitivity")
SMALL = [*TABLE, "trainer.progress=false"]


def problem_of(
    seed: int = 0,
    units: int = 1200,
    confounder_strength: float = 0.0,
    leaked: bool = False,
    repeats: int = 6,
    **changes: Any,
) -> RefutationProblem:
    """The simulation's effect, estimated from x0..x4 (and, leaked, from the outcome itself with a little noise)."""
    data = EffectSimulation(
        units=units, confounder_strength=confounder_strength, seed=seed, randomised=units // 2, **changes
    ).load(Path())
    log, table = data.logged, data.user_table.to_numpy()
    x = table[log.users, :5]
    if leaked:
        noise = np.random.default_rng(seed).normal(size=len(x))
        x = np.c_[x, log.outcome + 0.1 * noise]
    estimate, seen = ReEstimator(), data.randomised
    assert seen is not None
    clusters, seen_clusters = ((log.users,), (seen.users,)) if len(log) > units else ((), ())  # several rows of a unit
    rows = LearnerData(
        x, np.zeros((len(x), 0)), log.treatment, log.outcome.astype(np.float64), 1, False, clusters=clusters
    )
    rows = replace(rows, groups=clusters[0] if clusters else None)
    means, propensities = LINEAR_CROSSFIT.nuisances(rows, 0)
    return RefutationProblem(
        rows=rows,
        estimate=estimate,
        original=estimate(rows, 0),
        propensities=propensities,
        means=means,
        negative_controls={"z": table[log.users, 5]},
        randomised=AdjustedRows.from_random_assignment(
            seen.outcome.astype(np.float64), seen.treatment, np.full((len(seen), 2), 0.5), seen_clusters
        ),
        repeats=repeats,
        seed=seed,
    )


def by_name(verdicts: list[RefuterVerdict]) -> dict[str, RefuterVerdict]:
    return {verdict.refuter: verdict for verdict in verdicts}


def test_a_clean_effect_stands_and_each_refuter_says_what_it_cannot_see() -> None:
    verdicts = by_name(run_refuters(REFUTERS, problem_of(seed=1)))
    assert list(verdicts) == [refuter.name for refuter in REFUTERS]
    strengths = {name for name, verdict in verdicts.items() if verdict.verdict == "measured"}
    assert strengths == set(STRENGTHS) and all(verdicts[name].finding.startswith("0 at ") for name in strengths)
    assert {verdict.verdict for name, verdict in verdicts.items() if name not in strengths} == {"passes"}
    assert all(verdict.limitation and verdict.rule for verdict in verdicts.values())
    assert abs(verdicts["placebo exposure"].value) < 0.15 and abs(verdicts["dummy outcome"].value) < 0.15
    assert verdicts["random common cause"].value == pytest.approx(verdicts["data subset"].value, abs=0.1)


def test_a_hidden_confounder_passes_the_blind_ones_and_is_flagged_by_the_others() -> None:
    verdicts = by_name(run_refuters(REFUTERS, problem_of(confounder_strength=2.0)))
    for name in ("placebo exposure", "dummy outcome", "random common cause", "data subset"):
        assert verdicts[name].verdict == "passes"
    assert verdicts["negative control outcome"].verdict == verdicts["randomised rows"].verdict == "fails"


def test_a_leaked_outcome_is_flagged() -> None:
    assert by_name(run_refuters(REFUTERS, problem_of(leaked=True)))["leak"].verdict == "fails"


def test_no_overlap_is_flagged() -> None:
    assert by_name(run_refuters(REFUTERS, problem_of(confounding=6.0)))["overlap"].verdict == "fails"


def test_of_a_correct_null_there_is_nothing_to_explain_and_nothing_fails() -> None:
    verdicts = by_name(run_refuters(REFUTERS, problem_of(effect=0.0, heterogeneity=0.0)))
    for name in STRENGTHS:
        assert (verdicts[name].verdict, verdicts[name].finding) == ("nothing to explain", "nothing to explain away")
        assert not verdicts[name].scenarios
    assert verdicts["E-value"].low == 1 and verdicts["marginal sensitivity"].low == 1
    assert verdicts["unobserved common cause"].low == 0
    assert {v.verdict for v in verdicts.values()} == {"passes", "nothing to explain"}


def test_what_is_not_there_is_not_testable_and_never_a_pass() -> None:
    verdicts = by_name(
        run_refuters(REFUTERS, replace(problem_of(units=300), negative_controls={}, randomised=None, repeats=2))
    )
    assert verdicts["negative control outcome"].verdict == verdicts["randomised rows"].verdict == "not testable"


def test_a_negative_control_is_not_read_beside_itself_and_nothing_else_changes() -> None:
    """x3 is a column that exposure does not touch: read as a column of X too, its effect would be 0 by construction."""
    seen: list[LearnerData] = []

    def record_rows(rows: LearnerData, seed: int) -> AverageEffect:
        seen.append(rows)
        return LINEAR_CROSSFIT.average(rows, AverageRequest(), seed)

    problem = problem_of(units=400)
    names = tuple(f"x{k}" for k in range(5))
    rows = replace(problem.rows, modifier_names=names)
    named = replace(problem, rows=rows, estimate=record_rows, negative_controls={"x3": rows.modifiers[:, 3]})
    (verdict,) = NegativeControl()(named)
    assert verdict.verdict == "passes" and seen[0].modifier_names == ("x0", "x1", "x2", "x4")
    np.testing.assert_array_equal(seen[0].modifiers, rows.modifiers[:, [0, 1, 2, 4]])
    np.testing.assert_array_equal(seen[0].outcome, rows.modifiers[:, 3])
    alone = replace(rows, modifiers=rows.modifiers[:, 3:4], modifier_names=("x3",))
    (verdict,) = NegativeControl()(replace(named, rows=alone))
    assert verdict.verdict == "not testable" and len(seen) == 1


def test_what_one_refuter_cannot_work_on_leaves_the_others() -> None:
    problem = problem_of(units=300, repeats=2)

    def require_all_rows(rows: LearnerData, seed: int) -> AverageEffect:
        if len(rows) < len(problem.rows):
            raise DataError("effect: arm 1 has 9 rows")
        return problem.estimate(rows, seed)

    verdicts = by_name(run_refuters(REFUTERS, replace(problem, estimate=require_all_rows)))
    assert (verdicts["data subset"].verdict, verdicts["data subset"].rule) == (
        "not testable",
        "effect: arm 1 has 9 rows",
    )
    assert [name for name, verdict in verdicts.items() if verdict.verdict == "not testable"] == ["data subset"]


def test_a_learner_without_an_error_is_refuted_by_linear_models_and_says_so() -> None:
    problem = problem_of(units=300, repeats=2)

    class Silent:
        def average(self, *_: Any) -> None:
            return None

    def fit_silent(rows: LearnerData, seed: int) -> Any:
        return Silent()

    chosen, average = ReEstimator.from_learner(fit_silent, AverageRequest(), problem.rows, 0)
    assert chosen.learner is None and average.value == problem.original.value


@pytest.mark.long
def test_processes_give_the_verdicts_of_one() -> None:
    problem, ticks = problem_of(units=300, repeats=2), []
    assert repr(run_refuters(REFUTERS, problem, 2, lambda: ticks.append(1))) == repr(run_refuters(REFUTERS, problem))
    assert len(ticks) == len(REFUTERS)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    return run


@pytest.mark.long
def test_the_command_leaves_verdicts_and_a_plot_beside_the_record(
    call: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        call("train", "task=effect", *TABLE, "learner=linear_dml", "dataset.confounder_strength=2", "name=run")[0] == 0
    )
    (folder,) = Path("runs/default/run").iterdir()
    code, out, _ = call("refute", str(folder), "--json", "--negative-control", "z")
    report = json.loads(out)
    assert code == 0 and report == json.loads((folder / "refute.json").read_text())
    assert (folder / "refute.png").read_bytes().startswith(b"\x89PNG")
    (control,) = [verdict for verdict in report["verdicts"] if verdict["refuter"] == "negative control outcome"]
    assert control["verdict"] == "fails" and report["estimator"] == "linear_dml"
    refute._print_refutation(report)
    shown = capsys.readouterr().out
    assert "0 at " in shown and "not testable" in shown and "what a hidden cause would leave of the effect" in shown
    assert report["detectable"] == [None] and report["error"][0] > 0


def test_a_run_may_ask_to_be_refuted(call: Any) -> None:
    overrides = [
        *SMALL,
        "refute=true",
        "trainer=smoke",
        "selection.folds=1",
        "selection.candidates={optimizer.weight_decay:[0.1]}",
        "head.width=8",
        "head.arm_width=4",
    ]
    assert call("train", "task=effect", *overrides)[0] == 0
    (path,) = Path("runs").rglob("refute.json")
    assert "linear models" in json.loads(path.read_text())["estimator"]


def test_a_mean_under_exposure_is_no_effect_to_refute(call: Any, fake_ml100k: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_ml100k(Path("data").absolute(), users=60, items=50, ratings=900)))
    overrides = [
        *SMALL[:2],
        SMALL[-1],
        "trainer=smoke",
        "selection.folds=1",
        "selection.candidates={optimizer.weight_decay:[0.1]}",
        "dataset.test_items=10",
        "name=run",
    ]
    assert call("train", *overrides)[0] == 0
    (folder,) = Path("runs/default/run").iterdir()
    code, _, err = call("refute", str(folder))
    assert code == 2 and err.count("\n") == 1
    assert "estimates exposed_mean and has no refuters; runs of task=effect can be refuted" in err


def test_what_cannot_be_refuted_is_one_line(call: Any, tmp_path: Path) -> None:
    code, _, err = call("refute", "nowhere")
    assert code == 2 and err.startswith(
        "causalrec: nowhere/record.json: no record of a run; give the folder of one job"
    )
    assert call("train", "task=effect", *TABLE, "learner=linear_dml", "name=run")[0] == 0
    (folder,) = Path("runs/default/run").iterdir()
    code, _, err = call("refute", str(folder), "--negative-control", "x0")
    assert code == 2 and err == (
        "causalrec: --negative-control x0: the effect is adjusted for it; name a column that neither causes exposure "
        "nor follows it\n"
    )
    assert call("refute", str(folder), "--jobs", "0")[::2] == (2, "causalrec: --jobs 0: at least 1\n")
    assert call("refute", str(folder), "--repeats", "2")[::2] == (2, "causalrec: --repeats 2: from 3 to 10,000\n")
    code, _, err = call("refute", str(folder), "--negative-control", "x9")
    assert code == 2 and "x9: no numeric column of effect_simulation; did you mean" in err
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "status": "failed"}))
    code, _, err = call("refute", str(folder))
    assert code == 2 and "the run is failed; run it again first: causalrec train" in err
    (folder / "record.json").write_text(
        json.dumps({**record, "config": {**record["config"], "dataset": {**record["config"]["dataset"], "units": 601}}})
    )
    code, _, err = call("refute", str(folder))
    assert code == 2 and "its configuration was edited; run it again first" in err
