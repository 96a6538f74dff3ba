"""The average effect that one learner of each family reports is covered, whoever is assigned the treatment."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from coverage_counts import is_covered, write_counts
from effect_designs import BY_USER, INDEPENDENT, TWO_ARMS, Design

from causalrec import cli
from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.learners.table import AbstractTableLearner

DRAWS = 100
TABLE = "averages of learners"
ONE_OF_EACH = ("linear_dml", "linear_dr_learner", "causal_forest_dml", "t_learner", "dowhy_linear_regression")
CASES = [
    (name, design)
    for name in ONE_OF_EACH
    for design in (INDEPENDENT, BY_USER, TWO_ARMS)
    if design.arms == 1 or not name.startswith("dowhy_")  # these compare one arm with none
]


def learner(name: str) -> AbstractTableLearner:
    """Return a learner as its YAML has it, in this process alone."""
    node = yaml.safe_load((package_folder("conf") / "learner" / f"{name}.yaml").read_text(encoding="utf-8"))
    if "forest" in name:
        node["arguments"] = {**node.get("arguments", {}), "n_jobs": 1}
    built: AbstractTableLearner = validate_component("learner", node, AbstractTableLearner).build()
    return built


@pytest.mark.long
@pytest.mark.parametrize(("name", "design"), CASES, ids=lambda value: getattr(value, "name", value))
def test_100_draws_of_a_learner_are_covered(name: str, design: Design) -> None:
    truth, covered = design.truths["all"], dict.fromkeys(range(1, design.arms + 1), 0)
    for seed in range(DRAWS):
        average = learner(name).fit_rows(design.draw(seed), seed).average(AverageRequest())
        assert average is not None
        for arm, held in enumerate((average.low <= truth) & (truth <= average.high), start=1):
            covered[arm] += int(held)
    write_counts(TABLE, f"{name}, {design.name}", DRAWS, {f"arm {arm}": count for arm, count in covered.items()})
    assert all(is_covered(count, DRAWS) for count in covered.values())


SWEPT = [
    *("hydra/launcher=packed", "logger=none", "trainer.progress=false", "trainer.max_epochs=15", "trainer.patience=5"),
    *("selection.candidates={optimizer.weight_decay:[0.1]}", "metric=[ate_error]", "sweep=draws", "split.test=0.5"),
]
NETWORKS = {
    INDEPENDENT.name: ["dataset.units=2000"],
    BY_USER.name: ["dataset.units=600", "dataset.rows_per_unit=4", "dataset.unit_spread=1"],
    TWO_ARMS.name: ["dataset.units=3000", "dataset.arms=2"],
}


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_100_networks_cover_the_average(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of TARNet on the rows held out; the truth of arm a is a + E|x2|."""
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "task=effect", "-m", *SWEPT, *NETWORKS[name], f"dataset.seed=range(0,{DRAWS})"]) == 0
    slices = {1: "logged", **({2: "logged_arm2"} if name == TWO_ARMS.name else {})}
    covered = dict.fromkeys(slices, 0)
    records = sorted(tmp_path.glob("runs/draws/*/*/record.json"))
    assert len(records) == DRAWS
    for path in records:
        scores = {(s["metric"], s["slice"]): s for s in json.loads(path.read_text(encoding="utf-8"))["scores"]}
        for arm, slice_name in slices.items():
            average, truth = scores["average_effect", slice_name], arm + np.sqrt(2 / np.pi)
            covered[arm] += int(average["low"] <= truth <= average["high"])
    write_counts(TABLE, f"network (tarnet), {name}", DRAWS, {f"arm {arm}": count for arm, count in covered.items()})
    assert all(is_covered(count, DRAWS) for count in covered.values())
