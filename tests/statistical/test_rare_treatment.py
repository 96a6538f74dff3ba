"""Few treated of an experiment beside many controls of another population, set up as a newcomer would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from coverage_counts import is_covered, write_counts

from causalrec import cli
from causalrec.learners.average_request import trimmed_training_rows
from causalrec.learners.table_columns import log_to_fit
from causalrec.running.prepare import plan_run, prepare_data
from causalrec.running.reopen import reopen_run

DRAWS = 100
TREATED, CONTROLS = 150, 12_000
COLUMNS = ("age", "schooling", "earned_before")
DATASET = """\
_target_: causalrec.data.datasets.csv.CsvTables
folder: ./study
user: null
item: null
threshold: null
kind: reward
feedback: exposure_logged
self_selected: false
arms: [training]
outcome: earned
exposure: trained
users: {columns: {age: numeric, schooling: numeric, earned_before: numeric}}
"""
GRAPH = """\
_target_: causalrec.graph.causal_graph.CausalGraph
edges: ['age, schooling, earned_before -> exposure, outcome', exposure -> outcome]
"""
NAMES_COLUMNS = ("outcome:", "exposure:", "users:")
TRAIN = ["train", "task=effect", "--config-dir", "conf", "dataset=study", "learner=linear_dml", "logger=none", "--json"]
TRAIN += ["evaluation.target=treated", "evaluation.trim=0.02", "metric=[qini]"]


def write_study(folder: Path, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Write the study's files; return the true effects of all rows, and who is treated.

    The treated differ in all columns, so that most controls are unlike any of them and some treated unlike any control.
    """
    rng = np.random.default_rng([seed, 41])
    treated = np.arange(TREATED + CONTROLS) < TREATED
    x = rng.normal(size=(len(treated), 3)) + treated[:, None] * np.array([1.5, -0.5, -1.0])
    effects = 1 + 0.5 * x[:, 0]
    earned = x @ np.array([1.0, 0.5, 1.0]) + effects * treated + rng.normal(size=len(treated))
    (folder / "study").mkdir(exist_ok=True)
    table = {"trained": treated.astype(int), "earned": earned, **dict(zip(COLUMNS, x.T, strict=True))}
    pl.DataFrame(table).write_csv(folder / "study" / "interactions.csv")
    return effects, treated


def test_the_study_takes_twelve_lines_of_yaml() -> None:
    lines = [line for line in (DATASET + GRAPH).splitlines() if not line.startswith(NAMES_COLUMNS)]
    assert len(lines) <= 12


def true_effect_of_kept(folder: Path, effects: np.ndarray, treated: np.ndarray) -> float:
    """Return the mean true effect of the treated rows that trimming leaves of those that a run was fitted on."""
    config, _ = reopen_run(folder)
    prepared = prepare_data(config, plan_run(config))
    user, included = log_to_fit(prepared).users, trimmed_training_rows(config.run.evaluation, prepared)
    assert included is not None
    return float(effects[user[included & treated[user]]].mean())


def count_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], draws: int
) -> tuple[int, int]:
    """Return how many of the draws cover the true effect on the treated rows that trimming keeps, and how many warn."""
    monkeypatch.chdir(tmp_path)
    for group, text in (("dataset", DATASET), ("graph", GRAPH)):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / "study.yaml").write_text(text, encoding="utf-8")
    covered = warned = 0
    for seed in range(draws):
        monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / f"cache{seed}"))
        effects, treated = write_study(tmp_path, seed)
        assert cli.main([*TRAIN, f"name=draw{seed}"]) == 0
        (record,) = json.loads(capsys.readouterr().out)
        (average,) = [s for s in record["scores"] if (s["metric"], s["slice"]) == ("average_effect", "training")]
        (folder,) = tmp_path.glob(f"runs/default/draw{seed}/*")
        truth = true_effect_of_kept(folder, effects, treated)
        covered += int(average["low"] <= truth <= average["high"])
        warned += any("like" in line for line in record["warnings"])
    return covered, warned


@pytest.mark.long
def test_the_effect_on_the_treated_is_covered_and_its_overlap_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    covered, warned = count_draws(tmp_path, monkeypatch, capsys, DRAWS)
    write_counts("effect on few treated", "150 treated, 12,000 controls", DRAWS, {"covered": covered, "warned": warned})
    assert is_covered(covered, DRAWS) and warned == DRAWS
