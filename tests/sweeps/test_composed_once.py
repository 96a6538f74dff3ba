"""Jobs of a launch are composed and checked once for what they share: each is what it would be by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from causalrec.config import composition
from causalrec.config.compose import compose_config, compose_plain, normalise_overrides, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.running.prepare import plan_run

BASE = ["dataset=coat", "objective=ips"]
JOBS = [
    *([f"seed={seed}", f"objective.clip={clip}"] for seed in (0, 1) for clip in (0.0, 0.1, 1)),
    ["seed=2", "objective.clip=0.1", "optimizer.lr=0.5"],
    ["seed=3", "name=row-${seed}", "split.seed=${seed}"],
    ["seed=4", "name=row-${seed}", "split.seed=${seed}"],
    ["seed=5", "selection.candidates={optimizer.weight_decay:[0.1,1.0]}"],
    ["seed=5", "selection.candidates=none"],
    ["name=a", "trainer.limit_rows=null"],
    ["name='1'", "trainer.limit_rows=7"],
    ["dataset.threshold=4", "sweep=other"],
    ["dataset.threshold=3", "sweep=other"],
]


def normalise(jobs: list[list[str]], folder: Path | None = None) -> list[list[str]]:
    return [normalise_overrides([*BASE, *job], [folder] if folder else []) for job in jobs]


def one_by_one(jobs: list[list[str]]) -> list[ExperimentConfig]:
    return [validate_config(compose_config(job)) for job in jobs]


def test_keys_and_plans_of_jobs_composed_together_are_those_of_each_by_itself() -> None:
    jobs = normalise(JOBS)
    together, apart = [validate_config(plain) for plain in compose_plain(jobs)], one_by_one(jobs)
    assert [config.to_dict() for config in together] == [config.to_dict() for config in apart]
    assert [config.folder for config in together] == [config.folder for config in apart]
    assert len({config.folder for config in together}) == len(JOBS)
    assert [plan_run(c, writes=False).views for c in together] == [plan_run(c, writes=False).views for c in apart]


def test_types_are_kept_where_only_they_differ() -> None:
    jobs = normalise([["objective.clip=1"], ["objective.clip=1.0"], ["objective.clip=0.5"]])
    assert [type(plain["objective"]["clip"]) for plain in compose_plain(jobs)] == [int, float, float]


def test_a_value_that_another_key_reads_is_resolved_for_each_job(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    text = "_target_: causalrec.training.optimizer.AdamW\nlr: ${objective.clip}\n"
    (tmp_path / "optimizer" / "mine.yaml").write_text(text)
    jobs = normalise([["optimizer=mine", f"objective.clip={clip}"] for clip in (0.1, 0.2, 0.3)], tmp_path)
    assert [plain["optimizer"]["lr"] for plain in compose_plain(jobs)] == [0.1, 0.2, 0.3]


def test_hydra_resolves_once_for_the_jobs_that_set_the_same_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    real = composition.resolve
    monkeypatch.setattr(composition, "resolve", lambda *given: (calls.append(given[2]), real(*given))[1])
    compose_plain(normalise([[f"seed={k}", f"objective.clip={k / 10}"] for k in range(6)]))
    assert len(calls) == 1
