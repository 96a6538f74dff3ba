"""W&B runs, read back from their offline files by W&B's own reader."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb_files import files_below, read_back

from causalrec.commands.wandb import wandb as command
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import DataError, RequestError
from causalrec.records.names import SCORE_COLUMNS, searchable_settings
from causalrec.records.overlap_sections import OverlapSection
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CandidateRecord, DataSection, EpochRecord, ScoreRecord, SelectionSection
from causalrec.redaction import redact
from causalrec.running import run
from causalrec.tracking.loggers import LoggedJob
from causalrec.tracking.wandb_logger import WandB
from causalrec.tracking.wandb_sync import OfflineRun, mark_finished, offline_runs, sync_commands
from causalrec.tracking.wandb_workspace import serialise, workspace
from causalrec.training.trainer import TrainerSettings

CURVE = tuple(EpochRecord(e, 0.7 - e / 10, 0.6 - e / 10) for e in range(3))
SCORE = ScoreRecord("mf-naive", "randomised", "auc", 0.75, 0.7, 0.8, 9)
DECAY = {"optimizer.weight_decay": 0.1}
TRIED = CandidateRecord(fit="wd=0.1", settings=DECAY, criterion=0.4, best_epoch=2, epochs=3, curve=CURVE)
RECORD = RunRecord(
    name="mf-naive",
    status="done",
    seconds=2.5,
    git_sha="abc+",
    versions={"torch": "2"},
    scores=(SCORE,),
    baselines=(dataclasses.replace(SCORE, model="constant", value=0.5),),
    selection=SelectionSection(chosen=DECAY, fit="wd=0.1", candidates=(TRIED,)),
    overlap=OverlapSection(clipped=0.125),
    data=DataSection(name="shop", caveat="simulated data"),
)


def job_of(folder: Path, key: str = "abc123", **config: Any) -> LoggedJob:
    job = folder / "sweep-one" / "mf-naive" / f"seed0-{key}"
    return LoggedJob("mf-naive", "sweep-one", 0, key, job, ("coat", "mf", "naive", "mf"), {"seed": 0, **config})


@pytest.mark.long
def test_three_jobs_of_one_process_are_three_whole_runs(
    tmp_path: Path, wandb_spec_of: Callable[..., ExperimentConfig], capfd: pytest.CaptureFixture[str]
) -> None:
    specs = [wandb_spec_of(f"seed={seed}") for seed in range(3)]
    records = [RunRecord.load(run.train(spec)) for spec in specs]
    assert capfd.readouterr() == ("", "")  # no notice of W&B or Lightning, once per job or ever
    runs = [read_back(file) for file in files_below(tmp_path / "runs")]
    assert [wandb_run.about["run_id"] for wandb_run in runs] == [spec.key for spec in specs]
    for wandb_run, spec, record in zip(runs, specs, records, strict=True):
        assert wandb_run.folder.parent.parent == spec.folder
        assert (wandb_run.about["run_group"], wandb_run.about["job_type"], wandb_run.exit_code) == ("s1", "mf-ips", 0)
        assert set(wandb_run.about["tags"]) == {"coat", "mf", "ips", "logistic"}
        flat = {"dataset": "coat", "model": "mf", "estimator": "ips", "propensity": "logistic", "row": "mf-ips"}
        assert flat.items() <= wandb_run.config.items()
        assert (wandb_run.config["seed"], wandb_run.config["sweep"]) == (spec.run.seed, "s1")
        assert wandb_run.config["optimizer.lr"] == record.setting("optimizer.lr")
        assert wandb_run.config["selection.candidates.optimizer.weight_decay"] == [0.1, 1.0]
        scores = {f"best/{s.metric}@{s.slice}": s.value for s in record.scores if s.value is not None}
        assert len(scores) > 5
        assert {key: wandb_run.summary[key] for key in scores} == pytest.approx(scores)
        assert wandb_run.about["display_name"] == f"mf-ips-seed{spec.run.seed}-{spec.key}"
        assert wandb_run.summary["overlap/effective_rows"] == pytest.approx(record.overlap.effective_rows)


@pytest.mark.long
def test_every_epoch_is_in_the_history_also_of_a_job_run_again(
    tmp_path: Path, wandb_spec_of: Callable[..., ExperimentConfig]
) -> None:
    spec = wandb_spec_of()
    for _ in range(2):  # again: the finished fits are found, not trained
        record = RunRecord.load(run.train(spec))
    first, again = (read_back(file) for file in files_below(tmp_path / "runs"))
    assert first.about["run_id"] == again.about["run_id"] == spec.key
    for wandb_run, tried in itertools.product((first, again), record.selection.candidates):
        prefix = f"{tried.fit}/"
        for name in ("train/loss", "validation/criterion"):
            assert sorted(wandb_run.curve(prefix + name)) == list(range(int(tried.epochs)))
        assert min(wandb_run.curve(f"{prefix}validation/criterion").values()) == pytest.approx(tried.criterion)
        if tried.settings == record.selection.chosen:
            for name in ("train/loss", "validation/criterion"):
                assert wandb_run.curve(name) == wandb_run.curve(prefix + name)


def test_the_table_and_the_images_lie_beside_the_file(
    tmp_path: Path, wandb_spec_of: Callable[..., ExperimentConfig]
) -> None:
    record = json.loads(run.train(wandb_spec_of()).read_text())
    (file,) = files_below(tmp_path / "runs")
    wandb_run = read_back(file)
    (row,) = [row for row in wandb_run.history if "results.path" in row]  # the reader flattens
    table = json.loads((wandb_run.folder / "files" / row["results.path"]).read_text())
    assert table["columns"] == [*SCORE_COLUMNS]
    expected = [
        [*(s[key] for key in table["columns"][:-2]), kind, ""]
        for kind, section in (("score", "scores"), ("baseline", "baselines"))
        for s in record[section]
    ]
    assert table["data"] == expected
    (row,) = [row for row in wandb_run.history if "images/overlap.path" in row]
    for name in ("overlap", "calibration", "ranking"):
        image = wandb_run.folder / "files" / row[f"images/{name}.path"]
        assert image.read_bytes().startswith(b"\x89PNG") and row[f"images/{name}.width"] > 200


def test_a_job_that_fails_is_a_failed_run_and_the_next_one_is_its_own(
    tmp_path: Path, wandb_spec_of: Callable[..., ExperimentConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patched:
        patched.setattr(TrainerSettings, "fit", broken)
        with pytest.raises(RuntimeError, match="out of luck"):
            run.train(wandb_spec_of("seed=0"))
    run.train(wandb_spec_of("seed=1"))
    failed, done = (read_back(file) for file in files_below(tmp_path / "runs"))
    assert (failed.exit_code, failed.summary["status"], done.exit_code) == (1, "failed", 0)
    assert failed.summary["error"] == "RuntimeError: out of luck"
    assert not any(key.startswith("best/") for key in failed.summary)
    assert wandb.run is None


def test_a_job_run_again_goes_on_in_its_run(tmp_path: Path) -> None:
    for _ in range(2):
        WandB().replay(job_of(tmp_path), RECORD, "done")
    runs = [read_back(file) for file in files_below(tmp_path)]
    assert [wandb_run.about["run_id"] for wandb_run in runs] == ["abc123"] * 2
    assert all(wandb_run.about["resume"] for wandb_run in runs)


@pytest.mark.long
def test_replayed_runs_equal_trained_ones_and_may_be_open_at_once(tmp_path: Path) -> None:
    logger = WandB()
    both = [logger.open(job_of(tmp_path, key)) for key in ("k1", "k2")]
    for opened, value in zip(both, (0.25, 0.5), strict=True):
        assert opened is not None
        opened.log_metrics({"epoch": 0.0, "train/loss": value}, step=0)
    for opened in reversed(both):
        logger.close(opened, None, "done")
    logger.replay(job_of(tmp_path, "k3"), RECORD, "done", lambda record: {})
    runs_by_key = {wandb_run.about["run_id"]: wandb_run for wandb_run in map(read_back, files_below(tmp_path))}
    assert [runs_by_key[key].curve("train/loss") for key in ("k1", "k2")] == [{0: 0.25}, {0: 0.5}]
    assert runs_by_key["k3"].curve("validation/criterion") == pytest.approx({e.epoch: e.criterion for e in CURVE})
    assert (runs_by_key["k3"].summary["seconds"], runs_by_key["k3"].summary["overlap/clipped"]) == (2.5, 0.125)
    assert runs_by_key["k3"].summary["best/auc@randomised"] == 0.75
    assert runs_by_key["k3"].summary["best/auc@randomised/high"] == 0.8
    assert runs_by_key["k3"].summary["baseline/constant/auc@randomised"] == 0.5
    assert runs_by_key["k3"].summary["git_sha"] == "abc+" and runs_by_key["k3"].summary["versions/torch"] == "2"
    assert runs_by_key["k3"].summary["data/caveat"] == "simulated data"


def test_images_are_drawn_only_where_they_are_wanted(tmp_path: Path) -> None:
    def draw(record: Any) -> dict[str, bytes]:
        raise AssertionError("not asked for")

    WandB(images=False).replay(job_of(tmp_path), RECORD, "done", draw)
    with pytest.raises(AssertionError):
        WandB().replay(job_of(tmp_path, "k2"), RECORD, "done", draw)
    assert read_back(files_below(tmp_path)[1]).exit_code == 0  # finished all the same


@pytest.fixture
def init_arguments(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The arguments of each `wandb.init`; offline whatever was asked."""
    seen: list[dict[str, Any]] = []
    real = wandb.init

    def init(**arguments: Any) -> Any:
        seen.append(arguments)
        return real(**{**arguments, "mode": "offline"})

    monkeypatch.setattr(wandb, "init", init)
    yield seen


def test_online_only_with_a_key_or_when_told(
    tmp_path: Path, init_arguments: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_and_close(mode: Any = "auto") -> None:
        logger = WandB(mode=mode)
        logger.close(logger.open(job_of(tmp_path)), None, "done")

    for mode in ("auto", "offline", "online"):
        open_and_close(mode)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    open_and_close()
    open_and_close("offline")
    monkeypatch.setenv("WANDB_MODE", "offline")
    open_and_close()
    assert [arguments["mode"] for arguments in init_arguments] == [
        "offline",
        "offline",
        "online",
        "online",
        "offline",
        None,
    ]
    assert "dryrun" not in os.environ.get("WANDB_MODE", "")
    assert all(arguments["id"] == "abc123" and arguments["resume"] == "allow" for arguments in init_arguments)


def test_online_without_an_account_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise wandb.errors.UsageError("No API key\nconfigured.")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(RequestError) as caught:
        WandB(mode="online").open(job_of(tmp_path))
    assert str(caught.value) == "logger=wandb: No API key configured.; logger.mode=offline needs no account"


def test_neither_the_home_folder_nor_a_secret_leaves_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "alice"
    monkeypatch.setenv("HOME", str(home))
    config = {"paths": {"data": f"{home}/data", "near": f"{home}son/data"}, "store": {"api_key": "sk-123456"}}
    config |= {"address": "redis://me:word@host/0", "encoder": {"max_tokens": 5}}
    monkeypatch.setenv("MY_API_TOKEN", "s3cr3tKEY123")
    monkeypatch.setattr(
        sys, "argv", ["causalrec", "train", "logger.project=p-s3cr3tKEY123", "logger.password=typed-word"]
    )
    config |= {"title": "of s3cr3tKEY123"}
    logger = WandB(project="p-s3cr3tKEY123", machine=True)
    job = job_of(tmp_path, **searchable_settings(config), note=f"{home}/note")
    record = RunRecord(name="mf-naive", status="failed", error=f"no {home}/data")
    logger.close(logger.open(job), record, "failed")
    (file,) = files_below(tmp_path)
    raw, wandb_run = file.read_bytes(), read_back(file)
    logs = b"".join(path.read_bytes() for path in tmp_path.rglob("*.log"))
    for secret in (f"{home}/", "sk-123456", "me:word"):
        assert secret.encode() not in raw
    for secret in ("s3cr3tKEY123", "typed-word"):
        assert secret.encode() not in raw + logs
    assert wandb_run.config["title"] == "of redacted"
    assert wandb_run.config["note"] == "~/note"
    assert wandb_run.config["paths.data"] == "~/data" and wandb_run.config["paths.near"] == f"{home}son/data"
    assert (wandb_run.config["store.api_key"], wandb_run.config["address"]) == ("redacted", "redis://redacted@host/0")
    assert wandb_run.config["encoder.max_tokens"] == 5 and wandb_run.summary["error"] == "no ~/data"
    assert redact(["a", {"b": f"{home}"}]) == ["a", {"b": "~"}]


def offline(folder: Path, sweep: str, key: str, started: str, *, finished: bool = True) -> Path:
    """Write an offline file as W&B names it."""
    job = folder / sweep / "mf-ips" / f"seed0-{key}"
    file = job / "wandb" / f"offline-run-{started}-{key}" / f"run-{key}.wandb"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    if finished:
        mark_finished(file.parent)
    return file.parent


def test_offline_runs_are_listed_by_sweep_and_oldest_first_without_those_sent(tmp_path: Path) -> None:
    late = offline(tmp_path, "b", "k1", "20260102_000000")
    early = offline(tmp_path, "b", "k1", "20260101_000000")
    first = offline(tmp_path, "b", "k9", "20251231_000000")
    other = offline(tmp_path, "a", "k2", "20260103_000000")
    sent = offline(tmp_path, "a", "k3", "20260101_000000")
    (sent / "run-k3.wandb.synced").touch()
    runs = offline_runs(tmp_path)
    assert [offline_run.folder for offline_run in runs] == [other, first, early, late]
    assert [offline_run.id for offline_run in runs] == ["k2", "k9", "k1", "k1"]
    assert [offline_run.sweep.name for offline_run in runs] == ["a", "b", "b", "b"]
    assert sync_commands(runs) == [f"wandb sync {other}", f"wandb sync {first} {early} {late}"]


def test_files_still_being_written_are_not_finished(tmp_path: Path) -> None:
    offline(tmp_path, "s", "again", "20260101_000000")
    offline(tmp_path, "s", "again", "20260102_000000", finished=False)
    logger = WandB()
    opened = logger.open(job_of(tmp_path))
    assert [(run.id, run.finished) for run in offline_runs(tmp_path)] == [
        ("again", True),
        ("again", False),
        ("abc123", False),
    ]
    logger.close(opened, None, "done")
    assert offline_runs(tmp_path)[-1].finished


def test_long_commands_are_split_but_never_within_a_run() -> None:
    sweep, long = Path("runs/s"), "x" * 900
    runs = [OfflineRun(f"k{k}", t, Path(f"runs/s/{long}/{k}-{t}"), sweep, True) for t in ("1", "2") for k in range(20)]
    commands = sync_commands(runs)
    assert len(commands) > 1 and all(len(command_line) < 21_000 for command_line in commands)
    for k in range(20):
        (words,) = [command_line.split() for command_line in commands if f"{long}/{k}-1" in command_line]
        assert words.index(f"runs/s/{long}/{k}-2") == words.index(f"runs/s/{long}/{k}-1") + 1
    single_run = [OfflineRun("k", str(t), Path(f"runs/s/{long}/{t}"), sweep, True) for t in range(30)]
    assert len(sync_commands(single_run)) == 1


def test_the_command_printed_is_the_one_wandb_takes(tmp_path: Path) -> None:
    folder = tmp_path / "my runs"
    WandB().replay(job_of(folder), RECORD, "done")
    (command,) = sync_commands(offline_runs(folder))
    command_line = f"{sys.executable} -m {command} --dry-run"
    done = subprocess.run(["sh", "-c", command_line], capture_output=True, text=True, check=True)
    assert "abc123" in done.stdout + done.stderr and "Would sync" in done.stdout + done.stderr


def ask(what: str, folder: Path, **options: Any) -> int:
    arguments = {"what": what, "folder": folder, "json": False, "entity": None, "project": None, **options}
    return command(argparse.Namespace(**arguments))


def test_wandb_sync_prints_commands_or_says_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("sync", tmp_path) == 0
    output = capsys.readouterr()
    assert output.out == "" and "no offline W&B run to send" in output.err
    cut = offline(tmp_path / "my runs", "s", "k2", "20260101_000000", finished=False)
    assert ask("sync", tmp_path) == 0
    output = capsys.readouterr()
    assert output.out == "" and "1 file(s) left out" in output.err and "no offline" not in output.err
    ready = offline(tmp_path / "my runs", "s", "k1", "20260101_000000")
    assert ask("sync", tmp_path) == 0
    output = capsys.readouterr()
    assert output.out == f"wandb sync {shlex.quote(str(ready))}\n" and "1 file(s) left out" in output.err
    assert ask("sync", tmp_path, json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["commands"] == [f"wandb sync {shlex.quote(str(ready))}"]
    assert document["runs"] == [{"id": "k1", "started": "20260101_000000", "folder": str(ready)}]
    assert document["left_out"] == [str(cut)]
    with pytest.raises(RequestError, match="no such folder"):
        ask("sync", tmp_path / "absent")


def record_of(row: str, seed: int, **changes: Any) -> RunRecord:
    config = {"sweep": "s1", "seed": seed, "evaluation": {"level": 0.95}}
    config |= {"logger": {"_target_": "WandB", "project": "mine"}}
    return dataclasses.replace(RECORD, **{"name": row, "config": config, **changes})


def test_the_workspace_compares_the_rows_of_the_sweep() -> None:
    assert version("wandb-workspaces") == "0.4.13"  # its views serialise through a private method
    scores = (SCORE, dataclasses.replace(SCORE, metric="ndcg@5"))
    dashboard = workspace([record_of("mf-ips", 0, scores=scores), record_of("mf-dr", 0)], "us", "mine")
    view = json.loads(serialise(dashboard))
    assert (view["entity"], view["project"], view["display_name"]) == ("us", "mine", "causalrec: s1")
    section = view["spec"]["section"]
    (runs,) = section["runSets"]
    assert runs["grouping"] == [{"section": "run", "name": "group"}, {"section": "config", "name": "row.value"}]
    (only,) = runs["filters"]["filters"]
    assert (only["key"], only["op"], only["value"]) == ({"section": "run", "name": "group"}, "IN", ["s1"])
    panels = {panel_group["name"]: panel_group["panels"] for panel_group in section["panelBankConfig"]["sections"]}
    assert list(panels) == ["Scores by row", "Learning curves", "Overlap, calibration, ranking", "Tables"]
    bars = [panel["config"] for panel in panels["Scores by row"]]
    names = [f"summary_metrics.best/{metric}@randomised" for metric in ("auc", "ndcg@5")]
    assert [bar["metrics"] for bar in bars] == [[name] for name in names]
    assert all(bar["groupBy"] == "row.value" and bar["groupAgg"] == "mean" for bar in bars)
    for panel, name in zip(panels["Learning curves"], ("validation/criterion", "train/loss"), strict=True):
        assert panel["config"]["xAxis"] == "epoch" and name in panel["config"]["metricRegex"]
    shown = [key for panel in panels["Overlap, calibration, ranking"] for key in panel["config"]["mediaKeys"]]
    assert shown == [
        f"images/{name}" for name in ("overlap", "calibration", "reliability", "ranking", "values", "tradeoff")
    ]
    assert "results" in json.dumps(panels["Tables"])


def test_without_a_key_the_workspace_is_written_beside_the_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_of("mf-ips", 0).save(tmp_path / "mf-ips" / "seed0-a")
    record_of("mf-ips", 1, status="failed", scores=()).save(tmp_path / "mf-ips" / "seed1-b")
    assert ask("workspace", tmp_path) == 0
    output = capsys.readouterr()
    file = tmp_path / "wandb_workspace.json"
    assert output.out == f"{file}\n" and "causalrec wandb sync" in output.err
    assert json.loads(file.read_text())["project"] == "mine"
    assert ask("workspace", tmp_path, json=True, project="other", entity="us") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["workspace"], document["project"], document["entity"]) == (str(file), "other", "us")
    assert [section["panels"] for section in document["sections"]] == [1, 2, 6, 1]
    assert json.loads(file.read_text())["entity"] == "us"


def test_names_are_as_long_as_wandb_takes(tmp_path: Path) -> None:
    jobs = [dataclasses.replace(job_of(tmp_path), name="x" * 200 + end) for end in "ab"]
    names = [WandB()._address(job)["name"] for job in jobs]
    assert max(map(len, names)) == 128 and len(set(names)) == 2


def test_a_damaged_record_is_named_and_the_others_make_the_workspace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_of("mf-ips", 0).save(tmp_path / "mf-ips" / "seed0-a")
    damaged = record_of("mf-ips", 1).save(tmp_path / "mf-ips" / "seed1-b")
    damaged.write_text(damaged.read_text().replace('"seed": 1', '"seed": "x"'))
    assert ask("workspace", tmp_path) == 0
    assert f"not in the workspace: {damaged}: not as a record should be (config.seed='x'" in capsys.readouterr().err
    damaged.rename(tmp_path / "mf-ips" / "seed0-a" / "record.json")
    with pytest.raises(DataError, match="1 of its records cannot be read"):
        ask("workspace", tmp_path)


def test_with_a_key_the_workspace_is_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb_workspaces.workspaces as ws

    def save(self: Any) -> Any:
        return argparse.Namespace(url=f"https://wandb.ai/{self.entity}/{self.project}?nw=x")

    monkeypatch.setattr(ws.Workspace, "save_as_new_view", save)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setattr(wandb, "Api", lambda: argparse.Namespace(default_entity="me"))
    record_of("mf-ips", 0).save(tmp_path / "seed0-a")
    assert ask("workspace", tmp_path) == 0
    assert capsys.readouterr().out == "https://wandb.ai/me/mine?nw=x\n"
    assert ask("workspace", tmp_path, entity="us") == 0
    assert capsys.readouterr().out == "https://wandb.ai/us/mine?nw=x\n"
    assert not (tmp_path / "wandb_workspace.json").exists()

    def refuse(self: Any) -> Any:
        raise wandb.errors.CommError("no such\nproject")

    monkeypatch.setattr(ws.Workspace, "save_as_new_view", refuse)
    with pytest.raises(RequestError, match="no such project; see --entity and --project"):
        ask("workspace", tmp_path)


def test_a_workspace_needs_a_finished_run_and_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_of("mf-ips", 0, status="failed").save(tmp_path / "seed0-a")
    with pytest.raises(DataError, match="no finished run"):
        ask("workspace", tmp_path)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    with pytest.raises(RequestError, match=r"pip install 'causalrec\[dash\]'"):
        workspace([record_of("mf-ips", 0)], "us", "mine")
