"""How far long work is, on stderr: bars on a terminal; elsewhere a line every half minute, and never an empty one."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from causalrec.plain_streams import print_note, raw_stderr, use_plain_streams
from causalrec.plain_text import one_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_SECONDS = 30.0  # between two lines where no terminal shows bars
BAR_WIDTH = 30  # characters, where the terminal leaves them; a quarter of its width at most
TIME_WIDTH = 9  # characters of the time that is left, and the spaces around the bar


@dataclass(eq=False)
class Step:
    """A piece of work whose size is known; what is begun within it counts as a part of its next unit.

    Attributes:
        label: what is done.
        total: how much there is; None where nobody knows.
        unit: what is counted, as a plural.
        done: how much is finished.
        note: what to say beside it.
        is_limit: `total` is the most that there may be, so that no pace is told from it.
        begun: when, in seconds of the monotonic clock.
    """

    label: str
    total: float | None
    unit: str = ""
    done: float = 0.0
    note: str = ""
    is_limit: bool = False
    begun: float = field(default_factory=time.monotonic)

    def advance(self, amount: float = 1.0, note: str | None = None) -> None:
        """Count more as done."""
        self.update(self.done + amount, note)

    def update(self, done: float, note: str | None = None) -> None:
        """Set how much is done."""
        self.done, self.note = done, self.note if note is None else note
        _DISPLAY.refresh()

    def fit(self, width: int) -> str:
        """Say it within so many characters: without its note, then with a shorter label, where there is no room.

        >>> Step("fit", 40, "epochs", 5, "(criterion 0.66)").fit(30)
        'fit: 5 of 40 epochs'
        """
        text = str(self)
        if len(text) > width:
            text = str(replace(self, note=""))
        if (excess := len(text) - width) > 0:
            text = str(replace(self, note="", label=self.label[: max(len(self.label) - excess - 1, 0)] + "…"))
        return text[: max(width, 0)]

    def __str__(self) -> str:
        most = "at most " if self.is_limit else ""
        if self.total is None and not self.done:
            return one_line(self.label)
        count = f"{self.done:,.0f}" + (f" of {most}{self.total:,.0f}" if self.total is not None else "")
        return one_line(" ".join(filter(None, [f"{self.label}:" if self.label else "", count, self.unit, self.note])))


class _Display:
    """Shows the steps that are under way, the outermost first."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.bars: Progress | None = None
        self.tasks: list[TaskID] = []
        self.stop = threading.Event()
        self.silent = False

    def enter(self, step: Step) -> None:
        self.steps.append(step)
        if len(self.steps) == 1:
            self._start()
        if self.bars is not None:
            self.tasks.append(self.bars.add_task(step.label, total=step.total, count=self._fit(step)))

    def leave(self, step: Step) -> None:
        while step in self.steps:  # and what an interrupt left open within it
            self.steps.pop()
            if self.bars is not None:
                self.bars.remove_task(self.tasks.pop())
        if not self.steps:
            self.stop.set()
            if self.bars is not None:
                self.bars.stop()
            self.bars = None

    def refresh(self) -> None:
        if self.bars is not None:
            for task, step in zip(self.tasks, self.steps, strict=True):
                self.bars.update(task, completed=step.done, count=self._fit(step))

    def _fit(self, step: Step) -> str:
        assert self.bars is not None
        width = self.bars.console.width
        return step.fit(width - _bar_width(width) - TIME_WIDTH)

    def _start(self) -> None:
        self.stop = threading.Event()
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            console = Console(file=raw_stderr(), stderr=True)
            count = TextColumn("{task.fields[count]}", markup=False)
            columns = (count, BarColumn(_bar_width(console.width)), TimeRemainingColumn())
            self.bars = Progress(*columns, console=console, transient=True)
            self.bars.start()
            use_plain_streams()  # what is printed meanwhile goes to the terminal by other ways, which read codes
        else:
            threading.Thread(target=_print_lines, args=(self.stop, self.steps), daemon=True).start()


def _bar_width(width: int) -> int:
    return min(BAR_WIDTH, width // 4)


def _print_lines(stop: threading.Event, steps: list[Step]) -> None:
    while not stop.wait(LINE_SECONDS):
        if line := describe(list(steps), time.monotonic()):
            print_note(f"causalrec: {line}")


def describe(steps: list[Step], now: float) -> str:
    """Say in one line what is done, and what is left by the pace of the outermost step.

    >>> describe([Step("", 4, "jobs", 1, begun=0), Step("mf", 10, "epochs", 5, begun=60)], 90.0)
    '1 of 4 jobs, mf: 5 of 10 epochs; about 2 min 30 s left'
    """
    done = _share(steps)
    left = f"; about {_duration((now - steps[0].begun) * (1 - done) / done)} left" if 0 < done < 1 else ""
    return ", ".join(map(str, steps)) + left


def _share(steps: list[Step]) -> float:
    """Return the share of the outermost step that is done, counting the steps within it."""
    if not steps or steps[0].is_limit:
        return 0.0
    if not steps[0].total:
        return _share(steps[1:])
    return min((steps[0].done + _share(steps[1:])) / steps[0].total, 1.0)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


_DISPLAY = _Display()


@contextmanager
def progress(
    label: str, total: float | None, unit: str = "", *, is_limit: bool = False, shown: bool = True
) -> Iterator[Step]:
    """Show a piece of work while the block runs; the step it yields is told what is done.

    Args:
        label: what is done; empty where the unit says it.
        total: how much there is; None where nobody knows.
        unit: what is counted, as a plural.
        is_limit: whether that is the most that there may be.
        shown: False counts and shows nothing.
    """
    step = Step(label, total, unit, is_limit=is_limit)
    if not shown or _DISPLAY.silent or threading.current_thread() is not threading.main_thread():
        yield step
        return
    _DISPLAY.enter(step)
    try:
        yield step
    finally:
        _DISPLAY.leave(step)


def silence() -> None:
    """Show nothing from now on: for worker processes, whose parent shows how far all are."""
    _DISPLAY.silent = True


def advance(unit: str, to: float | None = None) -> None:
    """Count one more unit as done, or as many as `to` says, where a step that counts it is under way."""
    for step in _DISPLAY.steps:
        if step.unit == unit:
            step.update(step.done + 1 if to is None else to)
            return
