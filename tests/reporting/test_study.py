"""A study is data: rows x seeds, checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from causalrec.config.compose import package_folder
from causalrec.errors import RequestError
from causalrec.reporting.study import load_study

STUDY = {
    "title": "t",
    "sweep": "s",
    "seeds": [3, 4],
    "base": ["dataset=coat"],
    "rows": {"a": ["objective=ips"], "b": ["objective=naive"]},
    "columns": ["auc@randomised"],
}


ALWAYS = ["selection.extend=false", "evaluation.submodels=true"]


def write_study(folder: Path, **changes: object) -> str:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**STUDY, **changes}.items() if v is not None}))
    return str(path)


def test_jobs_are_rows_by_seeds(tmp_path: Path) -> None:
    jobs = load_study(write_study(tmp_path)).jobs(smoke=False)
    assert jobs == [
        [*ALWAYS, "dataset=coat", f"objective={objective}", f"name={name}", "sweep=s", f"seed={seed}"]
        for name, objective in (("a", "ips"), ("b", "naive"))
        for seed in (3, 4)
    ]


def test_smoke_takes_one_seed_its_own_sweep_and_what_the_study_adds(tmp_path: Path) -> None:
    jobs = load_study(write_study(tmp_path)).jobs(smoke=True)
    chosen = ["dataset=coat", "objective=ips", "trainer=smoke", "name=a", "sweep=s_smoke", "seed=3"]
    assert jobs[0] == ["selection.extend=false", "selection.folds=1", *chosen]
    assert len(jobs) == 2
    own_smoke_jobs = load_study(write_study(tmp_path, smoke=["trainer.max_epochs=1"])).jobs(smoke=True)
    assert "trainer.max_epochs=1" in own_smoke_jobs[0] and "trainer=smoke" not in own_smoke_jobs[0]


GRID = [
    {"encoder": {"bert": ["encoder=bert", "encoder.width=4"], "mf": ["encoder=mf"]}, "objective": {"ips": ["o=i"]}},
    {"objective": {"naive": []}},
]


def test_a_grid_is_every_combination_of_its_levels_block_by_block(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path, grid=GRID))
    assert list(study.rows) == ["a", "b", "bert-ips", "mf-ips", "naive"]
    assert study.rows["bert-ips"] == ["encoder=bert", "encoder.width=4", "o=i"] and study.rows["naive"] == []
    alone = load_study(write_study(tmp_path, grid=GRID, rows=None))
    assert list(alone.rows) == ["bert-ips", "mf-ips", "naive"]
    assert [job[-2:] for job in alone.jobs(smoke=False)][:2] == [["sweep=s", "seed=3"], ["sweep=s", "seed=4"]]
    apart = load_study(write_study(tmp_path, grid=GRID, smoke_of={"bert": ["x=1"], "naive": ["y=2"], "b": ["z=3"]}))
    added = {job[-3]: job[2 + len(apart.base) + len(apart.rows[job[-3][5:]]) : -3] for job in apart.jobs(smoke=True)}
    assert added == {
        "name=a": ["trainer=smoke"],
        "name=b": ["trainer=smoke", "z=3"],
        "name=bert-ips": ["trainer=smoke", "x=1"],
        "name=mf-ips": ["trainer=smoke"],
        "name=naive": ["trainer=smoke", "y=2"],  # a row and a level
    }
    assert not any({"x=1", "y=2", "z=3"} & {*job} for job in apart.jobs(smoke=False))
    twice = load_study(write_study(tmp_path, grid=[{"head": {"a": ["h=1"]}, "tail": {"a": ["t=1"]}}]))
    assert twice.rows["a-a"] == ["h=1", "t=1"], "a level's name may stand in several axes"
    compared = load_study(write_study(tmp_path, grid=GRID, compare={"to": "mf-ips", "columns": ["auc@randomised"]}))
    assert compared.compare is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "t"}, "titel: "),
        ({"seeds": []}, "seeds: "),
        ({"seeds": ["x"]}, "seeds.0: "),
        ({"rows": {}}, "rows: "),
        ({"rows": {"a": "objective=ips"}}, "rows.a: "),
        ({"sweep": None}, "sweep: "),
        ({"rows": None}, "rows: there are none; give rows or a grid"),
        ({"grid": [{"encoder": {"a": []}}]}, "rows: a stands twice in rows and grid"),
        ({"grid": [{"encoder": {}}]}, "grid.0.encoder: "),
        ({"grid": [{}]}, "grid.0: "),
        ({"grid": GRID, "smoke_of": {"brt": []}}, "smoke_of.brt: is neither a row nor a level; did you mean 'bert'"),
        ({"grid": [{"encoder": {"mf": "encoder=mf"}}]}, "grid.0.encoder.mf: "),
    ],
)
def test_what_is_wrong_in_a_study_is_one_line(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = write_study(tmp_path, **changes)
    with pytest.raises(RequestError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}: {message}")
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


PUBLISHED = {"row": "a", "column": "auc@randomised", "value": ".710", "sd": ".005", "n": 10}


def test_published_numbers_keep_their_printed_digits(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path, published=[PUBLISHED], source={"paper": "p", "table": "t"}))
    assert (study.published[0].value, study.published[0].text) == (".710", ".710 ± .005")
    assert study.kind == "train" and study.tolerance.factor == 3.0


def test_rows_and_columns_that_are_not_run_stand_with_a_reason(tmp_path: Path) -> None:
    other = {**PUBLISHED, "row": "KBIPS"}
    yahoo = {**PUBLISHED, "column": "yahoo auc"}
    missing = [{"row": "KBIPS", "reason": "no formula"}, {"column": "yahoo auc", "reason": "licence"}]
    study = load_study(write_study(tmp_path, published=[PUBLISHED, other, yahoo], missing=missing))
    assert study.absent == {"KBIPS": "no formula", "yahoo auc": "licence"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"published": [{**PUBLISHED, "row": "aa"}]},
            "published.0.row: aa is neither run nor under missing; did you mean",
        ),
        ({"published": [{**PUBLISHED, "column": "auc"}]}, "published.0.column: auc is neither run nor under missing"),
        (
            {"published": [PUBLISHED, {**PUBLISHED, "row": "b"}, PUBLISHED]},
            "published.2: a, auc@randomised stands already",
        ),
        ({"published": [{**PUBLISHED, "value": 0.71}]}, "published.0.value: 0.71 is not a quoted number"),
        ({"published": [{**PUBLISHED, "value": "n/a"}]}, "published.0.value: 'n/a' is not a number"),
        ({"published": [{**PUBLISHED, "sd": "nan"}]}, "published.0.sd: 'nan' is not a number"),
        ({"published": [{**PUBLISHED, "n": 0}]}, "published.0.n: "),
        ({"published": [{**PUBLISHED, "ns": 3}]}, "published.0.ns: "),
        ({"missing": [{"reason": "r"}]}, "missing.0: name either a row or a column"),
        ({"missing": [{"row": "x", "column": "y", "reason": "r"}]}, "missing.0: name either a row or a column"),
        ({"missing": [{"row": "a", "reason": "r"}]}, "missing.0: a is run here; drop it from missing"),
        ({"missing": [{"row": "x"}]}, "missing.0.reason: "),
        ({"compare": {"to": "c", "columns": ["auc@randomised"]}}, "compare.to: c is neither run"),
        ({"compare": {"to": "a", "columns": ["mse@randomised"]}}, "compare.columns: mse@randomised is neither run"),
        (
            {"compare": {"to": "a", "columns": ["auc@randomised"]}, "kind": "estimate"},
            "compare: only rows of kind train",
        ),
        ({"kind": "guess"}, "kind: "),
        ({"tolerance": {"factor": 0}}, "tolerance.factor: "),
    ],
)
def test_what_is_wrong_with_published_numbers_is_one_line(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = write_study(tmp_path, **changes)
    with pytest.raises(RequestError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_the_cells_of_an_estimation_are_named_by_its_run(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path, kind="estimate", published=[{**PUBLISHED, "row": "rec_ones"}]))
    assert study.published[0].row == "rec_ones"


@pytest.mark.parametrize("name", [*(f"coat/p{k}" for k in range(1, 7)), "schnabel2016/table2"])
def test_the_paper_studies_give_every_row_the_same_tuning_budget(name: str) -> None:
    study = load_study(name)
    assert study.source is not None and study.published and study.compare is not None
    assert len(study.seeds) == 10
    tuning_keys = ("optimizer.", "selection.", "trainer.", "sampler.", "encoder")
    assert not [text for row in study.rows.values() for text in row if text.startswith(tuning_keys)]
    assert {"selection.candidates", "optimizer.lr"} <= {text.partition("=")[0] for text in study.base}


def test_every_shipped_study_names_its_split() -> None:
    folder = package_folder("experiments")
    studies = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")}
    trained = [study for study in map(load_study, sorted(studies)) if study.kind == "train"]
    assert len(trained) >= 15
    for study in trained:
        for job in study.jobs(smoke=False):
            assert any(text.startswith("split=") for text in job), (study.title, job)


def test_the_numbers_of_p1_are_the_papers() -> None:
    cells = {(cell.row, cell.column): cell for cell in load_study("coat/p1").published}
    assert len(cells) == 23 * 6
    assert cells["mf-stable_dr", "auc@randomised"].text == ".735 ± .005"
    assert cells["mf-upo", "f1@5@randomised"].text == ".515 ± .002"
    assert cells["mf-snips", "yahoo_r3 ndcg@5"].text == ".639 ± .002"
    assert {cell.n for cell in cells.values()} == {10}
