"""A study is data: rows x seeds, checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from causalrec.errors import RequestError
from causalrec.reporting.study import load_study

WHOLE = {
    "title": "t",
    "sweep": "s",
    "seeds": [3, 4],
    "base": ["dataset=coat"],
    "rows": {"a": ["objective=ips"], "b": ["objective=naive"]},
    "columns": ["auc@randomised"],
}


def written(folder: Path, **changes: object) -> str:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**WHOLE, **changes}.items() if v is not None}))
    return str(path)


def test_jobs_are_rows_by_seeds(tmp_path: Path) -> None:
    jobs = load_study(written(tmp_path)).jobs(smoke=False)
    assert jobs == [
        ["dataset=coat", f"objective={objective}", f"name={name}", "sweep=s", f"seed={seed}"]
        for name, objective in (("a", "ips"), ("b", "naive"))
        for seed in (3, 4)
    ]


def test_smoke_takes_one_seed_its_own_sweep_and_what_the_study_adds(tmp_path: Path) -> None:
    jobs = load_study(written(tmp_path)).jobs(smoke=True)
    assert jobs[0] == ["dataset=coat", "objective=ips", "trainer=smoke", "name=a", "sweep=s_smoke", "seed=3"]
    assert len(jobs) == 2
    own = load_study(written(tmp_path, smoke=["trainer.max_epochs=1"])).jobs(smoke=True)
    assert "trainer.max_epochs=1" in own[0] and "trainer=smoke" not in own[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"titel": "t"}, "titel: "),
        ({"seeds": []}, "seeds: "),
        ({"seeds": ["x"]}, "seeds.0: "),
        ({"rows": {}}, "rows: "),
        ({"rows": {"a": "objective=ips"}}, "rows.a: "),
        ({"sweep": None}, "sweep: "),
    ],
)
def test_what_is_wrong_in_a_study_is_one_line(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(RequestError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}: {told}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["rows: [", "- a", ""])
def test_a_file_that_is_no_study_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(RequestError) as caught:
        load_study(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_study_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="study quickstart/ml100: there is none; did you mean 'quickstart/ml100k'"):
        load_study("quickstart/ml100")
    with pytest.raises(RequestError, match="there is none"):
        load_study(str(tmp_path / "absent.yaml"))
