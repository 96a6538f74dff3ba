"""`--dry-run`: what a launch would make and take, told before anything starts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from causalrec.commands.terminal import print_json
from causalrec.limits import plural
from causalrec.memory import gigabytes

if TYPE_CHECKING:
    from causalrec.sweeps.dry_run import DryRun


def print_dry_run(estimate: DryRun, *, as_json: bool) -> int:
    """Print what a launch would make and take, and from what that is told; return the exit code."""
    if as_json:
        timed = {} if estimate.kinds or estimate.pairs else {"seconds": None, "most_seconds": None}
        print_json({**asdict(estimate), **timed, "basis": estimate.basis})
    else:
        print("\n".join(_lines(estimate)))
    return 0


def _lines(estimate: DryRun) -> list[str]:
    cases = f", {estimate.special_cases:,} of them special cases of rows" if estimate.special_cases else ""
    done = f"; {estimate.done:,} done already" if estimate.done else ""
    further = f", at most {estimate.further_fits:,} further where a best candidate stands at an end of those tried"
    fits = f"{plural(estimate.fits, 'fit')}{further if estimate.further_fits else ''}"
    lines = [f"{plural(estimate.jobs, 'job')}{cases}{done}", fits]
    if estimate.pairs:
        lines.append(f"{estimate.pairs:,} pairs for a language model to read, {estimate.tokens:,} tokens")
    if estimate.kinds or estimate.pairs:
        shared, each = (f" in {estimate.processes} processes", " each") if estimate.processes > 1 else ("", "")
        most = f"{duration(estimate.most_seconds)} if no fit stops before its last epoch"
        lines.append(f"about {duration(estimate.seconds)}{shared}; {most}")
        lines.append(f"{gigabytes(estimate.memory_bytes)} of memory{each}")
    if estimate.untimed:
        lines.append(
            f"without {plural(estimate.untimed, 'job')} whose fits take no steps or several devices: not timed"
        )
    return [*lines, f"{estimate.basis}; nothing was started"]


def duration(seconds: float) -> str:
    """Write a time for people.

    >>> duration(0.04), duration(42), duration(600), duration(7380)
    ('1 s', '42 s', '10 min', '2 h 3 min')
    """
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60:,} h {minutes % 60} min"
