"""Runs that estimate effects, from raw rows to a record: heads, learners from a table, and what is refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import last_of_each

import causalrec
from causalrec import cli
from causalrec.config.compose import package_folder
from causalrec.data.datasets.effect_simulation import EffectSimulation
from causalrec.data.log import InteractionLog
from causalrec.data.split.random import Random
from causalrec.errors import DataError
from causalrec.evaluation.baseline.constant_effect import ConstantEffect
from causalrec.evaluation.baseline.item_effect import ItemEffect
from causalrec.evaluation.slice.base import EFFECT_KINDS, SliceData, select_all
from causalrec.evaluation.slice.effect_truth import EffectTruthSlice
from causalrec.evaluation.slice.uplift import UpliftSlice
from causalrec.features.views import FeatureMatrix
from causalrec.graph.overlap import arm_overlap
from causalrec.propensity.logged import Logged
from causalrec.propensity.treatment import Treatment
from tests.evaluation.slice_source import Source

TABLE = ["logger=none", "evaluation.replicates=20"]  # what a learner from a table reads too
SMALL = [*TABLE, "selection.folds=1", "trainer.progress=false", "selection.candidates={optimizer.weight_decay:[0.1]}"]
QUICK = [*SMALL, "trainer.max_epochs=1", "trainer.limit_batches=2", "dataset.units=300"]
NETWORKS = {
    "s": ["head=s_net"],
    "t": ["head=t_net"],
    "tarnet": [],
    "weighted": ["objective.weighted=true"],
    "cfr_wass": ["objective=cfr_wass", "head.normalised=true"],
    "cfr_mmd": ["objective=cfr_mmd"],
    "dragonnet": ["objective=dragonnet", "head=dragonnet"],
    "euen": ["head=euen"],
    "descn": ["objective=descn", "head=descn"],
    "x": ["objective=x_learner"],
    "dr": ["objective=dr_learner", "head=t_net"],
}
QUICKEST = {"s", "t", "cfr_mmd", "x", "dr"}  # the others are long
OUTCOMES = ("reward", "click", "count")
ROOT = Path("absent")

Effect = Callable[..., Any]


@pytest.fixture
def effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Effect:
    """Run `causalrec train task=effect` and return its record, or what it said."""
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*overrides: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main(last_of_each("train", "task=effect", "--json", *overrides)) == code
        out, err = capsys.readouterr()
        return err if code else json.loads(out)[0]

    return call


def value(record: dict[str, Any], metric: str, where: str, kind: str = "scores") -> dict[str, Any]:
    (score,) = [candidate for candidate in record[kind] if (candidate["metric"], candidate["slice"]) == (metric, where)]
    return dict(score)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        pytest.param(name, outcome, id=f"{name}-{outcome}", marks=[] if name in QUICKEST else [pytest.mark.long])
        for name, outcome in zip(NETWORKS, itertools.cycle(OUTCOMES))
    ],
)  # the rest: objectives' tests
def test_every_network_trains_on_two_arms(name: str, outcome: str, effect: Effect) -> None:
    record = effect(*QUICK, *NETWORKS[name], f"dataset.outcome={outcome}", "dataset.arms=2")
    assert record["status"] == "done"
    assert {score["slice"] for score in record["scores"]} == {
        f"{where}{arm}" for where in ("in_sample", "out_of_sample", "logged") for arm in ("", "_arm2")
    }
    assert all(np.isfinite(score["value"]) for score in record["scores"] if score["metric"] == "average_effect")
    assert {score["model"] for score in record["baselines"]} == {"constant_effect", "item_effect"}
    assert record["task"]["estimand"] == "effect"
    assert record["overlap"]["inverse_sum"] == pytest.approx(1, abs=0.1)
    assert record["overlap"]["mean_outcome"]["true"] > 0


def test_an_r_learner_is_for_one_arm(effect: Effect) -> None:
    assert effect(*QUICK, "objective=r_learner")["status"] == "done"
    said = effect(*QUICK, "objective=r_learner", "dataset.arms=2", code=2)
    assert "objective=r_learner: is defined for 1 treatment, but effect_simulation has 2 (arm 1, arm 2); set" in said


def test_a_nuisance_that_did_not_converge_stands_in_the_record_under_the_table_and_on_the_terminal(
    effect: Effect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [*TABLE, "learner=linear_dml", "dataset.units=300", "sweep=nuisance"]
    line = "learner=linear_dml: models.model_t (LogisticRegression) did not converge in 5 of 5 fits: Newton solver did"
    assert [warning for warning in effect(*overrides, "name=fine")["warnings"] if "converge" in warning] == []
    assert cli.main(["train", "task=effect", *overrides, "name=short", "learner.models.model_t.max_iter=1"]) == 0
    assert f"- Warning: {line}" in " ".join(capsys.readouterr().out.split())
    (table,) = causalrec.table(tmp_path / "runs" / "nuisance")
    assert [note.startswith(f"Warning: short: {line}") for note in table.footnotes if "converge" in note] == [True]


def test_the_error_of_an_average_lies_in_its_interval_for_baselines_read_from_the_cache_too(effect: Effect) -> None:
    overrides = [*TABLE, "learner=linear_dml", "dataset.units=300", "metric=[ate_error,pehe]"]
    first, again = effect(*overrides, "name=first"), effect(*overrides, "name=again")
    assert first["baselines"] == again["baselines"]
    for score in first["scores"] + first["baselines"]:
        assert score["absolute"] == (score["metric"] == "ate_error")
        if score["absolute"]:
            assert 0 <= score["low"] <= score["value"] <= score["high"], score


def test_a_learner_from_a_table_is_tried_on_the_first_of_the_data(effect: Effect) -> None:
    request = [*TABLE, "learner=t_learner", "dataset.units=800"]
    tried = effect(*request, "trainer=smoke", "trainer.limit_rows=60")
    assert tried["config"]["trainer"].keys() == {"_target_", "limit_users", "limit_items", "limit_rows"}
    assert tried["warnings"][0].startswith("smoke: 100 users and ")
    assert value(tried, "qini", "logged")["n"] <= 60
    assert causalrec.load(next(Path("runs").rglob("record.json"))).config.key == tried["key"], "opens again"
    assert "reads of the trainer limit_users" in effect(*request, "trainer=smoke", "trainer.patience=2", code=2)


@pytest.mark.long
@pytest.mark.parametrize("learner", ["linear_dml", "t_learner"])
def test_a_learner_from_a_table_leaves_the_record_of_a_network_without_its_parts(learner: str, effect: Effect) -> None:
    record = effect(*TABLE, f"learner={learner}", "dataset.units=800")
    assert (record["status"], record["name"]) == ("done", learner)
    assert not {"head", "objective", "sampler", "optimizer", "trainer"} & set(record["config"])
    assert record["selection"]["candidates"] == [] and record["parameters"] == {}
    assert value(record, "average_effect", "training")["n"] == 720
    average = value(record, "average_effect", "training")
    assert average["low"] < 1.9 < average["high"]
    assert value(record, "qini", "logged")["low"] > 0
    trivial = [
        score for score in record["baselines"] if score["metric"] == "sqrt_pehe" and score["slice"] == "out_of_sample"
    ]
    assert value(record, "sqrt_pehe", "out_of_sample")["value"] < min(score["value"] for score in trivial)


def test_an_edited_edge_changes_what_a_learner_reads_as_x_and_w(
    effect: Effect, linear_dml_columns: list[dict[str, Any]]
) -> None:
    """To the call of EconML itself."""
    seen = linear_dml_columns
    overrides = [*TABLE, "learner=linear_dml", "dataset.units=400", "graph.modifiers=[x2]"]
    edges = [f"x{k} -> exposure" for k in (0, 1)] + [f"x{k} -> outcome" for k in range(5)] + ["exposure -> outcome"]
    read = {}
    for name, dropped in (("whole", None), ("cut", "x0 -> exposure")):
        remaining = ",".join(f"'{edge}'" for edge in edges if edge != dropped)
        record = effect(*overrides, f"graph.edges=[{remaining}]", f"name={name}")
        read[name] = record["adjustment"]["effect_modifiers"], record["adjustment"]["effect_controls"]
    assert read == {"whole": (["x2"], ["x0", "x1"]), "cut": (["x2"], ["x1"])}
    assert [columns["X"].shape[1] for columns in seen] == [1, 1] and [columns["W"].shape[1] for columns in seen] == [
        2,
        1,
    ]
    np.testing.assert_array_equal(seen[0]["W"][:, 1], seen[1]["W"][:, 0])
    record = effect(*overrides[:-1], "name=default")
    assert record["adjustment"]["effect_modifiers"] == [f"x{k}" for k in range(5)]
    assert seen[-1]["X"].shape[1] == 5 and "W" not in seen[-1]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["objective=naive", "head=dot"],
            "objective=naive: estimates exposed_mean, but task=effect asks for effect; choose another objective, or",
        ),
        (["head=dot"], "objective=factual: reads arms of the head, which head=dot does not give; set head=tarnet"),
        (["objective=dragonnet"], "objective=dragonnet: reads epsilon, propensity of the head, which head=tarnet does"),
        (
            ["propensity=logistic"],
            "propensity=logistic: tells exposure among all pairs, but an effect needs that of the",
        ),
        (
            ["baseline=[constant_effect,item_effect,popularity]"],
            "baseline=popularity: predicts exposed_mean, but task=effect asks for effect; set baseline=[constant_e",
        ),
        (["baseline=[constant_effect]"], "baseline: item_effect missing; the trivial baselines are mandatory"),
        (["graph.modifiers=[y]"], "graph.modifiers: 'y' is no column of effect_simulation; "),
        (
            ["learner=ortho_iv"],
            "learner=ortho_iv: goes by an instrument, but the graph identifies the effect by backdoor",
        ),
        (
            ["graph=effect_simulation_instrument", "learner=linear_dml"],
            "the effect of effect_simulation by instrument (nudge); set learner=ortho_iv, or graph.assume=true",
        ),
        (["graph=effect_simulation_front_door"], "by front-door (seen); set learner=dowhy_front_door, or graph.assume"),
        (
            ["graph=effect_simulation_instrument", "learner=ortho_iv", "graph.modifiers=[x0,nudge]"],
            "graph.modifiers: 'nudge' identifies the effect",
        ),
        (["learner=lineardml"], "learner=lineardml: unknown component; did you mean 'linear_dml'"),
    ],
)
def test_what_does_not_go_together_is_one_line_before_any_work(overrides: list[str], said: str, effect: Effect) -> None:
    by_table = any(text.startswith("learner=") for text in overrides)
    error = effect(*(TABLE if by_table else QUICK), *overrides, code=2)
    assert said in error and len(error.strip().splitlines()) == 1


def test_a_learner_of_effects_answers_no_other_question(effect: Effect, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["task=exposed_mean", "dataset=ml100k", "learner=linear_dml"]
    assert cli.main(last_of_each("train", *overrides)) == 2
    said = capsys.readouterr().err
    assert "learner=linear_dml: estimates effect, but task=exposed_mean asks for exposed_mean" in said
    assert "set task=effect" in said and len(said.strip().splitlines()) == 1


def test_a_descendant_of_exposure_is_no_modifier_and_is_never_read(effect: Effect) -> None:
    """x4 made an effect of exposure: read by no view, and refused where it is asked for."""
    edges = "['x0 -> exposure','x1 -> exposure','x0 -> outcome','x1 -> outcome','exposure -> x4','x4 -> outcome',"
    edges += "'exposure -> outcome']"
    record = effect(*QUICK, f"graph.edges={edges}")
    assert "x4" not in record["adjustment"]["outcome_features"]
    said = effect(*TABLE, f"graph.edges={edges}", "graph.modifiers=[x4]", "learner=linear_dml", code=2)
    assert "graph.modifiers: 'exposure' causes 'x4'; name columns it does not cause" in said


def test_an_arm_without_a_training_row_is_told(effect: Effect) -> None:
    said = effect(*QUICK, "dataset.units=12", "dataset.arms=4", "split.test=0.5", code=1)
    assert "no training row has exposure 1 (arm 1), as the test holds rows at random; hold out others" in said


def log_of(treatment: list[int], outcome: list[float], item: list[int] | None = None) -> InteractionLog:
    items = np.array(item or [0] * len(treatment), np.int64)
    return InteractionLog(items, np.array(treatment), np.array(outcome, np.float32), int(items.max()) + 1, name="rows")


def test_trivial_effects_by_hand() -> None:
    log = log_of([0, 0, 1, 1, 2], [1, 2, 4, 5, 1.5], [0, 1, 0, 1, 1])
    constant, by_item = ConstantEffect(), ItemEffect(prior=0)
    for baseline in (constant, by_item):
        baseline.fit(log)
    pairs = np.zeros(2, np.int64), np.array([0, 1])
    np.testing.assert_allclose(constant.predict(*pairs), [[3, 0], [3, 0]])
    np.testing.assert_allclose(by_item.predict(*pairs)[:, 0], [3, 3])
    np.testing.assert_allclose(by_item.predict(*pairs)[1, 1], -0.5)


def test_treatment_propensities_are_those_of_the_simulation() -> None:
    data = EffectSimulation(units=20_000, arms=2).load(ROOT)
    x = data.user_table.to_numpy()
    view = FeatureMatrix(("x0", "x1"), (), x[:, :2].astype(np.float32), np.zeros((1, 0), np.float32), ())
    model = Treatment()
    model.fit(data.logged, view)
    odds = np.stack([np.zeros(len(x)), x[:, 0] + x[:, 1], (x[:, 0] + x[:, 1]) / 2], 1)
    truth = np.exp(odds) / np.exp(odds).sum(1, keepdims=True)
    chances = model.treatment_probabilities(data.logged, 2)
    assert np.abs(chances - truth).max() < 0.03
    np.testing.assert_allclose(model.predict(data.logged), chances[np.arange(len(x)), data.logged.treatment])


def test_logged_propensities_of_one_arm_tell_the_other_and_of_several_must_be_logged_for_each() -> None:
    log = log_of([0, 1, 1], [0, 1, 1]).with_propensity(np.array([0.5, 0.75, 0.5], np.float32))
    np.testing.assert_allclose(Logged().treatment_probabilities(log, 1), [[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]])
    with pytest.raises(DataError, match=r"propensities of treatment 1 differ by row, .*log one for each arm"):
        Logged().treatment_probabilities(log, 2)
    of_arms = np.array([[0.5, 0.25, 0.25], [0.1, 0.75, 0.15], [0.2, 0.5, 0.3]], np.float32)
    with_all = replace(log, arm_probabilities=of_arms)
    np.testing.assert_array_equal(Logged().treatment_probabilities(with_all, 2), of_arms)
    with pytest.raises(DataError, match="row 0: the logged propensities of all arms do not sum to 1"):
        replace(log, arm_probabilities=of_arms * np.float32(0.9))


def select(source: Source) -> list[SliceData]:
    selected = select_all({"effect_truth": EffectTruthSlice(), "uplift": UpliftSlice()}, source, EFFECT_KINDS)
    return [data for chosen in selected.values() for data in chosen]


def test_slices_hold_the_truth_of_an_arm_and_the_rows_under_it_or_none() -> None:
    data = EffectSimulation(units=500, arms=2).load(ROOT)
    splits = Random(test=0.4)(data)
    model = Treatment()
    model.fit(splits.train, FeatureMatrix((), (), np.zeros((500, 0), np.float32), np.zeros((1, 0), np.float32), ()))
    slices = {rows.name: rows for rows in select(Source(data, splits, model))}
    assert list(slices) == [
        "in_sample",
        "out_of_sample",
        "in_sample_arm2",
        "out_of_sample_arm2",
        "logged",
        "logged_arm2",
    ]
    assert not list(UpliftSlice().select(Source(data, splits, model, adjusts=False)))
    inside, outside, seen = slices["in_sample_arm2"], slices["out_of_sample_arm2"], slices["logged_arm2"]
    assert len(inside.item) + len(outside.item) == 500 and not set(inside.user) & set(outside.user)
    means = data.potential.means(outside.user, outside.item)  # type: ignore[union-attr]
    np.testing.assert_array_equal(outside.label, means[:, 2] - means[:, 0])
    taken = splits.test.take(splits.test.treatment != 1)
    assert seen.treatment is not None and seen.propensity is not None
    np.testing.assert_array_equal(seen.treatment, taken.treatment // 2)
    np.testing.assert_array_equal(seen.label, taken.outcome)
    counts = np.bincount(splits.train.treatment)
    np.testing.assert_allclose(seen.propensity, counts[2] / (counts[0] + counts[2]), rtol=1e-6)


def test_every_learner_on_disk_is_a_choice() -> None:
    assert {"linear_dml", "causal_forest_dml", "dr_learner", "linear_dr_learner", "x_learner", "network"} <= {
        path.stem for path in (package_folder("conf") / "learner").glob("*.yaml")
    }


def trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Callable[[list[str]], list[str]] | None = None
) -> list[str]:
    """A table of an experiment of one's own: 400 persons, an arm drawn evenly, an outcome of effect 2 + age / 10."""
    rng, folder = np.random.default_rng(0), tmp_path / "data" / "csv"
    age, arm = rng.normal(size=400), rng.integers(2, size=400)
    spent = age + arm * (2 + age / 10) + rng.normal(size=400)
    rows = [f"p{k},offer,{arm[k]},{spent[k]:.4f},0.5" for k in range(400)]
    folder.mkdir(parents=True)
    (folder / "interactions.csv").write_text("\n".join(["who,what,arm,spent,chance", *(edit(rows) if edit else rows)]))
    coin = np.where(rng.random(400) < 0.1, 1 - arm, arm)
    people = [f"p{k},{age[k]:.4f},{coin[k]}" for k in range(400)]
    (folder / "people.csv").write_text("\n".join(["who,age,coin", *people]))
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "data"))
    keys = {
        "user": "who",
        "item": "what",
        "exposure": "arm",
        "outcome": "spent",
        "propensity": "chance",
        "kind": "reward",
    }
    overrides = [f"dataset.{key}={column}" for key, column in keys.items()]
    overrides += [
        "dataset=csv",
        "dataset.threshold=null",
        "dataset.feedback=exposure_logged",
        "dataset.self_selected=false",
    ]
    overrides += ["dataset.users={file: people.csv, id: who, columns: {age: numeric, coin: numeric}}"]
    overrides += ["graph.edges=['age -> outcome','exposure -> outcome']", "graph.latent=[]", "split.unseen=keep"]
    return [*overrides, "propensity=logged", "dataset.randomised_log=true", "logger=none", "evaluation.replicates=20"]


def test_an_experiment_of_ones_own_needs_no_python(
    effect: Effect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = trial(tmp_path, monkeypatch)
    record = effect(*overrides, "dataset.arms=[offer]", "learner=linear_dml")
    average = value(record, "average_effect", "training")
    assert average["low"] < 2 < average["high"] < average["low"] + 0.8
    assert record["adjustment"]["training"]["strategy"] == "randomised"
    assert record["adjustment"]["effect_modifiers"] == ["age"]


def test_arms_of_a_table_are_named_and_have_outcomes(
    effect: Effect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = trial(tmp_path, monkeypatch, lambda rows: [*rows[:-1], "p399,offer,2,1.0,0.5"])
    error = effect(*overrides, "dataset.arms=[offer]", "learner=linear_dml", code=1)
    assert "line 401: arm: exposures are 0 to 1 without a gap" in error
    assert "but the file has 0, 1, 2; name 2 arms in dataset.arms" in error
    keys = [override for override in overrides if override.startswith(("dataset.", "graph."))]
    assert cli.main(["data", "check", "csv", *keys, "dataset.arms=[offer,other]"]) == 0
    assert cli.main(["data", "check", "csv", *keys, "dataset.arms=[offer]"]) == 1, "told before any run"
    untreated_missing = effect(
        *overrides, "dataset.arms=[offer,other]", "dataset.exposure=null", "learner=linear_dml", code=2
    )
    assert "dataset.arms: effects need rows of exposure 0 too" in untreated_missing
    again = effect(*overrides, "dataset.arms=[offer,offer]", "learner=linear_dml", code=2)
    assert "a name is given twice" in again
    not_random = effect(*overrides, "dataset.arms=[offer]", "dataset.self_selected=true", "learner=linear_dml", code=2)
    assert "dataset.randomised_log: says that treatment was drawn at random, which needs" in not_random


def test_an_arm_of_a_table_without_a_row_is_told(
    effect: Effect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = trial(tmp_path, monkeypatch)
    error = effect(*overrides, "dataset.arms=[offer,other]", "learner=linear_dml", code=1)
    assert "but the file has 0, 1; add rows of 2, or name the 1 it has in dataset.arms" in error


def test_instruments_need_no_judge_and_their_strength_is_told(
    effect: Effect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log of one's own with a hidden cause: no row judges a prediction, and the average is told all the same."""
    overrides = [
        entry
        for entry in trial(tmp_path, monkeypatch)
        if entry not in ("dataset.randomised_log=true", "propensity=logged")
    ]
    edges = "'coin -> exposure','h -> exposure','h -> outcome','age -> outcome','exposure -> outcome'"
    overrides += ["dataset.arms=[offer]", f"graph.edges=[{edges}]", "graph.latent=[h]", "graph.assume=false"]
    overrides += ["propensity=treatment"]
    record = effect(*overrides, "learner=ortho_iv")
    assert {(entry["metric"], entry["slice"]) for entry in record["scores"]} == {
        ("effect_of_compliers", "training"),
        ("first_stage_f", "training"),
    }
    average = value(record, "effect_of_compliers", "training")
    assert average["low"] < 2 < average["high"] < average["low"] + 1
    refusal = effect(*overrides, "learner=ortho_iv", "dataset.arms=[offer,other]", code=2)
    assert "2 treatments need as many instruments, and the graph of csv has coin" in refusal
    sim = [
        "graph=effect_simulation_instrument",
        "learner=ortho_iv",
        "dataset.confounder_strength=1",
        "dataset.units=800",
    ]
    strong, weak = (effect(*TABLE, *sim, f"dataset.instrument_strength={nudge}", f"name=n{nudge}") for nudge in (2, 0))
    assert (
        value(strong, "first_stage_f", "training")["value"]
        > 50
        > 10
        > value(weak, "first_stage_f", "training")["value"]
    )


def test_weights_that_explode_and_arms_that_do_not_overlap_are_warned_of(effect: Effect) -> None:
    """With log-odds of a standard deviation of 8, many rows have one possible treatment."""
    sim = [*TABLE, "learner=linear_dr_learner", "dataset.units=1500"]
    fine, apart = (effect(*sim, f"dataset.confounding={strength}", f"name=c{strength}") for strength in (0.5, 6))
    assert fine["overlap"]["warnings"] == []
    warned = " ".join(apart["overlap"]["warnings"])
    assert "of the rows had, by p, next to no chance of another arm than theirs" in warned
    assert "p is not calibrated" not in warned, "it is: rows of the unlikely arm are missing"
    assert "standard deviations after weighting, above 0.1" in warned


def test_a_few_rows_that_carry_all_the_weight_are_warned_of() -> None:
    chance, treatment = np.full(1000, 0.9, np.float32), np.tile([0, 1], 500)
    chance[:4] = 1e-5
    log = InteractionLog(np.zeros(1000, int), treatment, np.ones(1000, np.float32), 1, propensity=chance)
    warned = " ".join(arm_overlap(log, clip=0.01, truth=None).warnings)
    assert "effective rows are 4 of 1000, below 10 %" in warned


def test_a_score_without_an_interval_is_shown_without_one(effect: Effect, capsys: pytest.CaptureFixture[str]) -> None:
    sim = [
        *TABLE,
        "graph=effect_simulation_instrument",
        "learner=ortho_iv",
        "dataset.confounder_strength=1",
        "dataset.instrument_strength=2",
    ]
    for seed in (0, 1):
        effect(*sim, "dataset.units=600", f"dataset.seed={seed}", "sweep=shown")
    for ask in (["table", "runs/shown"], ["table", "runs/shown", "--json"], ["report", "runs/shown"]):
        assert cli.main(ask) == 0
    out = capsys.readouterr().out
    assert "nan" not in out.lower() and "first_stage_f" in out
    assert "first_stage_f" in Path("runs/shown/report.html").read_text(encoding="utf-8")
