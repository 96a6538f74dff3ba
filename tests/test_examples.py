"""The scripts of examples/ run from top to bottom."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import pytest
from conftest import require

from causalrec.data.datasets.ihdp import IHDP

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    return capsys.readouterr().out


def test_weights_mend_what_the_naive_mean_gets_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run("estimator_in_torch", capsys).splitlines()
    truth, naive, ips, doubly_robust = (float(line.split()[-1]) for line in lines)
    assert naive < 0.7 * truth and ips == pytest.approx(truth, rel=0.1)
    assert doubly_robust == pytest.approx(truth, rel=0.1)


def test_training_and_asking_from_python(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run("train_from_python", capsys)
    assert "user 1, items 50 and 100: [" in shown and "predicted" in shown


def test_reading_a_sweep(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run("read_a_sweep", capsys)
    assert "| mf-naive |" in shown and "| mf-ips |" in shown and "auc@" in shown


def test_own_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(EXAMPLES / "own_data", tmp_path / "examples" / "own_data")
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shown = run("own_csv", capsys)
    assert "54 rows, 10 users, 10 items" in shown and "adjusted for: district, kind, trusted_visits" in shown


def test_an_objective_of_an_outside_package(
    newcomer: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("CAUSALREC_PACKAGES", "")
    errors = [float(line.split()[-1]) for line in run("own_objective", capsys).splitlines() if "power" in line]
    assert len(errors) == 3 and len(set(errors)) == 3


def test_effects_of_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require(*IHDP().sources)
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shown = run("effects_on_ihdp", capsys)
    assert "| linear_dml | 0.573" in shown and "| tarnet |" in shown


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    assert 15 <= len(path.read_text().splitlines()) <= 40
