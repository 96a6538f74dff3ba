"""The two verdicts of a cell of a study: of its value, and of its gain over the study's reference row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from causalrec.errors import did_you_mean
from causalrec.reporting.compare import Comparison
from causalrec.reporting.study import Study
from causalrec.reporting.verdict import GainVerdict, NotJudged, Obtained, ValueVerdict, judge_gain, judge_value

Key = tuple[str, str]  # row and column


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judges the cells of one study.

    Attributes:
        study: with its published numbers.
        obtained: our numbers by cell.
        differences: our paired differences to the reference row, by cell.
        smoke: whether the runs were made with `--smoke`, which judges nothing.
    """

    study: Study
    obtained: Mapping[Key, Obtained]
    differences: Mapping[Key, Comparison]
    smoke: bool

    def value(self, key: Key) -> ValueVerdict | None:
        """Return where our number lies beside the printed one; None where none is printed."""
        printed = self.study.printed.get(key)
        if printed is None:
            return None
        if (obstacle := self._obstacle(key)) is not None:
            return ValueVerdict(obstacle[0], reason=obstacle[1])
        return judge_value(printed, self.obtained[key], self.study.tolerance.factor)

    def gain(self, key: Key) -> GainVerdict | None:
        """Return whether the printed gain is there; None where there is none: no reference row, or no number of it."""
        (row, column), compare, printed = key, self.study.compare, self.study.printed
        if compare is None or row == compare.to or key not in printed or (compare.to, column) not in printed:
            return None
        reference = (compare.to, column)
        for cell in (key, reference):
            if (obstacle := self._obstacle(cell)) is not None:
                return GainVerdict(obstacle[0], reason=_of_row(cell, key, obstacle[1]))
        if key not in self.differences:
            return GainVerdict("cannot be", reason=f"no paired runs of {row} and {compare.to} with this score")
        sds = (None, None) if self.study.seeds_draw_data else (self.obtained[key].sd, self.obtained[reference].sd)
        same_test = self.study.source is not None and self.study.source.same_test
        return judge_gain(
            printed[key],
            printed[reference],
            self.differences[key],
            sds,
            same_test=same_test,
            factor=self.study.tolerance.factor,
        )

    def _obstacle(self, key: Key) -> tuple[NotJudged, str | None] | None:
        """Say why there is no number to judge; None where there is one."""
        row, column = key
        if row in self.study.absent or column in self.study.absent:
            return "cannot be", None  # a footnote says why
        if self.smoke:
            return "smoke: not judged", None
        if key in self.obtained:
            return None
        rows = self.study.rows_of_table([name for name, _ in self.obtained])
        lost = rows and row not in rows
        return "not run", f"no such row; {did_you_mean(row, rows)}" if lost else "no finished run"


def _of_row(cell: Key, judged: Key, reason: str | None) -> str | None:
    """Name the row that a reason is of, where it is not the judged one's."""
    return reason if cell == judged or reason is None else f"{cell[0]}, the row of reference: {reason}"
