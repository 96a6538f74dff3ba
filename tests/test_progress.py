"""Progress where no terminal shows bars: whole lines at a steady pace, with what is done, left and expected."""

from __future__ import annotations

import io
import re
import time

import pytest

from causalrec import progress
from causalrec.progress import Step, describe

LINE = re.compile(r"causalrec: \d of 3 jobs, mf: \d of at most 9 epochs(; about \d+ s left)?$")


def test_a_line_says_what_is_done_within_what_and_no_line_is_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.02)
    with progress.progress("", 3, "jobs"):
        for _ in range(3):
            with progress.progress("mf", 9, "epochs", is_limit=True) as epochs:
                epochs.advance()
                time.sleep(0.06)
            progress.advance("jobs")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and len(lines) >= 3 and all(map(LINE.match, lines)), lines
    time.sleep(0.05)
    assert capsys.readouterr().err == "", "nothing is under way"


def test_the_pace_is_that_of_the_outermost_step_and_a_limit_tells_none() -> None:
    jobs, fits = Step("", 4, "jobs", 1, begun=0), Step("", 10, "fits", 5, begun=60)
    assert describe([jobs, fits], 90.0).endswith("; about 2 min 30 s left")  # 1.5 of 4 took 90 s
    epochs = Step("mf", 300, "epochs", 150, is_limit=True, begun=80)
    assert describe([jobs, fits, epochs], 90.0).endswith("150 of at most 300 epochs; about 2 min 30 s left")
    assert describe([epochs], 90.0) == "mf: 150 of at most 300 epochs"
    assert describe([], 90.0) == ""


def test_a_narrow_terminal_keeps_the_bar_and_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", out)
    for name, value in (("COLUMNS", "80"), ("TERM", "xterm"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    label = "mf-dr_jl seed 0 weight_decay=0.01"
    with progress.progress(label, 300, "epochs", is_limit=True) as epochs:
        epochs.advance(150, "(criterion 0.66)")
        assert progress._DISPLAY.bars is not None
        progress._DISPLAY.bars.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    line = next(line for line in re.split(r"[\r\n]", text) if "150 of" in line)
    bar_and_time = r"━+[╺╸]?━* +(-:--:--|\d:\d\d:\d\d)"
    assert len(line) <= 80 and re.fullmatch(f"mf-dr_jl seed 0 .*…: 150 of at most 300 epochs {bar_and_time}", line), (
        line
    )


def test_a_hidden_step_and_one_that_an_interrupt_left_open_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("a", 1, shown=False) as step:
        step.advance()
    assert step.done == 1 and not progress._DISPLAY.steps
    with progress.progress("outer", 1):
        left_open = progress.progress("inner", 1)
        left_open.__enter__()
    assert not progress._DISPLAY.steps
