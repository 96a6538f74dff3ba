"""Every field of a record with wrong values: each reader names or shows it, and always shows its neighbour."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tally import Tally
from trial import run
from world import make_trained_world

DEEP = "[" * 20_000 + "]" * 20_000
STRANGE = '"\\ud800 \\u001b[2J <b>[/b] | # x"'
WRONG = ["null", "true", "-1", "1e999", "NaN", '"text"', '""', "[]", "{}", "9" * 5000, STRANGE, DEEP]
READERS = (["table", "x"], ["table", "x", "--json"], ["report", "x"], ["sweep", "status", "x"])
ALONE = (["recommend", "RUN", "--user", "u1"], ["refute", "RUN"], ["wandb", "sync", "runs/s"])


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value of a record; of a list, of its first member alone."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from paths_of(value[key], (*path, key))
    elif isinstance(value, list) and value:
        yield from paths_of(value[0], (*path, 0))


def with_value(record: dict[str, Any], path: tuple[Any, ...], value: str) -> str:
    """Return a record's text with another value at a path, written as it stands."""
    anew = json.loads(json.dumps(record))
    holder = anew
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = "@@"
    return json.dumps(anew).replace('"@@"', value, 1)


def write_wrong(folder: Path, record: dict[str, Any], path: tuple[Any, ...]) -> None:
    """Write a record for each wrong value of a field, and a sound one, below `folder/x`."""
    texts = {f"row{k}": with_value(record, path, value) for k, value in enumerate(WRONG)}
    texts["sound"] = json.dumps({**record, "name": "SOUND"})
    for row, text in texts.items():
        target = folder / "x" / row / "seed0-abcdefabcdef" / "record.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("half", [0, 1])
def test_every_reader_answers_to_every_wrong_value(half: int, tmp_path: Path) -> None:
    tally = Tally(
        f"a field of a record x {len(WRONG)} wrong values x {len(READERS)} readers of a folder ({half + 1} of 2)"
    )
    folder = make_trained_world(tmp_path)
    record = json.loads(next((folder / "runs" / "s").rglob("record.json")).read_text())
    for path in [path for path in paths_of(record) if len(path) < 4][half::2]:
        write_wrong(folder, record, path)
        label = ".".join(map(str, path))
        for answer in run(folder, *READERS):
            named = sum("record.json" in line for line in answer.messages)
            tally.judge(label, [answer], folder, len(WRONG), named)
            shown = (folder / "x" / "report.html").read_text() if "report" in answer.command else answer.text
            if "status" not in answer.command and "SOUND" not in shown:
                tally.lose(f"{label}: {answer.command}: the sound record is hidden")
    tally.finish(least=2000)


@pytest.mark.long
def test_commands_on_one_run_answer_to_every_wrong_value(tmp_path: Path) -> None:
    tally = Tally(f"a field of a record x {len(WRONG)} wrong values x {len(ALONE)} commands on its run, a sample")
    folder = make_trained_world(tmp_path)
    source = next((folder / "runs" / "s").rglob("record.json"))
    record = json.loads(source.read_text())
    trials = [(path, value) for path in paths_of(record) if len(path) < 4 for value in WRONG]
    for path, value in random.Random(0).sample(trials, 200):
        source.write_text(with_value(record, path, value), encoding="utf-8")
        run_folder = str(source.parent.relative_to(folder))
        for command in ALONE:
            answers = run(folder, [run_folder if word == "RUN" else word for word in command])
            tally.judge(f"{'.'.join(map(str, path))}={value[:20]}", answers, folder)
    tally.finish(least=400)
