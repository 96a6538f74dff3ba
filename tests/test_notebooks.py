"""The notebooks run from top to bottom, read only, and stay thin."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import IPython.display
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from causalrec import cli

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
TABLE = ["dataset=csv", "dataset.threshold=4"]
QUICK = [
    "logger=none",
    "trainer=smoke",
    "selection.folds=1",
    "trainer.progress=false",
    "evaluation.replicates=20",
    "encoder.width=2",
]


@pytest.fixture
def ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small table of ratings, where the notebooks' own process finds it."""
    rng = np.random.default_rng(0)
    codes = rng.choice(40 * 25, 400, replace=False)
    rows = "".join(f"{c // 25},{c % 25},{stars}\n" for c, stars in zip(codes, rng.integers(1, 6, 400), strict=True))
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "interactions.csv").write_text(f"user,item,rating\n{rows}")
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CAUSALREC_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    return tmp_path


def execute(name: str) -> str:
    """Run a notebook in a kernel of its own; return all it shows."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "\n".join(str(output.get("text", "")) + str(output.get("data", "")) for output in shown)


@pytest.mark.long
def test_compare_a_sweep(ratings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        cli.main(["train", "-m", *TABLE, *QUICK, "objective=naive,ips", "seed=0,1", f"paths.runs={ratings}/runs"]) == 0
    )
    monkeypatch.setenv("CAUSALREC_RIVAL", "mf-naive")
    shown = execute("compare_a_sweep")
    assert "4 finished runs" in shown and "| mf-ips |" in shown and "difference to mf-naive" in shown
    assert shown.count("image/png") >= 4


@pytest.mark.long
def test_one_dataset(ratings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSALREC_OVERRIDES", " ".join([*TABLE, "graph.assume=true"]))
    shown = execute("one_dataset")
    assert "400 rows" in shown and "<svg" in shown and "image/png" in shown and "| threshold | 4 |" in shown


def test_the_cells_of_one_dataset_run_in_order(ratings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, without the seconds that a kernel of its own takes to start."""
    shown: list[object] = []
    monkeypatch.setenv("CAUSALREC_OVERRIDES", " ".join([*TABLE, "graph.assume=true"]))
    monkeypatch.setattr(IPython.display, "display", shown.append)
    names: dict[str, object] = {}
    notebook = nbformat.read(NOTEBOOKS / "one_dataset.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, cell.id, "exec"), names)  # our own file, as a kernel would run it
    assert [type(display).__name__ for display in shown] == ["SVG", "DataFrame", "Markdown"]
    assert "400 rows" in str(names["data"].logged)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_only_read(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    trees = [ast.parse(cell.source) for cell in code]
    assert not any(isinstance(n, ast.FunctionDef | ast.ClassDef) for tree in trees for n in ast.walk(tree))
    assert sum(len(cell.source.splitlines()) for cell in code) < 80


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_stored_as_they_ran_without_a_failure_a_cut_or_a_path_of_the_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    for output in outputs:
        text = output.get("text", "") + output.get("data", {}).get("text/html", "")
        text += output.get("data", {}).get("text/markdown", "")
        assert not re.search(r"…|\.\.\. |/home/|/tmp/|/root/", text)


def test_every_score_of_the_stored_table_has_its_interval() -> None:
    notebook = nbformat.read(NOTEBOOKS / "compare_a_sweep.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    scores, differences = [text for output in outputs if (text := output.get("data", {}).get("text/markdown"))]
    rows = [line.split(" | ") for line in scores.splitlines() if re.match(r"\| (mf|bert)-", line)]
    assert len(rows) >= 6 and len({len(row) for row in rows}) == 1
    interval = r"\[[+-]?\d+\.\d+, [+-]?\d+\.\d+\]"
    assert all(re.search(interval, cell) for row in rows for cell in row[1:-1])
    compared = [line for line in differences.splitlines()[2:] if line.startswith("|")]
    assert len(compared) >= 6 and all(re.search(interval, line) for line in compared)


def test_there_are_two() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {"compare_a_sweep", "one_dataset"}
