"""A study's table as text: on the terminal, in markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from causalrec.reporting.compare import Comparison
from causalrec.reporting.escapes import markdown_note, markdown_text
from causalrec.reporting.numbers import decimals_of, format_interval, format_number
from causalrec.reporting.paper_table import PaperCell, PaperTable
from causalrec.reporting.submodels import MARK
from causalrec.reporting.text_table import TextTable
from causalrec.reporting.verdict import GainVerdict, Obtained, ValueVerdict

DECIMALS = 4  # of a column, unless its numbers are tiny


def text_tables(table: PaperTable) -> list[TextTable]:
    """Return one table per column that was run, the footnotes below the last."""
    blocks = [_text_table(table, column) for column in table.run_columns]
    return [*blocks[:-1], *(replace(last, notes=(*table.footnotes, count_verdicts(table))) for last in blocks[-1:])]


def _text_table(table: PaperTable, column: str) -> TextTable:
    head, lines = _block(table, column)
    last_baseline = (table.baselines or ("",))[-1]
    return TextTable(
        title=f"{table.study.title}: {column}",
        header=tuple(head),
        rows=tuple(map(tuple, lines)),
        left=frozenset({0, *(k for k, name in enumerate(head) if name in ("value", "gain"))}),
        rule_after=frozenset(k for k, line in enumerate(lines) if line[0] == last_baseline),
    )


def markdown(table: PaperTable) -> str:
    """Write the blocks as GitHub markdown, with the footnotes."""
    lines = [f"# {markdown_text(table.study.title)}", ""]
    for column in table.columns:
        head, rows = _block(table, column)
        lines += [f"## {markdown_text(column)}", "", _markdown_row(head), "|" + "---|" * len(head)]
        lines += [*map(_markdown_row, rows), ""]
    return "\n".join([*lines, *map(markdown_note, (*table.footnotes, count_verdicts(table)))]) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(markdown_text, cells))} |"


def count_verdicts(table: PaperTable) -> str:
    """Count the verdicts in one line: of gains first, then of values."""
    reference = table.study.compare.to if table.study.compare else ""
    heads = {"gains": f"Gains over {reference}", "values": "Values"}
    lines = [
        f"{heads[kind]}: {', '.join(f'{count} {word}' for word, count in counts.items())}."
        for kind, counts in table.counts.items()
        if counts
    ]
    return " ".join(lines) or "No published cells."


def _block(table: PaperTable, column: str) -> tuple[list[str], list[list[str]]]:
    cells = [cell for row in table.rows if (cell := table.cells.get((row, column)))]
    compare = any(cell.comparison for cell in cells)
    head = ["row", "published", "obtained", "interval", "runs"]
    head += [f"difference to {table.study.compare.to}"] if compare and table.study.compare else []
    judges_gains = any(cell.gain for cell in cells)
    head += ["value", *(["gain"] if judges_gains else [])]
    decimals = decimals_of((cell.obtained.mean for cell in cells if cell.obtained), DECIMALS)
    return head, [
        [*_line(cell, compare, decimals), *([format_gain(cell.gain)] if judges_gains else [])] for cell in cells
    ]


def _line(cell: PaperCell, compare: bool, decimals: int) -> Iterable[str]:
    yield cell.row
    yield cell.published.text if cell.published else "-"
    mean, interval, runs = format_obtained(cell.obtained, decimals)
    yield from (f"{mean} {MARK}" if cell.loses_to else mean, interval, runs)
    if compare:
        yield format_difference(cell.comparison, decimals)
    yield format_value(cell.value)


def format_obtained(obtained: Obtained | None, decimals: int = DECIMALS) -> tuple[str, str, str]:
    """Write mean ± standard deviation, the interval, and the number of runs.

    >>> format_obtained(Obtained(0.71, 0.004, 0.69, 0.73, 10))
    ('0.7100 ± 0.0040', '[0.6900, 0.7300]', '10')
    """
    if obtained is None:
        return "-", "-", "-"
    sd = "" if obtained.sd is None else f" ± {format_number(obtained.sd, decimals)}"
    return (
        f"{format_number(obtained.mean, decimals)}{sd}",
        format_interval(obtained.low, obtained.high, decimals) or "-",
        str(obtained.n),
    )


def format_difference(comparison: Comparison | None, decimals: int = DECIMALS) -> str:
    """Write a difference with its standard error and corrected p-value; `*` marks a real one."""
    if comparison is None:
        return "-"
    p = "p < .001" if comparison.adjusted < 0.001 else f"p {comparison.adjusted:.3f}"
    star = " *" if comparison.real else ""
    difference = format_number(comparison.difference, decimals, sign=True)
    return f"{difference} (SE {format_number(comparison.se, decimals)}, {p}){star}"


def format_value(verdict: ValueVerdict | None) -> str:
    """Write where a value lies: by how much, of how much allowed, or why that cannot be said."""
    if verdict is None:
        return "-"
    if verdict.tolerance is not None:
        return f"{verdict.word} ({verdict.difference:+g}, allowed {verdict.tolerance:g})"
    return _word_with_reason(verdict.word, verdict.reason)


def format_gain(verdict: GainVerdict | None) -> str:
    """Write whether a gain is there: the published one, ours, and how much is allowed between them."""
    if verdict is None:
        return "-"
    if verdict.tolerance is not None:
        gains = f"published {verdict.published:+g}, ours {verdict.obtained:+g}, allowed {verdict.tolerance:g}"
        return f"{verdict.word} ({gains})"
    return _word_with_reason(verdict.word, verdict.reason)


def _word_with_reason(word: str, reason: str | None) -> str:
    return word if reason is None else f"{word}: {reason}"
