"""A folder in which one works, received from somebody: no library obeys its files, no process imports from it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import causalrec
from causalrec import cli
from causalrec.errors import RequestError
from causalrec.metrics import compiled_uplift
from causalrec.records import versions
from causalrec.sweeps import ray_launcher
from causalrec.sweeps.process_pool import run_in_processes
from causalrec.working_folder import OBEYED, SAFE_PATH

HOME = Path(causalrec.__file__).parents[1]
LEAVES_A_MARK = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def foreign_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, worked in."""
    monkeypatch.delenv(SAFE_PATH, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", OBEYED)
def test_a_file_that_a_library_would_obey_is_refused_before_any_work(
    name: str, foreign_folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (foreign_folder / name).touch()
    assert cli.main(["data", "list"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and err.startswith(f"causalrec: {name}: {OBEYED[name]} would obey it; ")
    for call in (lambda: causalrec.load("run"), lambda: causalrec.train("seed=0"), lambda: causalrec.table(".")):
        with pytest.raises(RequestError, match="would obey it"):
            call()
    with pytest.raises(RequestError, match="would obey it"):
        causalrec.load_dataset("coat")
    with pytest.raises(RequestError, match="would obey it"):
        compiled_uplift.kernel.__wrapped__()
    with pytest.raises(SystemExit) as ended:
        cli.main(["help"])
    assert ended.value.code == 0
    (foreign_folder / name).unlink()
    (foreign_folder / name).mkdir()  # which no library reads
    assert cli.main(["data", "list"]) == 0


def test_what_a_verb_starts_imports_nothing_from_here(foreign_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (foreign_folder / "shadow.py").write_text(LEAVES_A_MARK)

    def start(options: argparse.Namespace) -> int:
        return subprocess.run([sys.executable, "-m", "shadow"], capture_output=True).returncode

    monkeypatch.setattr("causalrec.commands.table.table", start)
    assert cli.main(["table", "runs"]) == 1 and not (foreign_folder / "ran").exists()
    assert SAFE_PATH not in os.environ


def test_worker_processes_import_nothing_from_here(foreign_folder: Path) -> None:
    (foreign_folder / "multiprocessing.py").write_text(LEAVES_A_MARK)
    assert run_in_processes([[-1]], abs, lambda job, why: 0, 1, lambda: None) == [1]
    assert not (foreign_folder / "ran").exists() and SAFE_PATH not in os.environ


def test_the_command_by_its_module_imports_nothing_from_here_unless_it_is_on_the_path(foreign_folder: Path) -> None:
    (foreign_folder / "argparse.py").write_text(LEAVES_A_MARK)
    for named, ran in ((HOME, False), (f"{foreign_folder}{os.pathsep}{HOME}", True)):
        environment = {**os.environ, "PYTHONPATH": str(named)}
        subprocess.run([sys.executable, "-m", "causalrec", "--version"], env=environment, capture_output=True)
        assert (foreign_folder / "ran").exists() is ran


def test_ray_is_joined_from_the_folder_of_the_package(foreign_folder: Path) -> None:
    seen: list[tuple[Path, str]] = []
    ray = SimpleNamespace(init=lambda **_: seen.append((Path.cwd(), os.environ[SAFE_PATH])))
    ray_launcher._join(ray, None)
    assert seen == [(HOME, "1")] and Path.cwd() == foreign_folder and SAFE_PATH not in os.environ


def test_a_checkout_runs_no_program_of_its_settings(foreign_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", "."], check=True)
    subprocess.run(["git", "config", "core.fsmonitor", f"touch {foreign_folder / 'ran'}; false"], check=True)
    (foreign_folder / "file").touch()
    subprocess.run(["git", "-c", "core.fsmonitor=false", "add", "file"], check=True)
    monkeypatch.setattr(versions, "__file__", str(foreign_folder / "causalrec" / "records" / "versions.py"))
    versions.git_sha.__wrapped__()
    assert not (foreign_folder / "ran").exists()
