"""Two processes on one machine train to what one process trains to."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from causalrec import cli

OBJECTIVES = ("naive", "snips", "dr_jl", "ips_v2", "gap", "upo", "akbdr", "softmax")

SCRIPT = """
import json, os, sys
from pathlib import Path
import numpy as np
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.akbdr import AKBDR
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.ips_v2 import IPSV2
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.objective.sampled_softmax import SampledSoftmax
from causalrec.estimators.objective.upo import UPO
from causalrec.estimators.penalty.gap import Gap
from causalrec.features.batch_columns import BatchColumn
from causalrec.estimators.objective.snips import SNIPS
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import LogDataModule
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.trainer import TrainerSettings, seed_everything

USERS, ITEMS = 30, 20

def log_of(seed, rows):
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    treatment = np.ones(rows, np.int64)
    chance = 1 / (1 + np.exp(-np.random.default_rng(9).normal(size=ITEMS)[codes % ITEMS]))
    outcome = (rng.random(rows) < chance).astype(np.float32)
    propensity = rng.uniform(0.1, 0.9, rows).astype(np.float32)
    return InteractionLog(codes % ITEMS, treatment, outcome, ITEMS, codes // ITEMS, USERS, propensity=propensity)

def fit_all(folder, **settings):
    rng = np.random.default_rng(2)
    blocks = [rng.normal(size=(count, 1)).astype(np.float32) for count in (USERS, ITEMS)]
    features = FeatureMatrix(("a", "b"), ("user", "item"), *blocks, ())
    summaries = {}
    columns = {"group": BatchColumn("group", "user", ("a", "b"), (np.arange(USERS) % 3 == 0).astype(np.int64))}
    fits = {"naive": Naive(), "snips": SNIPS(), "dr_jl": DRJL(), "ips_v2": IPSV2(balance=5.0), "gap": Naive()}
    fits["softmax"] = SampledSoftmax()  # of the items of both ranks
    fits |= {"upo": UPO(), "akbdr": AKBDR()}  # of bins and centres of both
    for name, objective in fits.items():
        penalties = {"gap": Gap(column="group", weight=3.0)} if name == "gap" else {}
        seed_everything(0)
        inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
        networks = {role: RoleNetwork(MF(inputs, width=4), Dot(2)) for role in objective.roles}
        module = CausalRecModule(CausalModel(networks, "logit"), objective, AdamW(lr=0.02, weight_decay=0.1),
                                 penalties=penalties)
        # 199 rows in batches of 33: ranks get unequal shares, and the last batch leaves one rank little or nothing
        data = LogDataModule(log_of(0, 199), log_of(1, 61), features, Balanced(batch_size=33), objective.space, 0,
                             "triples" if name == "softmax" else "logged", columns=columns)
        trainer = TrainerSettings(max_epochs=3, progress=False, **settings)
        fit = trainer.fit(module, data, None, Path(folder) / name, name)
        size = sum(float(value.double().abs().sum()) for value in fit.state.values())
        summaries[name] = {"criterion": fit.criterion, "best_epoch": fit.best_epoch, "epochs": fit.epochs, "size": size}
    return summaries

if __name__ == "__main__":
    result = fit_all(sys.argv[1], strategy="ddp", devices=2)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        Path(sys.argv[2]).write_text(json.dumps(result))
"""


@pytest.mark.long
def test_two_processes_give_the_fit_of_one(tmp_path: Path) -> None:
    script, result = tmp_path / "ddp_script.py", tmp_path / "result.json"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_PORT", "PYTEST_CURRENT_TEST"):
        environment.pop(name, None)
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "two"), str(result)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    two_processes = json.loads(result.read_text())
    spec = importlib.util.spec_from_file_location("ddp_script", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    single_process = module.fit_all(tmp_path / "one")
    assert set(single_process) == set(two_processes) == set(OBJECTIVES)
    for name in OBJECTIVES:
        assert two_processes[name]["criterion"] == pytest.approx(single_process[name]["criterion"], abs=1e-4), name
        assert two_processes[name]["size"] == pytest.approx(single_process[name]["size"], rel=1e-3), name
        assert (two_processes[name]["best_epoch"], two_processes[name]["epochs"]) == (
            single_process[name]["best_epoch"],
            single_process[name]["epochs"],
        )
    assert len({fit["criterion"] for fit in single_process.values()}) == len(OBJECTIVES)


def record_of(folder: Path) -> dict[str, Any]:
    (path,) = folder.rglob("record.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def test_the_command_leaves_one_record_that_tells_what_one_process_tells(
    tmp_path: Path, fake_coat: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["dataset=coat", "objective=snips", "encoder=mf", "trainer.max_epochs=3", "trainer.progress=false"]
    overrides += [f"paths.data={fake_coat(tmp_path / 'data')}", "paths.cache=cache", "evaluation.replicates=5"]
    overrides += [
        "selection.candidates={optimizer.weight_decay:[0.1,1.0]}",
        "sampler.batch_size=16",
        "split.unseen=keep",
        "logger=csv",
    ]
    for trainer in ("cpu", "ddp"):
        assert cli.main(["train", *overrides, f"trainer={trainer}", f"paths.runs={trainer}"]) == 0
    cpu_record, ddp_record = record_of(tmp_path / "cpu"), record_of(tmp_path / "ddp")
    values = [[score["value"] for score in record["scores"]] for record in (cpu_record, ddp_record)]
    assert values[0] == pytest.approx(values[1], abs=1e-4) and len(values[0]) > 3
    for ours, theirs in zip(cpu_record["selection"]["candidates"], ddp_record["selection"]["candidates"], strict=True):
        assert [p["loss"] for p in ours["curve"]] == pytest.approx([p["loss"] for p in theirs["curve"]], abs=1e-4)
    curves = [next((tmp_path / name).rglob("metrics.csv")).read_text().splitlines() for name in ("cpu", "ddp")]
    assert len(curves[0]) == len(curves[1]) and curves[0][0] == curves[1][0]
    out, err = capfd.readouterr()
    assert out.count("record: ") == 2, "a rank that only helps prints nothing"
    assert all(line.startswith("causalrec: ") for line in err.splitlines())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "cpu", "data", "ddp"]
