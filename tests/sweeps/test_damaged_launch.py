"""A launch over damaged state, job after job and packed: the job it hits fails or is run again, the others go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small import SMALL, table

from causalrec import cli
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import DataError
from causalrec.records.run_record import RunRecord
from causalrec.running import run
from causalrec.sweeps import fingerprint
from causalrec.sweeps.ledger import Claim, Ledger
from causalrec.sweeps.maintenance import status

LAUNCH = ["train", "-m", "sweep=s", *SMALL, "objective=naive", "seed=0,1"]
PACKED = ["hydra/launcher=packed", "hydra.launcher.progress=false"]


def work(config: ExperimentConfig, *_: object) -> Path:
    settings = {"seed": config.run.seed, "evaluation": {"level": 0.95}}
    return RunRecord(name=config.run.name, status="done", config=settings).save(config.folder)


def work_together(
    configs: Sequence[ExperimentConfig], _: object, ownership: Sequence[object], *__: object
) -> list[Any]:
    return [work(config) if check else None for config, check in zip(configs, ownership, strict=True)]


@pytest.mark.parametrize("launcher", [[], PACKED], ids=["alone", "packed"])
def test_damage_of_one_job_stops_no_other(
    launcher: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(table(tmp_path)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "code_hash", lambda: "0" * 64)
    monkeypatch.setattr(run, "train", work)
    monkeypatch.setattr(run, "train_together", work_together)
    monkeypatch.chdir(tmp_path)
    ledger, claim = Ledger(Path("runs/s")), Ledger.claim

    def refuse_seed_0(self: Ledger, job: str) -> Claim | None:
        if "seed0" in job:
            raise DataError("refused")
        return claim(self, job)

    monkeypatch.setattr(Ledger, "claim", refuse_seed_0)
    assert cli.main([*LAUNCH, *launcher]) == 1
    assert capsys.readouterr().err.count("failed: mf-naive seed 0: refused") == 1
    assert status(ledger)["counts"]["done"] == 1, "the other was run"
    monkeypatch.setattr(Ledger, "claim", claim)
    for path in [*(ledger.root / "started").iterdir(), *(ledger.root / "done").iterdir()]:
        path.unlink()
        (path / "mine").mkdir(parents=True)
    record = next(ledger.folder.rglob("record.json"))
    record.unlink()
    (record / "mine").mkdir(parents=True)
    assert cli.main([*LAUNCH, *launcher]) == 0
    assert status(ledger)["counts"] == {"done": 2} and capsys.readouterr().err.count("moved aside") == 2
    assert cli.main([*LAUNCH, *launcher]) == 0
    assert "moved aside" not in capsys.readouterr().err
