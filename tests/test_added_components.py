"""`+GROUP=[..]` adds a component to a collection, `GROUP=[..]` replaces its members: composed, swept and run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from causalrec import cli
from causalrec.config.compose import (
    compose_all,
    compose_config,
    expand_sweep,
    normalise_overrides,
    original_overrides,
    validate_config,
)
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import RequestError
from tests.conftest import FakeCoat

SMALL = [
    "trainer=smoke",
    "selection.folds=1",
    "logger=none",
    "selection.candidates={optimizer.weight_decay:[0.1]}",
    "trainer.progress=false",
]
SMALL += ["evaluation.replicates=10", "dataset=coat", "split.unseen=drop", "objective=naive"]
COLUMN = "causalrec.evaluation.slice.by_column.ColumnSlice"
DEFAULT = ["test", "popularity", "all_pairs", "full_ranking"]
OURS = """
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource
from causalrec.evaluation.slice.test import HeldOutSlice


@dataclass(frozen=True, kw_only=True)
class FirstItems(AbstractSlice):
    count: int = 3

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        for test in HeldOutSlice().select(source):
            yield test.subset(f"{test.name}_first", np.flatnonzero(test.item < self.count))
"""


def spec(*overrides: str) -> ExperimentConfig:
    prepared = normalise_overrides(list(overrides))
    return validate_config(compose_config(prepared), original_overrides(prepared))


def test_plus_adds_to_each_collection_and_without_it_the_members_are_replaced() -> None:
    config = spec(
        "+metric=[mae]",
        "+slice=[by_column]",
        "slice.by_column.column=user_age",
        "+baseline=[user_mean]",
        "+refuter=[leak]",
    )
    assert list(config.metric)[-1] == "mae" and len(config.metric) > 5
    assert list(config.slice) == [*DEFAULT, "by_column"]
    assert config.slice["by_column"].arguments == {"column": "user_age"}
    assert list(config.baseline)[-1] == "user_mean" and list(config.refuter) == ["leak"]
    assert list(spec("slice=[test]").slice) == ["test"] and spec().refuter == {}


def test_what_is_added_belongs_to_the_key_and_the_record_but_refuters_do_not_change_the_result() -> None:
    assert spec("+slice=[by_column]", "slice.by_column.column=user_age").key != spec().key
    assert spec("+refuter=[leak]").key == spec().key
    assert spec("+metric=[mae]").to_dict()["metric"]["mae"]["_target_"] == "causalrec.metrics.mae.MAE"
    assert "added" not in spec("+metric=[mae]").to_dict()


def test_settings_of_an_added_component_win_over_its_file_in_either_order() -> None:
    for overrides in (["+refuter=[leak]", "refuter.leak.max_correlation=0.5"],) * 2:
        for order in (overrides, overrides[::-1]):
            assert spec(*order).refuter["leak"].arguments == {"max_correlation": 0.5}
            (together,) = compose_all([normalise_overrides(order)])
            assert together.refuter["leak"].arguments == {"max_correlation": 0.5}


def test_what_was_there_already_stays_where_it_was() -> None:
    assert list(spec("+slice=[test]").slice) == DEFAULT


def test_jobs_of_a_sweep_each_add_their_own_and_say_so_as_it_was_typed() -> None:
    jobs = expand_sweep(normalise_overrides(["+slice=[by_column],[full_ranking]", "++slice.by_column.column=user_age"]))
    first, second = jobs
    assert original_overrides(first) == ("+slice=[by_column]", "slice.by_column.column=user_age")
    (config,) = compose_all([first])
    assert list(config.slice) == [*DEFAULT, "by_column"] and config.overrides == original_overrides(first)
    assert config.requested_members("slice") == ["by_column"] and config.requested_members("metric") == []
    again = spec(*config.overrides)
    assert again.key == config.key, "what a record says runs it again"
    with pytest.raises(RequestError, match=r"^slice.by_column: not in this run; \+slice=\[by_column\] adds it"):
        compose_all([second])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+slice=[by_colum]", "slice=by_colum: unknown component; did you mean 'by_column'"),
        ("+slice=[by_column]", "slice.by_column.column: is mandatory; set slice.by_column.column=VALUE"),
        ("added.slice=3", "added: is no key"),
        ("added.foo.bar=3", "added: is no key; +GROUP=[NAME] adds a component to penalty, augmentation, metric, "),
    ],
)
def test_what_cannot_be_added_is_one_line(override: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        spec(override)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.fixture
def work(fake_coat: FakeCoat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_coat(tmp_path / "data")))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "addedlab.py").write_text(OURS)
    (tmp_path / "conf" / "slice").mkdir(parents=True)
    (tmp_path / "conf" / "slice" / "first_items.yaml").write_text("first_items: {_target_: addedlab.FirstItems}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CAUSALREC_PACKAGES", "addedlab")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    code = cli.main(["train", "--json", *arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    records: list[dict[str, Any]] = json.loads(out)
    return records


def slices_of(record: dict[str, Any], model: str = "scores") -> list[str]:
    return list(dict.fromkeys(score["slice"] for score in record[model] if score["metric"] == "mse"))


def test_a_multirun_scores_the_slice_of_another_package_and_that_of_a_column(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = ["--config-dir", str(work / "conf"), "-m", *SMALL, "+slice=[first_items],[by_column,first_items]"]
    records = run(
        capsys,
        *mine,
        "slice.first_items.count=4",
        f"slice.by_column._target_={COLUMN}",
        "slice.by_column.column=user_gender",
        "seed=0",
    )
    assert len(records) == 2
    for record in records:
        assert slices_of(record)[0] == "randomised" and "randomised_first" in slices_of(record)
        assert slices_of(record) == slices_of(record, "baselines")
        assert any(name.startswith("randomised_user_gender=") for name in slices_of(record))
        assert "+slice=[" in record["command"] and "@" not in record["command"]


def test_a_slice_asked_for_by_name_that_has_no_rows_is_said(
    work: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (record,) = run(capsys, *SMALL, "+slice=[full_ranking]")
    assert record["data"]["slices_without_rows"] == ["full_ranking"]
    assert "slice=full_ranking has no rows in these data" in caplog.text
    (record,) = run(capsys, *SMALL, "seed=1")
    assert record["data"]["slices_without_rows"] == [], "a default may not apply"


def test_rows_with_outcomes_judge_no_effect(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", *SMALL[:-3], "task=effect", "dataset.units=300", "slice=[test,uplift]"]) == 2
    message = (
        "slice=test: yields rows judged by graded, but this run predicts what is judged by effect, lists, uplift; leave"
    )
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["+slice=[by_column]", "slice.by_column.column=user_agee"],
            "slice.by_column.column=user_agee: unknown column",
        ),
        (
            ["+slice=[by_column]", "slice.by_column.column=item_color", "slice.by_column.max_levels=1"],
            "slice.by_column.column=item_color: has ",
        ),
        (["slice.popularity.borders=[0.9,0.1]"], "slice.popularity.borders=[0.9, 0.1]: the head ends before the tail"),
    ],
)
def test_a_slice_that_does_not_fit_is_refused_in_one_line_before_training(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, overrides: list[str], message: str
) -> None:
    monkeypatch.setattr("causalrec.running.run.fit_in_rounds", lambda jobs, fitter: 1 / 0 if jobs else None)
    assert cli.main(["train", *SMALL, *overrides]) == 2
    err = capsys.readouterr().err
    assert message in err and len([line for line in err.splitlines() if "failed" in line or "slice" in line]) == 1
