"""The order in which the jobs of a sweep were asked for, which is that of its tables' rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from causalrec.data.regular_files import read_json
from causalrec.ids import job_id_of


def sort_by_launch(paths: Sequence[Path]) -> list[Path]:
    """Return the paths of records in the order in which their jobs were first launched; others last, by name."""
    orders = {sweep: launch_order(sweep) for sweep in {path.parent.parent.parent for path in paths}}

    def key(path: Path) -> tuple[object, ...]:
        folder = path.parent
        order = orders[folder.parent.parent]
        return natural(str(folder.parent.parent)), order.get(job_id_of(folder), len(order)), natural(str(folder))

    return sorted(paths, key=key)


def launch_order(sweep: Path) -> dict[str, int]:
    """Return the place of every job in the launches of a sweep, by its name; empty where none was noted."""
    order_of_jobs: dict[str, int] = {}
    for path in sorted((sweep / ".ledger" / "launches").glob("[!.]*.json")):
        with suppress(OSError, ValueError):  # a damaged note only loses the order
            note = read_json(path)
            jobs = note.get("jobs") if isinstance(note, dict) else None
            for job in jobs if isinstance(jobs, list) else ():
                order_of_jobs.setdefault(str(job), len(order_of_jobs))
    return order_of_jobs


def natural(text: str) -> tuple[tuple[float, str], ...]:
    """Return a key that sorts numbers within text as numbers.

    >>> sorted(["lr=0.1", "lr=0.01", "size=64", "size=256"], key=natural)
    ['lr=0.01', 'lr=0.1', 'size=64', 'size=256']
    """
    pieces = re.split(r"(\d+(?:\.\d+)?)", text)
    return tuple((float(piece), "") if k % 2 else (-1.0, piece) for k, piece in enumerate(pieces))
