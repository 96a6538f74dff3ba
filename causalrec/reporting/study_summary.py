"""A study in a few lines: the counts of its verdicts, its largest misses, and where the whole of it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from causalrec.plain_text import one_line
from causalrec.reporting.escapes import markdown_text
from causalrec.reporting.paper_table import PaperCell, PaperTable
from causalrec.reporting.paper_text import count_verdicts

MISSES = 12  # that a summary lists


@dataclass(frozen=True)
class Miss:
    """A published number or gain that ours is not.

    Attributes:
        cell: of the table.
        what: `gain` or `value`.
        published: as a number.
        obtained: ours.
        tolerance: largest difference that would not be a miss.
    """

    cell: PaperCell
    what: str
    published: float
    obtained: float
    tolerance: float

    @property
    def size(self) -> float:
        """The difference in tolerances."""
        return abs(self.obtained - self.published) / self.tolerance


def largest_misses(table: PaperTable, most: int = MISSES) -> list[Miss]:
    """Return the misses by size, of gains where the study judges gains, else of values."""
    misses = list(_missed_gains(table)) if table.counts["gains"] else list(_missed_values(table))
    return sorted(misses, key=lambda miss: -miss.size)[:most]


def _missed_gains(table: PaperTable) -> Iterable[Miss]:
    for cell in table.cells.values():
        gain = cell.gain
        if gain is not None and gain.word == "not reproduced":
            assert gain.published is not None and gain.obtained is not None and gain.tolerance is not None
            yield Miss(cell, "gain", gain.published, gain.obtained, gain.tolerance)


def _missed_values(table: PaperTable) -> Iterable[Miss]:
    for cell in table.cells.values():
        value, published, obtained = cell.value, cell.published, cell.obtained
        if value is not None and value.word in ("below", "above"):
            assert published is not None and obtained is not None and value.tolerance is not None
            yield Miss(cell, "value", float(published.value), obtained.mean, value.tolerance)


def summary(table: PaperTable, command: str, full: str | None = None, figure: str | None = None) -> str:
    """Write the study's summary as markdown.

    Args:
        table: of the study.
        command: that makes it.
        full: address of the whole table, from the summary's document; None where it is not written.
        figure: address of the figure, None where there is none.
    """
    misses = largest_misses(table)
    lines = [f"`{one_line(command)}`", "", markdown_text(count_verdicts(table)), ""]
    if misses:
        judged = f"{misses[0].what}s" + (
            f" over {markdown_text(table.study.compare.to)}" if table.study.compare else ""
        )
        lines += [
            f"Largest misses, {judged}:",
            "",
            "| row | column | published | ours | allowed |",
            "|---|---|---|---|---|",
        ]
        lines += [_line(miss) for miss in misses]
        lines.append("")
    lost = sorted({row for (row, _), cell in table.cells.items() if cell.loses_to})
    lines += (
        [f"Rows that lose to a special case of themselves: {', '.join(map(markdown_text, lost))}.", ""] if lost else []
    )
    lines += [f"![published gains and ours]({figure})", ""] if figure else []
    return "\n".join([*lines, f"[Every cell]({full})"] if full else lines).rstrip()


def _line(miss: Miss) -> str:
    cell = miss.cell
    if miss.what == "gain":
        numbers = f"{miss.published:+g} | {miss.obtained:+.3g}"
    else:
        numbers = f"{cell.published.value if cell.published else ''} | {miss.obtained:.4g}"
    return f"| {markdown_text(cell.row)} | {markdown_text(cell.column)} | {numbers} | {miss.tolerance:g} |"
