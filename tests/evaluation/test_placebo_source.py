"""A source destroyed: what is permuted and what is not, what the gains are over, and what is said of them."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalrec import api, cli
from causalrec.config.component import load_class, validate_component
from causalrec.config.compose import compose_config, normalise_overrides, package_folder, validate_config
from causalrec.config.run_config import Placebo
from causalrec.config.schema import ExperimentConfig
from causalrec.data.placebo import deal_anew
from causalrec.errors import DataError, RequestError
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.ratio import fieller_set, unite
from causalrec.estimators.score_contrasts import ScoreContrasts
from causalrec.evaluation.refuter.placebo_source import PlaceboSource, gains_of
from causalrec.evaluation.refuter.sources import SourceProblem
from causalrec.prepared import PreparedData
from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord
from causalrec.reporting.compare import paired_test
from causalrec.reporting.source_gains import source_json, source_of_json, source_table
from causalrec.running.prepare import plan_run, prepare_data
from causalrec.running.reopen import reopen_run
from causalrec.running.trained_run import TrainedRun
from causalrec.sweeps.packed_launcher import group_key
from causalrec.sweeps.sources import score_contrasts
from tests.conftest import FakeCoat
from tests.evaluation.placebo_world import config_of as world_config

COAT = ["dataset=coat", "dataset.threshold=3", "split.unseen=keep", "logger=none", "trainer.progress=false"]
COAT += ["trainer.max_epochs=3", "selection.candidates=none", "evaluation.replicates=20", "metric=[auc,mse]"]
HYBRID = [*COAT, "encoder=hybrid", "encoder.item=[id,features]", "encoder.user=[id]", "objective=ips"]
Config = Callable[..., ExperimentConfig]


@pytest.fixture
def folder(fake_coat: FakeCoat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_coat(tmp_path / "data", users=30, items=20)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config_of(*overrides: str) -> ExperimentConfig:
    return validate_config(compose_config(normalise_overrides([*overrides])))


def prepare(*overrides: str) -> PreparedData:
    config = config_of(*overrides)
    return prepare_data(config, plan_run(config))


# what is destroyed


def test_a_share_is_dealt_anew_and_none_of_it_keeps_its_own() -> None:
    for share in (0.1, 0.5, 1.0):
        order = deal_anew(40, share, np.random.default_rng(3))
        assert sorted(order) == list(range(40)) and (order != np.arange(40)).sum() == round(40 * share)


def test_features_are_given_to_other_items_after_the_propensity_was_fitted(folder: Path) -> None:
    plain, placebo = prepare(*HYBRID), prepare(*HYBRID, "placebo.source=features")
    before, after = plain.features.item_block, placebo.features.item_block
    assert not np.array_equal(before, after)
    assert sorted(map(tuple, before.tolist())) == sorted(map(tuple, after.tolist())), "all there was is still there"
    np.testing.assert_array_equal(plain.features.user_block, placebo.features.user_block)
    assert plain.train.propensity is not None and placebo.training_rows.propensity is not None
    np.testing.assert_array_equal(plain.train.propensity, placebo.training_rows.propensity)
    assert plain.dataset.item_table.equals(placebo.dataset.item_table), "slices and recommendations read it"
    np.testing.assert_array_equal(prepare(*HYBRID, "placebo.source=features").features.item_block, after)
    assert not np.array_equal(prepare(*HYBRID, "placebo.source=features", "seed=1").features.item_block, after)
    alike = prepare(*HYBRID, "placebo.source=features", "placebo.uniform=true").features.item_block
    assert (alike == alike[0]).all()


def test_all_texts_of_an_item_go_together_and_nothing_else_does(folder: Path) -> None:
    text = [*COAT, "encoder=bert", "objective=naive"]
    plain, placebo = prepare(*text), prepare(*text, "placebo.source=text", "placebo.share=0.5")
    columns = ["item_gender", "item_jackettype", "item_color"]
    before, after = (data.encoder_data.item_table.select(columns).rows() for data in (plain, placebo))
    assert before != after and sorted(before) == sorted(after)
    assert plain.encoder_data is plain.dataset and placebo.dataset.item_table.select(columns).rows() == before
    np.testing.assert_array_equal(plain.features.item_block, placebo.features.item_block)


def test_vectors_of_items_are_features(tmp_path: Path) -> None:
    config = world_config(tmp_path, "taste")
    placebo = config.replace(run=config.run.model_copy(update={"placebo": Placebo(source="features")}))
    (before,), (after,) = (prepare_data(c, plan_run(c)).encoder_data.item_vectors.values() for c in (config, placebo))
    assert not np.array_equal(before, after) and np.array_equal(np.sort(before, 0), np.sort(after, 0))
    assert group_key(placebo) != group_key(placebo.replace(run=placebo.run.model_copy(update={"seed": 1})))
    assert group_key(config) == group_key(config.replace(run=config.run.model_copy(update={"seed": 1})))


def test_propensities_are_dealt_among_rows_and_pairs_and_the_criterion_keeps_its_own(folder: Path) -> None:
    rows = [*COAT, "encoder=mf", "objective=ips"]
    plain, placebo = prepare(*rows), prepare(*rows, "placebo.source=propensities")
    before, after = plain.training_rows.propensity, placebo.training_rows.propensity
    assert before is not None and after is not None and (before != after).any()
    np.testing.assert_array_equal(np.sort(before), np.sort(after))
    np.testing.assert_array_equal(plain.validation.propensity, placebo.validation.propensity)
    np.testing.assert_array_equal(plain.train.propensity, placebo.train.propensity)
    pairs = np.arange(30)[:, None], np.arange(20)[None, :]
    of_pairs = [np.asarray(data.pair_propensity(*pairs)) for data in (plain, placebo)]
    assert (of_pairs[0] != of_pairs[1]).any()
    np.testing.assert_array_equal(*(np.sort(values.ravel()) for values in of_pairs))
    alike = prepare(*rows, "placebo.source=propensities", "placebo.uniform=true")
    (one_value,) = np.unique(alike.training_rows.propensity)
    assert one_value == pytest.approx(1 / np.mean(1 / before), rel=1e-6), "the weights sum to what they did"
    np.testing.assert_array_equal(np.unique(alike.pair_propensity(*pairs)), [one_value])


def test_propensities_of_arms_go_with_all_arms_of_another_row() -> None:
    rows = ["task=effect", "dataset.units=300", "objective=factual", "objective.weighted=true", "logger=none"]
    plain, placebo = prepare(*rows), prepare(*rows, "placebo.source=propensities")
    before, after = (data.arm_propensities(data.training_rows) for data in (plain, placebo))
    np.testing.assert_allclose(after.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.sort(before[:, 1]), np.sort(after[:, 1]), atol=1e-6)
    received = np.take_along_axis(after, placebo.training_rows.treatment[:, None], 1)[:, 0]
    np.testing.assert_allclose(placebo.training_rows.propensity, received, rtol=1e-5)
    alike = prepare(*rows, "placebo.source=propensities", "placebo.uniform=true")
    assert np.ptp(alike.arm_propensities(alike.training_rows), axis=0).max() < 1e-6


# what it is compared with


@pytest.mark.parametrize(
    ("overrides", "sources"),
    [
        (["encoder=mf", "objective=naive"], {"features"}),  # the head reads the view's numbers
        (["encoder=mf", "objective=mrdr"], {"features", "propensities"}),
        (["encoder=hybrid", "objective=ips"], {"text", "features", "propensities"}),
        (["encoder=bert", "objective=naive"], {"text", "features"}),
        (["encoder=bert", "encoder.item=[id]", "objective=naive"], {"features"}),
        (["encoder=cross", "objective=naive"], {"text", "features"}),
    ],
)
def test_a_run_says_what_it_reads_and_each_job_without_it_can_be_run(overrides: list[str], sources: set[str]) -> None:
    config = config_of(*COAT, *overrides)
    assert config.components.learner is not None
    without = config.components.learner.without_sources(config, plan_run(config).views)
    assert set(without) == sources
    for source, job in without.items():
        plan_run(job)
        assert job.run.name == f"{config.run.name}-without_{source}" and job.key != config.key
        assert job.objective == config.objective


def test_without_a_source_of_items_the_user_keeps_its_own() -> None:
    config = config_of(*COAT, "encoder=hybrid", "objective=naive")
    assert config.components.learner is not None
    without = config.components.learner.without_sources(config, plan_run(config).views)
    assert without["text"].encoder.settings["item"] == ("features", "id")
    assert without["text"].run.placebo.source is None, "nothing reads a text then"
    assert without["features"].encoder.settings["item"] == ("id", "text")
    assert without["features"].run.placebo == Placebo(source="features", uniform=True), "the head reads numbers still"
    assert all(job.encoder.settings["user"] is None for job in without.values())
    towers = config_of(*COAT, "encoder=bert", "encoder.user=[id,history]", "objective=naive")
    assert towers.components.learner is not None
    (text,) = [
        job
        for source, job in towers.components.learner.without_sources(towers, plan_run(towers).views).items()
        if source == "text"
    ]
    assert text.encoder.target.__name__ == "MF", "histories read the texts of items too"


SILENT = ("Factual", "SampledSoftmax", "CDREIB", "DCETDR")  # as they are set, or by names of those of their own


def test_each_objective_says_whether_it_reads_propensities() -> None:
    """By what its source names: the class variable must not be forgotten."""
    words = ("batch.propensity", "joint_learning(", "batch.arm_propensities", "arm_probabilities(", "targeted_terms(")
    for path in sorted((package_folder("conf") / "objective").glob("*.yaml")):
        name = next(line for line in path.read_text().splitlines() if "_target_" in line).split("_target_:")[1].strip()
        target: type[AbstractObjective] = load_class(name)
        parents = [each for each in target.__mro__ if issubclass(each, AbstractObjective)][:-1]
        source = "".join(inspect.getsource(inspect.getmodule(each)) for each in parents)  # type: ignore[arg-type]
        reads = any(word in source for word in words)
        flags = target.reads_row_propensity or target.reads_pair_propensity or target.reads_arm_propensities
        assert (flags or target.__name__ in SILENT) == reads, name
    weighted = validate_component("objective", {"_target_": "causalrec.estimators.objective.factual.Factual"}, object)
    assert not weighted.build().reads_propensities and weighted.replace(weighted=True).build().reads_propensities


# what is said of it


def test_fieller_s_set_is_bounded_two_rays_or_all() -> None:
    """Of the definition: ends solve |N - r D| = q * se(N - r D), and what lies between holds N / D."""
    n, d, v, q = 0.6, 1.0, np.array([[0.02, 0.01], [0.01, 0.03]]), 2.0
    ((low, high),) = fieller_set(n, d, v, q)
    assert low < n / d < high
    for r in (low, high):
        assert abs(n - r * d) == pytest.approx(q * math.sqrt(v[0, 0] - 2 * r * v[0, 1] + r * r * v[1, 1]))
    first, second = fieller_set(1.0, 0.1, v, q)
    assert first[0] == -math.inf and second[1] == math.inf and first[1] < second[0]
    assert fieller_set(0.1, 0.1, v, q) == ((-math.inf, math.inf),)
    assert fieller_set(0.5, 1.0, np.zeros((2, 2)), q) == ((0.5, 0.5),)
    assert fieller_set(1.0, 2.0, np.array([[1.0, 0.25], [0.25, 1.0]]), 2.0) == ((-1.5, math.inf),), "D = q * se(D)"
    assert fieller_set(1.0, 2.0, np.array([[1.0, 0.5], [0.5, 1.0]]), 2.0) == ((-math.inf, math.inf),)
    assert unite([(0, 1), (-math.inf, 0.5), (2, 3)]) == ((-math.inf, 1), (2, 3))


def scores_of(gain: float, destroyed: float, noise: float = 0.02, seed: int = 0) -> ScoreContrasts:
    rng = np.random.default_rng(seed)
    means = np.array([gain, 0.0, destroyed])[:, None]
    values = means + noise * rng.normal(size=(3, 4))
    groups = values.mean(1)[:, None, None] + 0.1 * noise * rng.normal(size=(3, 3, 20))
    return ScoreContrasts.from_groups(values, groups)


def test_gains_are_judged_by_the_rule_of_tables() -> None:
    rng = np.random.default_rng(1)
    values, groups = rng.normal(size=(3, 5)), rng.normal(size=(3, 3, 20))
    scores = ScoreContrasts.from_groups(values, groups)
    for weights in ([1, -1, 0], [0, -1, 1], [1, 0, -1]):
        contrast, w = scores.contrast(weights), np.array(weights, float)
        value, se, df, _ = paired_test(w @ values, np.einsum("v,vag->ag", w, groups))
        assert (contrast.value, contrast.se, contrast.df) == pytest.approx((value, se, df))


def test_the_share_s_interval_holds_what_the_rule_does_not_refuse() -> None:
    scores = scores_of(1.0, 0.6, noise=0.2)
    ((low, high),) = scores.ratio([0, -1, 1], [1, -1, 0])
    df = min(scores.contrast([0, -1, 1]).df, scores.contrast([1, -1, 0]).df)
    for r in (low, high):
        contrast = scores.contrast([-r, r - 1, 1])
        assert replace(contrast, df=df).interval()[0] == pytest.approx(0, abs=1e-9) or replace(
            contrast, df=df
        ).interval()[1] == pytest.approx(0, abs=1e-9)


def test_resamples_stand_in_where_no_groups_were_left_out() -> None:
    rng = np.random.default_rng(0)
    replicates = rng.normal(size=(3, 400))
    replicates[0, 0] = np.nan
    scores = ScoreContrasts.from_replicates(np.zeros((3, 2)), replicates)
    assert scores.row_df == 398 and scores.contrast([1, -1, 0]).se == pytest.approx(math.sqrt(2), rel=0.1)


@pytest.mark.parametrize("higher", [True, False])
def test_a_loss_that_falls_is_a_gain_and_each_run_is_paired_with_its_seed(tmp_path: Path, higher: bool) -> None:
    rng = np.random.default_rng(0)

    def run(name: str, value: float, *, groups: bool = True) -> RunFolder:
        score = ScoreRecord("row", "test", "m", value, None, None, 9, higher_is_better=higher)
        record = RunRecord(name="row", status="done", scores=(score,))
        arrays = {score.key: value + rng.normal(size=(3, 20))}
        return RunFolder(tmp_path / name, record, {score.key: value + rng.normal(size=50)}, arrays if groups else {})

    rows = [[run(f"{k}{s}", value + s) for s in range(3)] for k, value in enumerate((2.0, 1.0))]
    scores = score_contrasts(rows, "m@test", higher_is_better=higher)
    assert scores.contrast([1, -1]).value == pytest.approx(1.0 if higher else -1.0)
    assert scores.row_df == 19 and np.ptp(scores.values[0] - scores.values[1]) == pytest.approx(0, abs=1e-9)
    ranked = [[run(f"{k}{s}", 1.0, groups=False) for s in range(2)] for k in range(2)]
    assert score_contrasts(ranked, "m@test", higher_is_better=higher).row_df == 49, "resamples stand in"
    with pytest.raises(DataError, match="auc@test has no value there"):
        score_contrasts(rows, "auc@test", higher_is_better=higher)


@pytest.mark.parametrize(
    ("gain", "destroyed", "label", "finding"),
    [
        (1.0, 0.05, "passes", ""),
        (1.0, 1.0, "fails", ""),
        (0.0, 0.0, "nothing to explain", "no gain to explain"),
        (-1.0, -1.0, "nothing to explain", "no gain to explain"),
    ],
)
def test_a_verdict_says_whose_the_gain_is(gain: float, destroyed: float, label: str, finding: str) -> None:
    problem = SourceProblem(
        sources=("text",), columns={"auc@randomised": True}, retrain=lambda _: scores_of(gain, destroyed)
    )
    (verdict,) = PlaceboSource(shares=(1.0,))(problem)
    assert (verdict.verdict, verdict.finding, verdict.source) == (label, finding, "text")
    assert (verdict.gains[-1].share is None) == (label == "nothing to explain")
    assert source_of_json(json.loads(json.dumps(source_json(verdict)))) == verdict
    shown = source_table("row", [verdict], "of a simulation").render(120)
    assert (finding or label) in shown and "auc@randomised" in shown and "of a simulation" in shown


def test_an_unbounded_share_is_written_and_read_as_such() -> None:
    gains = gains_of(scores_of(1.0, 0.5), (1.0,))
    rays = replace(gains[1], share_intervals=((-math.inf, -2.0), (0.5, math.inf)))
    problem = SourceProblem(sources=("text",), columns={"auc@r": True}, retrain=lambda _: scores_of(1.0, 0.5))
    (verdict,) = PlaceboSource(shares=(1.0,))(problem)
    verdict = replace(verdict, gains=(gains[0], rays))
    assert source_of_json(json.loads(json.dumps(source_json(verdict)))) == verdict
    assert "[-inf, -2.00] or [0.50, inf]" in source_table("row", [verdict]).render(140)


def test_the_column_is_the_first_that_has_a_better_end_or_the_one_asked_for() -> None:
    columns = {"auc@randomised": True, "mse@randomised": False, "ndcg@5@randomised": True, "mse@logged": False}
    problem = SourceProblem(sources=(), columns=columns, retrain=lambda _: scores_of(1, 1))
    assert problem.column(None, None) == "auc@randomised" and problem.column("mse", None) == "mse@randomised"
    assert problem.column("ndcg@5", None) == "ndcg@5@randomised" and problem.column(None, "logged") == "mse@logged"
    with pytest.raises(RequestError, match="recall@any slice: the run has no such score with a better end"):
        problem.column("recall", None)


# the command


@pytest.fixture
def call(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    return run


EDGES = "graph.edges=['user -> outcome','item -> outcome','exposure -> outcome']"
REFUTED = ["+refuter=[placebo_source]", "refuter.placebo_source.seeds=2"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("metric=auk", "metric=auk: the run has no such metric with a better end; the nearest: auc"),
        ("slice=randomized", "slice=randomized: the run is scored on no such rows; the nearest: randomised"),
    ],
)
def test_scores_that_the_run_will_not_have_are_refused_before_it_trains(setting: str, message: str, call: Any) -> None:
    code, _, err = call("train", *HYBRID, *REFUTED, f"refuter.placebo_source.{setting}", "name=row")
    assert code == 2 and f"refuter.placebo_source.{message}" in err and not list(Path("runs").rglob("*.ckpt"))


def test_a_ranking_s_sources_are_refuted_beside_its_record(call: Any, folder: Path) -> None:
    assert call("train", *HYBRID, *REFUTED, "refuter.placebo_source.metric=mse", "name=row")[0] == 0
    (run,) = Path("runs/default/row").iterdir()
    code, out, err = call("refute", str(run))
    assert code == 0, err
    assert "mse@randomised, 2 seeds of each model" in out and "50 % destroyed" in out and "share surviving" in out
    report = json.loads((run / "refute.json").read_text())
    assert [source["source"] for source in report["sources"]] == ["features", "propensities"]
    assert [gain["destroyed"] for gain in report["sources"][0]["gains"]] == [0.0, 0.5, 1.0] and "verdicts" not in report
    assert (run / "placebo_source.png").read_bytes().startswith(b"\x89PNG")
    records = sorted((run / ".placebo").rglob("record.json"))
    assert len(records) == 14, "the run, both models without a source and four placebos, two seeds each"
    (same,) = (run / ".placebo" / "row").glob("seed0-*/record.json")
    mine, other = (json.loads(path.read_text())["scores"] for path in (run / "record.json", same))
    by_key = {(s["metric"], s["slice"]): s["value"] for s in mine}
    assert all(by_key[s["metric"], s["slice"]] == pytest.approx(s["value"], abs=1e-3) for s in other)
    before = {path: path.stat().st_mtime_ns for path in records}
    assert call("refute", str(run))[0] == 0 and {p: p.stat().st_mtime_ns for p in records} == before, "nothing again"
    (table,) = api.table("runs/default")
    assert "placebo" not in str(table) and "without" not in str(table)


@pytest.mark.long
def test_an_effect_s_sources_are_refuted_beside_the_effect(call: Any) -> None:
    effect = ["task=effect", "dataset.units=400", "objective=factual", "objective.weighted=true", "logger=none"]
    effect += [
        "trainer.progress=false",
        "trainer.max_epochs=3",
        "selection.candidates=none",
        "evaluation.replicates=20",
    ]
    effect += ["refuter=[leak,placebo_source]", "refuter.placebo_source.seeds=2", "refuter.placebo_source.shares=[1]"]
    assert call("train", *effect, "name=row", "refute=true")[0] == 0
    (run,) = Path("runs/default/row").iterdir()
    report = json.loads((run / "refute.json").read_text())
    assert [verdict["refuter"] for verdict in report["verdicts"]] == ["leak"]
    assert [source["source"] for source in report["sources"]] == ["propensities"]
    assert (run / "refute.png").exists() and (run / "placebo_source.png").exists()


def test_a_plain_sweep_of_placebos_stands_in_a_table(call: Any) -> None:
    code, _, err = call("train", "-m", *HYBRID, "placebo.source=features", "placebo.share=0.5,1", "name=row")
    assert code == 0, err
    assert call("train", *HYBRID, "name=row")[0] == 0
    (table,) = api.table("runs/default")
    shown = str(table)
    assert "placebo.share=0.5 placebo.source=features" in shown and "placebo.share=1.0" in shown


def test_no_placebo_changes_no_key_and_stands_in_no_record(folder: Path) -> None:
    config = config_of(*HYBRID)
    assert "placebo" not in config.to_dict()
    assert config_of(*HYBRID, *REFUTED).key == config.key != config_of(*HYBRID, "placebo.source=features").key
    assert config_of(*HYBRID, "placebo.source=features").to_dict()["placebo"] == {
        "source": "features",
        "share": 1.0,
        "uniform": False,
    }


def test_a_run_of_one_fit_is_opened_again_with_the_rows_that_it_was_trained_on(call: Any) -> None:
    """Its record holds no candidates: read as candidates to be tried by folds, it had other training rows."""
    assert call("train", *HYBRID, "name=row")[0] == 0
    (run,) = Path("runs/default/row").iterdir()
    config, record = reopen_run(run)
    assert config.run.selection.candidates == "none" and config.key == record.key
    assert TrainedRun.load(run).prepared.folds.count == 1 == record.selection.folds


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["encoder=mf", "objective=naive", *REFUTED, "refuter.placebo_source.source=text"],
            "placebo_source.source=text: encoder=mf objective=naive on coat does not read it; it reads features",
        ),
        (
            ["encoder=mf", "objective=naive", "placebo.source=propensities"],
            "placebo.source=propensities: encoder=mf objective=naive on coat does not read it; it reads features",
        ),
        (
            ["encoder=mf", "objective=naive", EDGES, *REFUTED],
            "refuter=placebo_source: encoder=mf objective=naive on coat: it reads no source that can be destroyed; "
            "leave it out",
        ),
        (["placebo.source=titles"], "placebo.source='titles': input should be 'text', 'features', "),
        (
            [*REFUTED, "refuter.placebo_source.source=titles"],
            "refuter.placebo_source.source='titles': input should be 'text', 'features', ",
        ),
        (["placebo.source=features", "placebo.share=0"], "placebo.share=0: input should be greater than 0"),
        (
            ["placebo.source=features", "placebo.share=1.5"],
            "placebo.share=1.5: input should be less than or equal to 1",
        ),
        (
            [*REFUTED, "refuter.placebo_source.shares=[0.5,1.5]"],
            "shares.1=1.5: input should be less than or equal to 1",
        ),
        ([*REFUTED, "refuter.placebo_source.shares=[]"], "refuter.placebo_source.shares=[]"),
        ([*REFUTED[:1], "refuter.placebo_source.seeds=1"], "seeds=1: input should be greater than or equal to 2"),
        (
            [*REFUTED, "placebo.source=features"],
            "placebo.source=features: has a source destroyed already; leave out refuter=placebo_source",
        ),
        (["placebo.share=0.5"], "placebo.share=0.5: placebo.source names nothing to destroy"),
    ],
)
def test_what_cannot_be_destroyed_is_one_line_before_any_work(
    call: Any, folder: Path, overrides: list[str], message: str
) -> None:
    code, _, err = call("train", *COAT, *overrides)
    assert code == 2 and message in err and err.count("\n") == 1, err
    assert not list(folder.rglob("record.json"))
