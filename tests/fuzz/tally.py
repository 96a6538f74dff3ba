"""What became of what was tried, counted, for VALIDATION.md."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trial import SECRET, Answer

COUNTS = Path(__file__).parents[2] / "build" / "fuzz"  # a file for each kind, of the last `make validate`


@dataclass
class Tally:
    """The counts of one kind of trial.

    Attributes:
        kind: what was done to which command.
        tried: trials.
        one_line: those answered by a line that says what is wrong.
        silent: those in which nothing was said and the command went on: what was changed was still valid, or was made
            anew, or is read by nobody.
        lost: finished work that was gone afterwards, done twice, or hidden behind something damaged.
        failures: tracebacks, hangs, code that ran, secrets told, by what was tried.
    """

    kind: str
    tried: int = 0
    one_line: int = 0
    silent: int = 0
    lost: int = 0
    failures: list[str] = field(default_factory=list)

    def judge(
        self, label: str, answers: Sequence[Answer], folder: Path, tried: int = 1, named: int | None = None
    ) -> None:
        """Count a trial by its answers, and fail it at a traceback, a hang, code that ran or a secret told.

        Args:
            label: what was tried.
            answers: of the commands of the trial.
            folder: where they ran.
            tried: how many things were wrong at once.
            named: how many of those a line names; by default all, where any command has a line on what is wrong.
        """
        self.tried += tried
        named = tried * any(map(complains, answers)) if named is None else min(named, tried)
        self.one_line += named
        self.silent += tried - named
        for answer in answers:
            if problem := what_must_not_be(answer):
                self.fail(f"{label}: {answer.command[:80]}: {problem}")
        if (folder / "code-ran").exists():
            (folder / "code-ran").unlink()
            self.fail(f"{label}: code ran")

    def lose(self, label: str) -> None:
        """Count finished work that is gone, hidden or done twice."""
        self.lost += 1
        self.fail(f"{label}: lost")

    def fail(self, text: str) -> None:
        """Note what must not happen, at once in a file too: a fuzz of minutes is looked at while it runs."""
        self.failures.append(text)
        COUNTS.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".log").open("a", encoding="utf-8") as log:
            log.write(f"{text}\n")

    @property
    def path(self) -> Path:
        """Where the counts of this kind are written."""
        return COUNTS / f"{re.sub('[^a-z0-9]+', '_', self.kind.lower())[:80]}.json"

    def finish(self, least: int) -> None:
        """Write the counts down; fail where something must not have happened, or too little was tried."""
        COUNTS.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        assert self.failures == [], f"{len(self.failures)} of {self.tried}: " + "\n".join(self.failures[:40])
        assert self.tried >= least


WORDS = re.compile(r"\b(not?|cannot|damaged|left|again|anew|removed|refused|ignored|unknown|is|are)\b")


def complains(answer: Answer) -> bool:
    """Whether a command said, in a line of its own, that something is wrong."""
    return any(answer.code != 0 or WORDS.search(line) for line in answer.messages)


def what_must_not_be(answer: Answer) -> str | None:
    """Return what is wrong with an answer itself, None where nothing is."""
    if answer.hung:
        return "hangs"
    if answer.raised:
        return (answer.text.strip().splitlines() or ["no answer"])[-1][:200]
    if answer.code not in (0, 1, 2):
        return f"exit code {answer.code}"
    if answer.code and not answer.messages:
        return f"exit code {answer.code} without a line"
    return "tells a secret" if SECRET in answer.text else None
