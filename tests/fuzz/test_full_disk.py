"""No room, at thirty sizes of what still fits: one line, nothing half-written, and all goes on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest
from tally import Tally
from trial import run
from world import TRAIN, copy_of, make_trained_world, records, write_world

PAGE = "# Mine\n\n<!-- s -->\n<!-- /s -->\n" + "a line that stays as it is\n" * 2000
LIMITS = [0, 1, *(round(8 * 1.55**k) for k in range(28))]  # bytes, to 1.4 MB
WRITERS = {
    "report": ["report", "runs/s"],
    "paste": ["table", "runs/s", "--paste", "page.md"],
    "graph": ["graph", "show", "dataset=mine", "graph=mine", "--config-dir", "conf", "--out", "g.svg"],
    "data new": ["data", "new", "tables/ratings.csv"],
}


@pytest.mark.long
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    tally = Tally(f"a write limit of {len(LIMITS)} sizes x ingest and train, {', '.join(WRITERS)}")
    trained = make_trained_world(tmp_path / "world")
    for limit in LIMITS:
        folder = write_world(tmp_path / f"bare{limit}")
        tally.judge(f"train, {limit} bytes", run(folder, TRAIN, file_limit=limit), folder)
        if (answer := run(folder, TRAIN)[0]).code != 0:
            tally.lose(f"train, {limit} bytes: does not go on: {answer.messages}")
        for name, command in WRITERS.items():
            folder = copy_of(trained, tmp_path / "trial")
            (folder / "page.md").write_text(PAGE)
            before = set(folder.rglob("*"))
            (answer,) = run(folder, command, file_limit=limit)
            tally.judge(f"{name}, {limit} bytes", [answer], folder)
            new = {path for path in folder.rglob("*") if path.name != ".answers"} - before
            if answer.code != 0 and (left := [path.name for path in new if path.is_file()]):
                tally.fail(f"{name}, {limit} bytes: left {left}")
            if answer.code != 0 and (folder / "page.md").read_text() != PAGE:
                tally.lose(f"{name}, {limit} bytes: the page is not as it was")
            if records(folder) != records(trained):
                tally.lose(f"{name}, {limit} bytes: a record")
    tally.finish(least=150)
