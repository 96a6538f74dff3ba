"""What records warn of, as footnotes: a warning stands beside every number that rests on what it warns of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from causalrec.records.run_folder import RunFolder

FIGURE = re.compile(r"\d[\d.,]*(e[+-]?\d+)?")


def warning_notes(groups: Mapping[str, Sequence[RunFolder]]) -> list[str]:
    """Return the warnings of the runs of each row, rows that share one named together.

    Warnings that differ in their figures alone, as from seed to seed, are one line: the first, and how many there are.

    Args:
        groups: the runs of each row, by the row's name.
    """
    first: dict[str, str] = {}  # by the warning without its figures
    rows: dict[str, dict[str, int]] = {}
    for name, runs in groups.items():
        for run in runs:
            for line in run.record.warnings:
                shape = FIGURE.sub("#", line)
                first.setdefault(shape, line)
                of_row = rows.setdefault(shape, {})
                of_row[name] = of_row.get(name, 0) + 1
    notes = []
    for shape, line in first.items():
        count = sum(rows[shape].values())
        names = "" if set(rows[shape]) == set(groups) else f"{', '.join(rows[shape])}: "
        similar = f" ({count} runs warn of it; the first's figures)" if count > 1 and FIGURE.search(line) else ""
        notes.append(f"Warning: {names}{line}{similar}.")
    return notes
