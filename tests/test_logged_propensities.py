"""Propensities of treatments that were logged row by row, driven by what no column holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec import cli

CSV = [
    "dataset=csv",
    "dataset.folder=./mine",
    *("dataset.user=null", "dataset.item=null", "dataset.threshold=null", "dataset.outcome=y", "dataset.kind=reward"),
    *("dataset.exposure=t", "dataset.feedback=exposure_logged"),
    *("dataset.self_selected=false", "dataset.users={columns: {x: numeric}}"),
    "graph.edges=['x -> outcome','exposure -> outcome']",
    "graph.latent=[]",
    "logger=none",
    "evaluation.replicates=20",
]
Call = Callable[..., Any]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run jobs on 3,000 people and return their record, or the one line of refusal."""
    rng = np.random.default_rng(0)
    x, hidden = rng.normal(size=(2, 3000))
    p = 1 / (1 + np.exp(-1.5 * hidden))
    t = (rng.random(3000) < p).astype(int)
    y = x + 2 * hidden + t * (1 + x / 2) + rng.normal(size=3000)  # the average effect is 1
    (tmp_path / "mine").mkdir()
    pl.DataFrame({"t": t, "y": y, "x": x, "p": p}).write_csv(tmp_path / "mine" / "interactions.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))

    def run(*overrides: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main(["train", *CSV, *overrides, "--json"]) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        return json.loads(out)[0] if not code else err

    return run


@pytest.mark.parametrize("learner", ["linear_dml", "t_learner", "dowhy_ipw"])
def test_a_learner_without_controls_adjusts_for_logged_propensities(call: Call, learner: str) -> None:
    record = call(
        "task=effect", "dataset.arms=[treated]", "dataset.propensity=p", "propensity=logged", f"learner={learner}"
    )
    (average,) = [s for s in record["scores"] if (s["metric"], s["slice"]) == ("average_effect", "training")]
    half_width = (average["high"] - average["low"]) / 2
    assert abs(average["value"] - 1) < 2 * half_width < 0.8, "without the propensities it is above 2"
    assert record["adjustment"]["training"]["strategy"] == "logged propensity"
    assert any("not for the logged propensities" in line for line in record["warnings"]) == (learner == "t_learner")


def test_an_exposed_mean_refuses_rows_that_were_not_exposed(call: Call) -> None:
    line = call("task=exposed_mean", "propensity=popularity", code=1)
    assert "of 3,000 logged rows are not exposed and have an outcome" in line and "task=effect" in line
