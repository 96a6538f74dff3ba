"""The scripts of examples/ run from top to bottom."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from conftest import FakeML100K

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    return capsys.readouterr().out


@pytest.fixture
def work(fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_ml100k(tmp_path / "data", users=60, items=110, ratings=900)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_weights_mend_what_the_naive_mean_gets_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run("estimator_in_torch", capsys).splitlines()
    truth, naive, ips, doubly_robust = (float(line.split()[-1]) for line in lines)
    assert naive < 0.7 * truth and ips == pytest.approx(truth, rel=0.1)
    assert doubly_robust == pytest.approx(truth, rel=0.1)


def test_training_and_asking_from_python(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run("train_from_python", capsys)
    assert "user 1, items 50 and 100: [" in shown and "predicted" in shown


def test_reading_a_sweep(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run("read_a_sweep", capsys)
    assert "| mf-naive |" in shown and "| mf-ips |" in shown and "auc@" in shown


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    assert 10 <= len(path.read_text().splitlines()) <= 40
