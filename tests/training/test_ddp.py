"""Two processes on one machine train to what one process trains to."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OBJECTIVES = ("naive", "snips", "dr_jl")

SCRIPT = """
import json, os, sys
from pathlib import Path
import numpy as np
from causalrec.data.log import InteractionLog
from causalrec.data.sampling import Sampler
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.objective.snips import SNIPS
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, RoleNetwork
from causalrec.training.datamodule import LogDataModule
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.trainer import TrainerSettings, seeded

USERS, ITEMS = 30, 20

def log_of(seed, rows):
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    ones = np.ones(rows, np.int64)
    chance = 1 / (1 + np.exp(-np.random.default_rng(9).normal(size=ITEMS)[codes % ITEMS]))
    outcome = (rng.random(rows) < chance).astype(np.float32)
    propensity = rng.uniform(0.1, 0.9, rows).astype(np.float32)
    return InteractionLog(codes % ITEMS, ones, outcome, ITEMS, codes // ITEMS, USERS, propensity=propensity)

def trained(folder, **settings):
    rng = np.random.default_rng(2)
    blocks = [rng.normal(size=(count, 1)).astype(np.float32) for count in (USERS, ITEMS)]
    features = FeatureMatrix(("a", "b"), ("user", "item"), *blocks, ())
    found = {}
    for name, objective in (("naive", Naive()), ("snips", SNIPS()), ("dr_jl", DRJL())):
        seeded(0)
        inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
        networks = {role: RoleNetwork(MF(inputs, width=4), Dot(2)) for role in objective.needs}
        module = CausalRecModule(CausalModel(networks, "logit"), objective, AdamW(lr=0.02, weight_decay=0.1))
        # 199 rows in batches of 33: ranks get unequal shares, and the last batch leaves one rank little or nothing
        data = LogDataModule(log_of(0, 199), log_of(1, 61), features, Sampler(batch_size=33), objective.space, 0)
        trainer = TrainerSettings(max_epochs=3, progress=False, **settings)
        fit = trainer.fit(module, data, None, Path(folder) / name, name)
        size = sum(float(value.double().abs().sum()) for value in fit.state.values())
        found[name] = {"criterion": fit.criterion, "best_epoch": fit.best_epoch, "epochs": fit.epochs, "size": size}
    return found

if __name__ == "__main__":
    result = trained(sys.argv[1], strategy="ddp", devices=2)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        Path(sys.argv[2]).write_text(json.dumps(result))
"""


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
    two = json.loads(result.read_text())
    made = importlib.util.spec_from_file_location("ddp_script", script)
    assert made is not None and made.loader is not None
    module = importlib.util.module_from_spec(made)
    made.loader.exec_module(module)
    one = module.trained(tmp_path / "one")
    assert set(one) == set(two) == set(OBJECTIVES)
    for name in OBJECTIVES:
        assert two[name]["criterion"] == pytest.approx(one[name]["criterion"], abs=1e-4), name
        assert two[name]["size"] == pytest.approx(one[name]["size"], rel=1e-3), name
        assert (two[name]["best_epoch"], two[name]["epochs"]) == (one[name]["best_epoch"], one[name]["epochs"])
    assert len({fit["criterion"] for fit in one.values()}) == 3
