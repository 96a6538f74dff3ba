"""`causalrec reproduce` end to end on a small world: resuming, processes, verdicts, what it writes."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import FakeCoat

from causalrec import cli
from causalrec.config.compose import package_folder
from causalrec.errors import DataError
from causalrec.sweeps.job import JobResult, JobRunner, failed_result

Capture = pytest.CaptureFixture[str]

# A package of one's own: spawned processes must be able to import it, as they must any user's.
WORLD = '''
"""Thirty users, twenty items, a logged part that prefers what is liked, a uniform part."""
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.sweeps.job import JobResult, JobRunner, failed_result


@dataclass(frozen=True, kw_only=True)
class World(AbstractDataset):
    broken: bool = False
    item_text: dict[str, str] = field(default_factory=dict)

    @property
    def card(self):
        ids = (Column("user", "user", "id"), Column("item", "item", "id"))
        columns = (*ids, Column("age", "user", "category"), Column("kind", "item", "category"))
        return DatasetCard(
            name="world", domain="test", licence="none", urls=(), sha256={}, columns=columns, outcome="click",
            feedback="explicit", randomised="uniform", self_selected=True,
        )

    @property
    def sources(self):
        return ()

    def load(self, root):
        if self.broken:
            raise DataError("broken on purpose")
        rng = np.random.default_rng(0)
        liked = rng.random((30, 20)) < 1 / (1 + np.exp(-rng.normal(size=20)))
        seen = rng.random((30, 20)) < np.where(liked, 0.5, 0.25)
        return CausalDataset(
            card=self.card,
            logged=log(*np.nonzero(seen), liked, "world"),
            randomised=log(np.repeat(np.arange(30), 4), rng.integers(20, size=120), liked, "world randomised"),
            user_table=pl.DataFrame({"age": ["old"] * 30}),
            item_table=pl.DataFrame({"kind": [str(k % 3) for k in range(20)]}),
            raw_sha256={},
        )


def log(user, item, liked, name):
    codes = np.unique(user * 20 + item)
    return InteractionLog(
        user=codes // 20, item=codes % 20, treatment=np.ones(len(codes), np.int64),
        outcome=liked[codes // 20, codes % 20].astype(np.float32), num_users=30, num_items=20, name=name,
    )
'''

# As `Component` estimates: mean and spread known.
EXTRA = """
from dataclasses import dataclass

from causalrec.errors import DataError
from causalrec.sweeps.job import JobResult, JobRunner, failed_result
from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate


@dataclass(frozen=True, kw_only=True)
class Known(AbstractEstimation):
    at: float = 0.1

    @property
    def dataset(self):
        raise NotImplementedError

    def run(self, root, cache, seed):
        if self.at < 0:
            raise DataError("nothing there")
        common = dict(truth=0.1, low=self.at - 0.01, high=self.at + 0.01, sd=0.007, draws=50)
        return [Estimate(row=row, column="mae/ips", value=self.at + 0.01 * seed, **common) for row in ("ones", "fours")]
"""

STUDY: dict[str, Any] = {
    "title": "a world",
    "sweep": "world",
    "seeds": [0, 1],
    "base": [
        "evaluation.submodels=false",
        "dataset=coat",
        "~dataset.threshold",
        "dataset._target_=smallworld.World",
        "graph.edges=['kind -> exposure','kind -> outcome','user -> outcome','item -> outcome','exposure -> outcome']",
        "graph.latent=[]",
        "encoder=mf",
        "encoder.width=2",
        "trainer.max_epochs=2",
        "sampler.batch_size=32",
        "propensity.l2=[0.1]",
        "selection.candidates={optimizer.weight_decay:[0.1]}",
        "metric=[auc]",
        "logger=none",
        "evaluation.replicates=20",
    ],
    "rows": {"mf-naive": ["objective=naive"], "mf-ips": ["objective=ips"]},
    "columns": ["auc@randomised"],
    "smoke": ["trainer=smoke"],
    "source": {"paper": "P", "table": "Table 1"},
    "published": [
        {"row": "mf-naive", "column": "auc@randomised", "value": "0.01", "sd": "0.001", "n": 2},
        {"row": "mf-ips", "column": "auc@randomised", "value": "0.6", "sd": "0.3", "n": 2},
    ],
    "compare": {"to": "mf-naive", "columns": ["auc@randomised"]},
}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """An empty working directory, and a package `smallworld` that every process can import."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "smallworld.py").write_text(textwrap.dedent(WORLD))
    (tmp_path / "package" / "smallknown.py").write_text(textwrap.dedent(EXTRA))
    monkeypatch.syspath_prepend(str(tmp_path / "package"))
    monkeypatch.setenv("CAUSALREC_PACKAGES", "smallworld,smallknown")
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "data"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def study(folder: Path, **changes: Any) -> str:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**STUDY, **changes}.items() if v is not None}, sort_keys=False))
    return str(path)


def call(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["reproduce", *arguments])
    return (code, *capsys.readouterr())


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("record.json")}


def contents(folder: Path) -> dict[tuple[str, int], Any]:
    """What determines a table, by row and seed: not the time a run took, nor where."""
    content_by_run = {}
    for path in folder.rglob("record.json"):
        record = json.loads(path.read_text())
        deciding = {key: record[key] for key in ("scores", "baselines", "selection", "parameters", "status", "audit")}
        content_by_run[record["name"], record["config"]["seed"]] = deciding
    return content_by_run


def test_a_study_is_judged_and_written(work: Path, capsys: Capture) -> None:
    code, out, err = call(capsys, study(work))
    assert code == 0, err
    assert "within (" in out and "Values: " in out
    result = json.loads((work / "runs" / "world" / "result.json").read_text())
    words = {(c["row"], c["column"]): c["value"]["word"] for c in result["cells"] if c["value"]}
    assert words == {("mf-naive", "auc@randomised"): "above", ("mf-ips", "auc@randomised"): "within"}
    (ips,) = (c for c in result["cells"] if c["row"] == "mf-ips")
    assert ips["obtained"]["n"] == 2 and ips["obtained"]["sd"] is not None
    assert ips["comparison"]["to"] == "mf-naive" and ips["comparison"]["se"] > 0
    assert set(result["baselines"]) == {"constant", "popularity", "item_mean", "bias_logistic"}
    assert result["command"].startswith("causalrec reproduce ") and result["compute_seconds"] > 0
    assert "mf-naive" in (work / "runs/world/table.md").read_text()
    assert r"\toprule" in (work / "runs/world/table.tex").read_text()
    for form in ("md", "tex"):
        warned = (work / f"runs/world/table.{form}").read_text()
        assert "Warning: " in warned and "4 runs warn of it" in warned, form


def test_it_goes_on_where_it_was_cut(work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real, ran = study(work), JobRunner.run, []

    def cut(runner: JobRunner, spec: Any) -> JobResult:
        if len(ran) == 3:
            raise KeyboardInterrupt
        ran.append((spec.run.name, spec.run.seed))
        return real(runner, spec)

    with monkeypatch.context() as patch:
        patch.setattr(JobRunner, "run", cut)
        assert call(capsys, path)[0] == 1
    before = stamps(work)
    assert len(before) == 3
    assert call(capsys, path)[0] == 0
    after = stamps(work)
    assert len(after) == 4 and all(after[file] == before[file] for file in before), "only the missing run ran"
    torn = sorted(after)[0]
    torn.write_text(torn.read_text()[:100])
    sidecar = sorted(after)[1].parent / "jackknife.npz"
    sidecar.write_bytes(sidecar.read_bytes()[:50])
    assert call(capsys, path)[0] == 0
    last = stamps(work)
    ran_again = [file for file in sorted(last) if last[file] != after[file]]
    assert ran_again == sorted(after)[:2], "half-written ones ran again"


@pytest.mark.long
def test_two_processes_make_the_records_of_one(work: Path, capsys: Capture) -> None:
    path = study(work, seeds=[0, 1, 2])
    assert call(capsys, path, "paths.runs=one")[0] == 0
    code, _, err = call(capsys, path, "--jobs", "2", "paths.runs=two")
    assert code == 0, err
    sequential, parallel = contents(work / "one"), contents(work / "two")
    assert set(sequential) == {(name, seed) for name in ("mf-naive", "mf-ips") for seed in range(3)}
    assert sequential == parallel
    assert sequential["mf-ips", 0]["scores"] != sequential["mf-ips", 2]["scores"]


def test_packed_makes_nearly_the_same_table(work: Path, capsys: Capture) -> None:
    path = study(work, seeds=[0, 1, 2])
    assert call(capsys, path, "paths.runs=one", "trainer.precision=64-true")[0] == 0
    code, _, err = call(capsys, path, "--packed", "paths.runs=two", "trainer.precision=64-true")
    assert code == 0, err
    engines = {json.loads(record.read_text())["execution"] for record in (work / "two").rglob("record.json")}
    assert engines == {"packed: 3 jobs"}
    sequential, packed = contents(work / "one"), contents(work / "two")
    assert set(sequential) == set(packed)
    for key, record in sequential.items():
        values = ([s["value"] for s in content["scores"]] for content in (record, packed[key]))
        assert next(values) == pytest.approx(next(values), rel=1e-6)


def test_a_failing_job_does_not_stop_the_others(work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    real = JobRunner.run

    def attempt(runner: JobRunner, spec: Any) -> JobResult:
        if (spec.run.name, spec.run.seed) == ("mf-naive", 0):
            return failed_result(spec, DataError("made to fail"), spec.folder)
        return real(runner, spec)

    monkeypatch.setattr(JobRunner, "run", attempt)
    code, _, err = call(capsys, study(work))
    assert code == 1 and "failed: mf-naive seed 0: made to fail" in err
    assert len(stamps(work)) == 3
    result = json.loads((work / "runs/world/result.json").read_text())
    assert result["failures"] == ["mf-naive seed 0: made to fail"]
    obtained = {c["row"]: c["obtained"]["n"] for c in result["cells"] if c["obtained"]}
    assert (obtained["mf-naive"], obtained["mf-ips"]) == (1, 2)


@pytest.mark.long
def test_in_processes_a_failing_row_is_told_and_the_other_done(work: Path, capsys: Capture) -> None:
    rows = {**STUDY["rows"], "mf-naive": ["objective=naive", "dataset.broken=true"]}
    code, _, err = call(capsys, study(work, rows=rows), "--jobs", "2")
    assert code == 1
    assert [f"failed: mf-naive seed {seed}: broken on purpose" in err for seed in (0, 1)] == [True, True]
    records = contents(work)
    assert {key: record["status"] for key, record in records.items()} == {
        ("mf-naive", 0): "failed",
        ("mf-naive", 1): "failed",
        ("mf-ips", 0): "done",
        ("mf-ips", 1): "done",
    }


def test_smoke_is_one_seed_and_judges_nothing(work: Path, capsys: Capture) -> None:
    code, out, _ = call(capsys, study(work), "--smoke", "--json")
    document = json.loads(out)
    assert code == 0 and document["smoke"] is True
    assert document["counts"] == {"gains": {"smoke: not judged": 1}, "values": {"smoke: not judged": 2}}
    assert len(stamps(work / "runs" / "world_smoke")) == 2 and not (work / "runs" / "world").exists()
    assert [table["columns"] for table in document["tables"]] == [["auc@randomised"]]


@pytest.mark.parametrize("overrides", [["seed=7"], ["selection.clip=0.05"]])
def test_overrides_of_the_command_hold_for_every_job(overrides: list[str], work: Path, capsys: Capture) -> None:
    assert (
        call(capsys, study(work, seeds=[0, 1, 2], rows={"mf-naive": ["objective=naive"]}, published=[]), *overrides)[0]
        == 0
    )
    configs = [json.loads(path.read_text())["config"] for path in stamps(work)]
    if overrides == ["seed=7"]:
        assert {config["seed"] for config in configs} == {7}
    else:
        assert {config["selection"]["clip"] for config in configs} == {0.05}
        assert sorted(config["seed"] for config in configs) == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"rows": {"mf-naive": ["objective=naiv"], "mf-ips": []}}, [], "objective=naiv: unknown component"),
        ({}, ["--jobs", "0"], "--jobs 0: at least 1"),
        ({}, ["nonsense"], "nonsense: not an override"),
        (
            {"columns": ["auk@randomised"], "published": [], "compare": None},
            [],
            "column auk@randomised: no record has it",
        ),
    ],
)
def test_a_wrong_request_is_one_line(
    changes: dict[str, Any], arguments: list[str], message: str, work: Path, capsys: Capture
) -> None:
    code, out, err = call(capsys, study(work, **changes), *arguments)
    assert (code, out) == (2, "")
    assert message in err and err.strip().count("\n") == 0


@pytest.mark.long
@pytest.mark.parametrize("name", ["coat/p1", "coat/p2", "coat/p3", "schnabel2016/table2"])
def test_the_studies_of_coat_run_in_smoke(name: str, work: Path, fake_coat: FakeCoat, capsys: Capture) -> None:
    fake_coat(work.parent / "data")
    settings = yaml.safe_load((package_folder("experiments") / f"{name}.yaml").read_text())
    settings["rows"] = {row: settings["rows"][row] for row in ("mf-naive", "mf-ips")}
    listed = {*settings["rows"], *(entry.get("row") for entry in settings["missing"])}
    settings["published"] = [entry for entry in settings["published"] if entry["row"] in listed]
    (work / "study.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    code, out, err = call(capsys, "study.yaml", "--smoke", "--json", "split.unseen=keep")
    assert code == 0, err
    document = json.loads(out)
    judged = [c for c in document["cells"] if c["published"] and c["obtained"]]
    assert judged and {c["value"]["word"] for c in judged} == {"smoke: not judged"}
    assert {c["row"] for c in judged} == {"mf-naive", "mf-ips"}
    assert document["counts"]["values"]["cannot be"] > 0 and len(stamps(work)) == 2
    assert [c for c in document["cells"] if c["comparison"]], "differences are shown"


ESTIMATION: dict[str, Any] = {
    "title": "known",
    "sweep": "known",
    "kind": "estimate",
    "seeds": [0, 1, 2],
    "base": ["estimation._target_=smallknown.Known"],
    "rows": {"known": []},
    "columns": ["mae/ips"],
    "smoke": [],
    "source": {"paper": "P", "table": "Table 1"},
    "published": [
        {"row": "ones", "column": "mae/ips", "value": "0.110", "sd": "0.007", "n": 50},
        {"row": "fours", "column": "mae/ips", "value": "0.200", "sd": "0.007", "n": 50},
    ],
}


def test_an_estimation_study_is_run_pooled_and_judged(work: Path, capsys: Capture) -> None:
    path = work / "study.yaml"
    path.write_text(yaml.safe_dump(ESTIMATION))
    code, out, _ = call(capsys, str(path), "--json")
    document = json.loads(out)
    assert code == 0 and document["kind"] == "estimate"
    cells = {cell["row"]: cell for cell in document["cells"]}
    assert cells["ones"]["obtained"]["mean"] == pytest.approx(0.11)  # seeds 0, 1, 2 at .10, .11, .12
    assert cells["ones"]["obtained"]["n"] == 150
    # pooled: (3 * 49 * .007^2 + 50 * (.01^2 + 0 + .01^2)) / 149
    assert cells["ones"]["obtained"]["sd"] == pytest.approx(((147 * 0.007**2 + 100 * 0.01**2) / 149) ** 0.5)
    assert cells["ones"]["value"]["word"] == "within" and cells["fours"]["value"]["word"] in ("below", "above")
    before = stamps(work)
    assert len(before) == 3
    assert call(capsys, str(path))[0] == 0 and stamps(work) == before, "nothing ran again"


def test_a_failing_estimation_is_recorded_and_told(work: Path, capsys: Capture) -> None:
    path = work / "study.yaml"
    path.write_text(yaml.safe_dump({**ESTIMATION, "seeds": [0]}))
    code, _, err = call(capsys, str(path), "estimation.at=-1")
    assert code == 1 and "failed: known seed 0: nothing there" in err
    (record,) = (json.loads(record_path.read_text()) for record_path in stamps(work))
    assert record["status"] == "failed" and record["error"] == "DataError: nothing there"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=-1", "seed=-1: input should be greater than or equal to 0"),
        ("sed=1", "sed: unknown key; did you mean 'seed'"),
        ("estimation.drws=1", "estimation.drws: unknown key"),
        ("estimation=schnabel", "estimation=schnabel: unknown component; did you mean 'schnabel2016'"),
    ],
)
def test_a_wrong_estimation_is_one_line(override: str, message: str, work: Path, capsys: Capture) -> None:
    path = work / "study.yaml"
    path.write_text(yaml.safe_dump({**ESTIMATION, "base": []}))
    code, out, err = call(capsys, str(path), override)
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1
