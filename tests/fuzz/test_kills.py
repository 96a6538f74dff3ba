"""kill -9 at fifty random moments of each command: the next goes on, nothing finished is lost or run twice."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from tally import Tally
from trial import run
from world import PACKED, SWEEP, TRAIN, copy_of, make_trained_world, write_world

KILLS = 50
COMMANDS = {
    "train": TRAIN,
    "a sweep": SWEEP,
    "a packed sweep": PACKED,
    "ingest": ["data", "check", "mine", "--config-dir", "conf"],
    "paste": ["table", "runs/s", "--paste", "page.md"],
}
PAGE = "# Mine\n\n<!-- s -->\n<!-- /s -->\n" + "a line that stays as it is\n" * 500


def finish_times(folder: Path) -> dict[str, int]:
    """Return when the record of each job that is marked as finished was written, by its folder."""
    marks = [path.name.split("~") for path in (folder / "runs").glob("*/.ledger/done/*~*")]
    paths = [path for name, key, *_ in marks for path in (folder / "runs").glob(f"*/{name}/{key}/record.json")]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_what_was_finished_survives_a_kill_and_the_next_launch_goes_on(name: str, tmp_path: Path) -> None:
    tally = Tally(f"kill -9 of {name} at {KILLS} random moments")
    command, draw = COMMANDS[name], random.Random(name)
    world = make_trained_world(tmp_path / "world") if name == "paste" else write_world(tmp_path / "world")
    (world / "page.md").write_text(PAGE)
    folder = copy_of(world, tmp_path / "timed")
    run(folder, ["help"])  # starts the server of warm processes
    started = time.monotonic()
    assert run(folder, command)[0].code == 0
    seconds = time.monotonic() - started
    expected = len(finish_times(folder))
    folder = copy_of(world, tmp_path / "0")
    for kill in range(KILLS):
        before = finish_times(folder)
        answers = run(folder, command, kill_after=draw.uniform(0, seconds))
        tally.judge(f"kill {kill}", answers, folder)
        if {job: when for job, when in finish_times(folder).items() if job in before} != before:
            tally.lose(f"kill {kill}: a finished job was run again")
        if answers or kill % 5 == 4:  # it came to its end, or has been killed five times: let it end, and begin anew
            (answer,) = run(folder, command)
            if answer.code != 0 or len(finish_times(folder)) != expected:
                tally.lose(f"kill {kill}: does not go on: {answer.text[-300:]}")
            if (
                "a line that stays" not in (folder / "page.md").read_text()
                or "# Mine" not in (folder / "page.md").read_text()
            ):
                tally.lose(f"kill {kill}: the page is not whole")
            folder = copy_of(world, tmp_path / str(kill + 1))
    tally.finish(least=KILLS)
