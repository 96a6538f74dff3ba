"""Every file of runs, ledgers and caches damaged in nine ways: each command goes on or says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tally import Tally
from trial import run
from world import PACKED, TRAIN, copy_of, make_trained_world

Damage = Callable[[Path], None]
READ = (["table", "runs"], ["report", "runs"], ["sweep", "status", "runs/m"], ["sweep", "retry", "runs/m"])
AGAIN = (TRAIN, PACKED, ["data", "check", "mine", "--config-dir", "conf"])
MADE_ANEW = 6  # files that are no record, at most, of which a kind is tried


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip(path: Path) -> None:
    """Change one byte in the middle: size and time stay."""
    content, times = bytearray(path.read_bytes()), (path.stat().st_atime, path.stat().st_mtime)
    if content:
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, times)


def be_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def be_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def be_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: dict[str, Damage] = {
    "emptied": lambda path: os.truncate(path, 0),
    "cut": cut,
    "zeroed": zero,
    "a byte flipped": flip,
    "garbage": lambda path: path.write_bytes(b"\xff\xfe\x00{[\x1b]0;x\x07" * 40) and None,
    "a list": lambda path: path.write_text("[1, 2, [3]]") and None,
    "a folder": be_folder,
    "a pipe": be_pipe,
    "a loop of links": be_loop,
}


def files_of(world: Path) -> list[Path]:
    """Return one file of each kind below runs and cache (of a folder and an ending), relative."""
    kinds: dict[tuple[str, ...], Path] = {}
    for path in sorted(path for root in ("runs", "cache") for path in (world / root).rglob("*") if path.is_file()):
        relative = path.relative_to(world)
        ledger = ".ledger" in relative.parts
        stem = relative.parent.name if ledger else path.stem.rstrip("0123456789abcdef")
        kinds.setdefault((*relative.parts[:2], stem, "" if ledger else path.suffix), relative)
    return list(kinds.values())


@pytest.mark.long
@pytest.mark.parametrize("half", [0, 1])
def test_commands_go_on_beside_damaged_files(half: int, tmp_path: Path) -> None:
    tally = Tally(f"a file of a run, ledger or cache x {len(DAMAGES)} damages, then every command ({half + 1} of 2)")
    world = make_trained_world(tmp_path / "world")
    sound = {path: path.read_text() for path in world.rglob("record.json")}
    for name in files_of(world)[half::2]:
        for label, damage in DAMAGES.items():
            folder = copy_of(world, tmp_path / "trial")
            damage(folder / name)
            answers = run(folder, *READ, *AGAIN, *READ[:2])
            tally.judge(f"{name} {label}", answers, folder)
            for path in sound:
                record = folder / path.relative_to(world)
                if record != folder / name and (not record.is_file() or record.read_text() != sound[path]):
                    tally.lose(f"{name} {label}: {record.relative_to(folder)}")
    tally.finish(least=100)


@pytest.mark.long
def test_a_run_goes_on_from_any_damaged_state_of_its_fit(tmp_path: Path) -> None:
    """As above, but the job has no record yet: what it would resume from is what is damaged."""
    tally = Tally(f"a checkpoint of an unfinished job x {len(DAMAGES)} damages, then train twice and table")
    world = make_trained_world(tmp_path / "world")
    for record in (world / "runs").rglob("record.json"):
        record.unlink()
    shutil.rmtree(world / "runs" / "s" / ".ledger" / "done")
    files = [path for path in files_of(world) if "checkpoints" in path.parts]
    for name in files:
        for label, damage in DAMAGES.items():
            folder = copy_of(world, tmp_path / "trial")
            damage(folder / name)
            answers = run(folder, TRAIN, TRAIN, ["table", "runs/s"])
            tally.judge(f"{name} {label}", answers, folder)
            if [answer.code for answer in answers] != [0, 0, 0]:
                tally.lose(f"{name} {label}: does not go on: {answers[0].messages[-1:]}")
    tally.finish(least=9)
