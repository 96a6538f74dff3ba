"""Runs whose graph names a covariate of the moment: it is adjusted for where rows have it, and refused elsewhere."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec import cli
from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.data.datasets.effect_simulation import EffectSimulation
from causalrec.data.truth import Oracle
from causalrec.errors import RequestError
from causalrec.features.views import feature_matrix
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.falsify import sample_columns
from causalrec.prepared import PreparedData
from causalrec.propensity.treatment import Treatment
from causalrec.running.cache import PreparedCache
from causalrec.running.prepare import plan_run, select_slices

TABLE = ["logger=none", "evaluation.replicates=20"]  # what a learner from a table reads too
QUIET = [*TABLE, "trainer.progress=false", "selection.candidates={optimizer.weight_decay:[0.1]}"]
MOMENT = ["dataset.moment_strength=1", "dataset.heterogeneity=0", "dataset.units=2000"]
CAUSES = [
    *(f"x{k} -> exposure" for k in (0, 1)),
    *(f"x{k} -> outcome" for k in range(5)),
    "exposure -> outcome",
]
OF_MOMENT = ["moment -> exposure", "moment -> outcome"]
CSV = [
    *QUIET,
    "dataset=csv",
    "dataset.folder=./mine",
    "dataset.threshold=4",
    "dataset.row_columns={hour: numeric, store: category}",
    "trainer=smoke",
    "selection.folds=1",
]
OF_CSV = ["user -> exposure", "user -> outcome", "item -> outcome", "exposure -> outcome"]

OLD_SUM = 45.736939903348684  # of the outcomes of 50 units, before rows had columns

Call = Callable[..., Any]


def edges(*listed: str) -> str:
    return "graph.edges=[" + ",".join(f"'{edge}'" for edge in listed) + "]"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command and return what it prints as JSON, or its one line of refusal."""
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(verb: str, *arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main([verb, *arguments, "--json"]) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        if code:
            assert len(err.strip().splitlines()) == 1
            return err
        return json.loads(out)

    return run


def write_ratings(folder: Path, rows: int = 1000) -> None:
    """Ratings that are high in the evening."""
    rng = np.random.default_rng(0)
    pairs, hour = rng.permutation(40 * 30)[:rows], rng.integers(24, size=rows)
    frame = pl.DataFrame(
        {
            "user": pairs // 30,
            "item": pairs % 30,
            "rating": np.where(hour >= 12, rng.integers(4, 6, size=rows), rng.integers(1, 5, size=rows)),
            "hour": hour,
            "store": np.array(["north", "south"])[rng.integers(2, size=rows)],
        }
    )
    folder.mkdir()
    frame.write_csv(folder / "interactions.csv")


def score(record: dict[str, Any], metric: str, where: str) -> dict[str, Any]:
    (row,) = [entry for entry in record["scores"] if (entry["metric"], entry["slice"]) == (metric, where)]
    return dict(row)


def test_a_learner_from_a_table_adjusts_for_the_moment(call: Call) -> None:
    """The effect is 1 for every unit; the moment drives treatment and outcome."""
    value, error = {}, {}
    for name, listed in (("read", [*CAUSES, *OF_MOMENT]), ("left_out", CAUSES)):
        (record,) = call("train", "task=effect", *TABLE, *MOMENT, "learner=linear_dml", edges(*listed), f"name={name}")
        average = score(record, "average_effect", "training")
        value[name], error[name] = average["value"], (average["high"] - average["low"]) / (2 * 1.96)
        assert ("moment" in record["adjustment"]["training"]["columns"]) == (name == "read")
        assert ("moment" in [column for column, _, _ in record["overlap"]["balance"]["worst"]]) == (name == "read")
    assert abs(value["read"] - 1) < 3 * error["read"]
    assert abs(value["left_out"] - 1) > 4 * error["left_out"]


def test_the_moment_is_a_control_where_it_is_no_modifier(call: Call) -> None:
    listed = edges(*CAUSES, *OF_MOMENT)
    (record,) = call(
        "train", "task=effect", *TABLE, *MOMENT, "learner=linear_dml", listed, "graph.modifiers=[x2]", "name=w"
    )
    assert record["adjustment"]["effect_controls"] == ["moment", "x0", "x1"]
    average = score(record, "average_effect", "training")
    assert average["low"] < 1 < average["high"]


@pytest.mark.long
def test_a_network_adjusts_for_the_moment(call: Call) -> None:
    off = {}
    for name, listed in (("read", [*CAUSES, *OF_MOMENT]), ("left_out", CAUSES)):
        overrides = ["head=t_net", "trainer.max_epochs=30", edges(*listed), f"name={name}"]
        (record,) = call("train", "task=effect", *QUIET, *MOMENT, *overrides)
        off[name] = score(record, "ate_error", "in_sample")["value"]
    assert off["read"] < 0.25 and off["left_out"] > 0.5


def test_without_the_moment_the_simulation_is_as_it_was() -> None:
    plain, moved = (EffectSimulation(units=50, moment_strength=s).load(Path("absent")) for s in (0.0, 1.0))
    assert plain.logged.columns == {} and plain.card.row_columns == ()
    assert float(plain.logged.outcome.sum(dtype=np.float64)) == pytest.approx(OLD_SUM, abs=1e-9)
    assert plain.user_table.drop("seen").equals(moved.user_table.drop("seen"))  # that follows treatment
    assert plain.potential is not None and moved.potential is not None
    user = np.arange(50)
    shift = moved.potential.means(user, user * 0)[:, 0] - plain.potential.means(user, user * 0)[:, 0]
    np.testing.assert_allclose(shift, moved.logged.columns["moment"], atol=1e-5)


def test_a_propensity_of_treatment_reads_the_row() -> None:
    dataset = EffectSimulation(units=4000, moment_strength=1.5, confounding=0).load(Path("absent"))
    model, log = Treatment(l2=1e-3), dataset.logged
    model.fit(log, feature_matrix(dataset, ("moment",)))
    chance = 1 / (1 + np.exp(-1.5 * log.columns["moment"]))
    assert np.abs(model.treatment_probabilities(log, 1)[:, 1] - chance).max() < 0.05
    later = dataclasses.replace(log, columns={"moment": log.columns["moment"] + 1})
    assert (model.treatment_probabilities(later, 1)[:, 1] > model.treatment_probabilities(log, 1)[:, 1]).all()


@pytest.mark.long
def test_a_hidden_moment_fails_as_a_negative_control(call: Call) -> None:
    call("train", "task=effect", *TABLE, *MOMENT, "learner=linear_dml", edges(*CAUSES), "name=hidden")
    (folder,) = Path("runs/default/hidden").iterdir()
    refutation = call("refute", str(folder), "--negative-control", "moment", "--repeats", "3")
    (verdict,) = [verdict for verdict in refutation["verdicts"] if "negative control" in verdict["refuter"]]
    assert verdict["verdict"] == "fails"


def test_a_graph_is_falsified_by_columns_of_rows_too() -> None:
    dataset = EffectSimulation(units=300, moment_strength=1).load(Path("absent"))
    graph = CausalGraph(edges=[*CAUSES, *OF_MOMENT], latent=[])
    frame = sample_columns(graph, dataset, 200, np.random.default_rng(0)).columns
    held = dict(zip(dataset.user_table["x0"].to_list(), dataset.logged.columns["moment"].tolist(), strict=True))
    assert frame["moment"].tolist() == [held[x0] for x0 in frame["x0"]]


def test_a_mean_outcome_is_predicted_by_hour_and_store(call: Call, tmp_path: Path) -> None:
    write_ratings(tmp_path / "mine")
    listed = edges(*OF_CSV, "hour -> outcome", "store -> outcome")
    overrides = [
        *CSV,
        "objective=naive",
        "propensity=popularity",
        "trainer.max_epochs=60",
        "trainer.limit_batches=null",
    ]
    overrides += ["optimizer.lr=0.02", "sampler.batch_size=64"]
    (record,) = call("train", *overrides, listed, "name=hours")
    assert {"hour", "store=north", "store=south"} <= set(record["adjustment"]["outcome_features"])
    assert score(record, "auc", "logged")["value"] > 0.8
    (folder,) = Path("runs/default/hours").iterdir()
    said = call("recommend", str(folder), "--user", "3", code=2)
    assert "its model reads hour, store, which a moment has, not a user and an item; recommend from a run" in said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["objective=dr_jl", edges(*OF_CSV, "hour -> outcome")],
            "objective=dr_jl: averages over all pairs, which have no hour, a column of logged rows; choose an "
            "objective over these (naive, ips, snips), or leave it out of the graph",
        ),
        (
            ["objective=bpr", "dataset.feedback=positive_only", edges(*OF_CSV, "store -> outcome")],
            "objective=bpr: averages over items that were not logged, which have no store",
        ),
        (
            ["objective=ips", "propensity=logistic", edges(*OF_CSV, "hour -> outcome", "hour -> exposure")],
            "propensity=logistic: judges pairs that were never logged, which have no hour; let the "
            "graph have it cause the outcome alone (hour -> outcome)",
        ),
    ],
)
def test_pairs_that_were_never_logged_have_no_row_before_any_file_is_read(
    overrides: list[str], said: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("causalrec.data.datasets.csv.CsvTables.check_files", lambda *_: None)
    assert said in call("train", *CSV, *overrides, code=2)


def prepared_csv(*causes: str) -> tuple[ExperimentConfig, PreparedData]:
    overrides = [*CSV, "objective=naive", "propensity=popularity", edges(*OF_CSV, *causes)]
    config = validate_config(compose_config(normalise_overrides(overrides)))
    return config, PreparedCache().prepare(config, plan_run(config))


def with_dataset(prepared: PreparedData, **changes: Any) -> PreparedData:
    return dataclasses.replace(prepared, dataset=dataclasses.replace(prepared.dataset, **changes), _selected={})


def test_slices_of_pairs_that_were_never_logged_are_refused(call: Call, tmp_path: Path) -> None:
    write_ratings(tmp_path / "mine")
    config, prepared = prepared_csv("hour -> outcome", "store -> outcome")
    selected = select_slices(config, prepared)
    ((test,), test_log) = selected["test"], prepared.splits.test
    np.testing.assert_array_equal(test.columns["hour"], test_log.columns["hour"])
    (tail,) = [data for data in selected["popularity"] if data.name == "logged_tail"]
    held = np.isin(test_log.codes, tail.user * test_log.num_items + tail.item)
    assert 0 < held.sum() < len(test_log)
    np.testing.assert_array_equal(tail.columns["store"], test_log.columns["store"][held])
    oracle = Oracle(lambda user, item: user * np.float32(0.1), lambda user, item: user * np.float32(0.1))
    plain = prepared_csv()
    assert "all_pairs" in select_slices(plain[0], with_dataset(plain[1], oracle=oracle)), "it reads no moment"
    with pytest.raises(RequestError, match="csv: is judged on the slice all_pairs, whose pairs were mostly never"):
        select_slices(config, with_dataset(prepared, oracle=oracle))
    card = dataclasses.replace(prepared.dataset.card, feedback="positive_only")
    with pytest.raises(RequestError, match=r"slice full_ranking, .* have no hour, store; leave them out of the graph"):
        select_slices(config, with_dataset(prepared, card=card))
