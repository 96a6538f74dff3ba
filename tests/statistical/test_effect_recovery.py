"""On a simulation whose effects are known, every head and learner ranks better than chance and recovers the average."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from causalrec import cli
from causalrec.config.compose import package_folder

TABLE = ["logger=none", "dataset.units=6000", "split.test=0.5"]  # what a learner from a table reads too
SMALL = [*TABLE, "selection.candidates={optimizer.weight_decay:[0.1]}", "trainer.progress=false"]
SMALL += ["trainer.max_epochs=40", "trainer.patience=8", "head.width=32"]
NETWORKS = {
    "s_net": ["head=s_net"],
    "t_net": ["head=t_net"],
    "tarnet": ["head.arm_width=16"],
    "cfr_wass": ["objective=cfr_wass", "head.arm_width=16"],
    "cfr_mmd": ["objective=cfr_mmd", "head.arm_width=16"],
    "dragonnet": ["objective=dragonnet", "head=dragonnet", "head.arm_width=16"],
    "euen": ["head=euen"],
    "descn": ["objective=descn", "head=descn", "head.arm_width=16"],
    "x_net": ["objective=x_learner", "head=t_net"],
    "r_net": ["objective=r_learner", "head=t_net"],
    "dr_net": ["objective=dr_learner", "head=t_net"],
}
LEARNERS = {
    path.stem: [f"learner={path.stem}"]
    for path in sorted((package_folder("conf") / "learner").glob("*.yaml"))
    if path.stem not in ("network", "ortho_iv", "dowhy_front_door")
}
HIDDEN = {  # by what identifies the effect where a hidden cause drives exposure and outcome
    "ortho_iv": ["graph=effect_simulation_instrument", "dataset.instrument_strength=2"],
    "dowhy_front_door": ["graph=effect_simulation_front_door", "dataset.mediated=true"],
}
CONSTANT = {name for name in LEARNERS if name.startswith("dowhy_")}  # one effect for all: they rank nothing
QUICK = {"linear_dml"}  # the others are long


def case(name: str, overrides: list[str]) -> Any:
    return pytest.param(name, overrides, id=name, marks=[] if name in QUICK else [pytest.mark.long])


@pytest.mark.parametrize(("name", "overrides"), [case(*arguments) for arguments in {**NETWORKS, **LEARNERS}.items()])
def test_effects_are_recovered(
    name: str, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "task=effect", "--json", *(TABLE if name in LEARNERS else SMALL), *overrides]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    scores = {(score["metric"], score["slice"]): score for score in record["scores"]}
    truth = record["overlap"]["mean_outcome"]["true"]
    average = scores["average_effect", "training" if name in LEARNERS else "logged"]
    if average["low"] is not None:  # matching has no valid interval
        assert abs(average["value"] - truth) < 3 * (average["high"] - average["low"]) / 3.92
    assert abs(average["value"] - truth) < 0.35
    if name not in CONSTANT:
        for metric in ("qini", "autoc"):
            assert scores[metric, "logged"]["low"] > 0
        trivial = [score["value"] for score in record["baselines"] if score["metric"] == "sqrt_pehe"]
        assert scores["sqrt_pehe", "out_of_sample"]["value"] < 0.9 * min(trivial)


@pytest.mark.long
@pytest.mark.parametrize("name", HIDDEN)
def test_effects_behind_a_hidden_cause_are_recovered_and_adjusting_misses_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    errors = {}
    for effect, more in ((name, []), ("linear_dml", ["graph.assume=true"])):
        overrides = [*TABLE, *HIDDEN[name], "dataset.confounder_strength=1.5", f"learner={effect}", *more]
        assert cli.main(["train", "task=effect", "--json", *overrides]) == 0
        (record,) = json.loads(capsys.readouterr().out)
        scores = {(score["metric"], score["slice"]): score for score in record["scores"]}
        metric = "effect_of_compliers" if effect == "ortho_iv" else "average_effect"
        truth, average = record["overlap"]["mean_outcome"]["true"], scores[metric, "training"]
        errors[effect] = abs(average["value"] - truth) / ((average["high"] - average["low"]) / 3.92)
        assert record["adjustment"]["training"]["strategy"] == ("backdoor" if more else record_strategy(name))
        assert any(where == "logged" for _, where in scores) == bool(more), "logged rows judge only what is adjusted"
    assert errors[name] < 3 < 10 < errors["linear_dml"]


def record_strategy(name: str) -> str:
    return "instrument" if name == "ortho_iv" else "front-door"
