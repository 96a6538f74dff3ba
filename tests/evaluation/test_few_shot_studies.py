"""The few-shot and cold-start studies: every row is a valid request, on the design that its name says."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from causalrec.config.compose import compose_all, normalise_overrides, package_folder
from causalrec.config.schema import ExperimentConfig
from causalrec.data.split.cold_items import ColdItems
from causalrec.data.split.few_shot import FewShot
from causalrec.data.split.windows import Windows
from causalrec.reporting.study import load_study
from causalrec.running.prepare import plan_run

NAMES = sorted(f"few_shot/{path.stem}" for path in (package_folder("experiments") / "few_shot").glob("*.yaml"))


@cache
def compose_study(name: str) -> list[ExperimentConfig]:
    """Every row at one seed, which is not the default."""
    study = load_study(name).model_copy(update={"seeds": [7]})
    return compose_all([normalise_overrides(job) for job in study.jobs(smoke=False)])


def split_of(spec: ExperimentConfig) -> FewShot:
    split = spec.split.build()
    assert isinstance(split, FewShot)
    return split


def test_the_studies_are_here() -> None:
    assert NAMES == ["few_shot/cold_items", "few_shot/ml100k", "few_shot/tallrec"]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_a_request_that_can_be_planned(name: str, tmp_path: Path) -> None:
    study = load_study(name)
    specs = compose_study(name)
    assert len(specs) == len(study.rows) and len({spec.key for spec in specs}) == len(specs)
    for spec in specs:
        paths = spec.run.paths.model_copy(update={"runs": tmp_path / "runs", "cache": tmp_path / "cache"})
        plan_run(spec.replace(run=spec.run.model_copy(update={"paths": paths})))
        assert "user_mean" in spec.baseline


@pytest.mark.long
@pytest.mark.parametrize("name", ["few_shot/ml100k", "few_shot/tallrec"])
def test_a_seed_draws_its_own_shots_from_the_same_rows(name: str) -> None:
    for spec in compose_study(name):
        split, shots = split_of(spec), int(spec.run.name.rpartition("-")[2])
        assert (split.train_size, split.subsample_seed, split.rules.seed, split.rules.unseen) == (shots, 7, 0, "keep")
        assert spec.run.selection.clip == 0.1, "a share of the log's density, which follows the shots by itself"


@pytest.mark.long
def test_what_histories_read() -> None:
    assert {split_of(spec).history_rows for spec in compose_study("few_shot/ml100k")} == {"rest"}
    tallrec = compose_study("few_shot/tallrec")
    splits = [split_of(spec) for spec in tallrec]
    assert all(split.history_reads_test and isinstance(split.base, Windows) for split in splits)
    spaces = {spec.objective.target.space for spec in tallrec}
    assert spaces == {"logged"}, "a pair that is not logged has no time: its history would hold ratings of the test"


@pytest.mark.long
def test_cold_items_move_whole_items() -> None:
    assert {spec.split.target for spec in compose_study("few_shot/cold_items")} == {ColdItems}
