"""The few-shot and cold-start studies: every row is a valid request, on the design that its name says."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from causalrec.config import TrainSpec, compose_all, package_folder, prepared
from causalrec.data.splits import Splitter
from causalrec.prepare import plan
from causalrec.reporting.study import load_study

NAMES = sorted(f"few_shot/{path.stem}" for path in (package_folder("experiments") / "few_shot").glob("*.yaml"))
WHOLE = 80_000  # training rows of ML-100K, of which 0.01 is the clip


@cache
def composed(name: str) -> list[TrainSpec]:
    """Every row at one seed, which is not the default."""
    study = load_study(name).model_copy(update={"seeds": [7]})
    return compose_all([prepared(job) for job in study.jobs(smoke=False)])


def splitter(spec: TrainSpec) -> Splitter:
    made = spec.leaves["split"].build()
    assert isinstance(made, Splitter)
    return made


def test_the_studies_are_here() -> None:
    assert NAMES == ["few_shot/cold_items", "few_shot/ml100k", "few_shot/tallrec"]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_a_request_that_can_be_planned(name: str, tmp_path: Path) -> None:
    study = load_study(name)
    specs = composed(name)
    assert len(specs) == len(study.rows) and len({spec.key for spec in specs}) == len(specs)
    for spec in specs:
        paths = spec.spine.paths.model_copy(update={"runs": tmp_path / "runs", "cache": tmp_path / "cache"})
        plan(TrainSpec(spec.spine.model_copy(update={"paths": paths}), spec.leaves, spec.metrics, spec.baselines))
        assert "user_mean" in spec.baselines


@pytest.mark.parametrize("name", ["few_shot/ml100k", "few_shot/tallrec"])
def test_a_seed_draws_its_own_shots_from_the_same_rows_and_clips_follow_the_shots(name: str) -> None:
    for spec in composed(name):
        split, shots = splitter(spec), int(spec.spine.name.rpartition("-")[2])
        assert (split.shots, split.draw, split.seed, split.unseen) == (shots, 7, 0, "keep")
        clip = 0.01 * shots / WHOLE
        assert spec.spine.selection.clip == pytest.approx(clip)
        objective = spec.leaves["objective"].build()
        assert objective.clip == pytest.approx(0.0 if "naive" in spec.spine.name else clip)


def test_what_histories_read() -> None:
    assert {splitter(spec).context for spec in composed("few_shot/ml100k")} == {"rest"}
    tallrec = composed("few_shot/tallrec")
    assert {(splitter(spec).context, splitter(spec).order) for spec in tallrec} == {("all", "windows")}
    spaces = {spec.leaves["objective"].target.space for spec in tallrec}
    assert spaces == {"logged"}, "a pair that is not logged has no time: its history would hold ratings of the test"


def test_cold_items_move_whole_items() -> None:
    assert {(splitter(spec).cold, splitter(spec).shots) for spec in composed("few_shot/cold_items")} == {("item", None)}
