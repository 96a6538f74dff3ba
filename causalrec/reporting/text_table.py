"""A table as plain text that fits a width: in one piece, in blocks of columns, or as a list; nothing is ever cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from causalrec.plain_text import display_width, one_line, sentence

TableCell = str | tuple[str, ...]  # of one line, or of several
GAP = "  "  # between columns
LEAST_WIDTH = 20  # of a terminal that is taken at its word


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """What a table shows, cell by cell; control characters are written out, line ends within a name too.

    Attributes:
        title: above it; empty: none.
        header: of each column, the first being that of the rows' names; of several lines it is a tuple of them.
        rows: the cells of each row, as the header's.
        left: columns that are aligned to the left, by number; numbers are aligned to the right.
        rule_after: rows after which a line is drawn, by number.
        notes: below it, one item each.
    """

    title: str = ""
    header: tuple[TableCell, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    left: frozenset[int] = frozenset({0})
    rule_after: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()

    def render(self, width: int) -> str:
        """Return it as lines of at most `width` characters, where no single number or name is longer."""
        width = max(width, LEAST_WIDTH)
        widths = [max(_width(cell) for cell in column) for column in zip(self.header, *self.rows, strict=True)]
        blocks = _pack(widths, width)
        body = self._as_list(width) if blocks is None else self._as_blocks(blocks, widths)
        notes = [line for note in self.notes for line in wrap_note(note, width)]
        return "\n".join([*_wrap(self.title, width), *body, *notes])

    def _as_blocks(self, blocks: Sequence[Sequence[int]], widths: Sequence[int]) -> Iterator[str]:
        for k, columns in enumerate(blocks):
            yield from [""] * (k > 0)
            yield from self._block(columns, [widths[c] for c in columns])

    def _block(self, columns: Sequence[int], widths: Sequence[int]) -> Iterator[str]:
        left = [column in self.left for column in columns]
        rule = "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
        yield from _lines([self.header[c] for c in columns], widths, left)
        yield rule
        for number, row in enumerate(self.rows):
            yield from _lines([row[c] for c in columns], widths, left)
            yield from [rule] * (number in self.rule_after and number < len(self.rows) - 1)

    def _as_list(self, width: int) -> Iterator[str]:
        """Yield each row as its name and a line for each of its cells: for names too long to stand beside numbers."""
        heads = ["".join(_cell_lines(cell)) for cell in self.header]
        longest = max(map(display_width, heads[1:]), default=0)
        for number, row in enumerate(self.rows):
            yield " ".join(_cell_lines(row[0]))
            for head, cell in zip(heads[1:], row[1:], strict=True):
                if cell:
                    yield from _list_item(_pad(head, longest, True), " ".join(_cell_lines(cell)), width)
            yield from ["─" * width] * (number in self.rule_after and number < len(self.rows) - 1)


def wrap_note(note: str, width: int) -> list[str]:
    """Return a note as an item of a list, broken between words.

    >>> wrap_note("95% interval", 10)
    ['- 95%', '  interval']
    """
    return _wrap(note, width, "- ", "  ")


def _wrap(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Break text between words into lines that take at most so many columns of a terminal, wide letters counted."""
    lines, line = [], first
    for word in sentence(text).split(" "):
        gap = " " if line not in (first, rest) else ""
        if gap and display_width(line) + 1 + display_width(word) > width:
            lines.append(line)
            line, gap = rest, ""
        line += gap + word
    return [line.rstrip() for line in [*lines, line] if line.strip()]


def split_column(name: str) -> TableCell:
    """Write `metric@slice` on two lines, which keeps columns as narrow as their numbers.

    >>> split_column("ndcg@5@randomised")
    ('ndcg@5', '@randomised')
    """
    metric, at, where = name.rpartition("@")
    return (metric, f"{at}{where}") if metric else name


def _pack(widths: Sequence[int], width: int) -> list[list[int]] | None:
    """Return the columns of each block, the names' first; None where a column does not fit beside the names."""
    blocks: list[list[int]] = [[0]]
    for column in range(1, len(widths)):
        if _total(widths, [*blocks[-1], column]) > width and len(blocks[-1]) > 1:
            blocks.append([0])
        if _total(widths, [*blocks[-1], column]) > width:
            return None
        blocks[-1].append(column)
    return blocks


def _total(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[c] for c in columns) + len(GAP) * (len(columns) - 1)


def _lines(cells: Iterable[TableCell], widths: Sequence[int], left: Sequence[bool]) -> Iterator[str]:
    """Yield the lines of cells side by side."""
    split = [_cell_lines(cell) for cell in cells]
    for k in range(max(map(len, split))):
        texts = [lines[k] if k < len(lines) else "" for lines in split]
        padded = [_pad(text, size, at_left) for text, size, at_left in zip(texts, widths, left, strict=True)]
        yield GAP.join(padded).rstrip()


def _pad(text: str, size: int, left: bool) -> str:
    space = " " * (size - display_width(text))
    return text + space if left else space + text


def _list_item(head: str, cell: str, width: int) -> list[str]:
    """Return a cell as an item of a list, on the line of its header where its words fit there."""
    start, indent = f"  {head}  ", "    "
    fits = display_width(start) + max(map(display_width, cell.split(" "))) <= width
    return _wrap(cell, width, start, indent) if fits else [start.rstrip(), *_wrap(cell, width, indent, indent)]


def _cell_lines(cell: TableCell) -> list[str]:
    return [one_line(line) for line in ((cell,) if isinstance(cell, str) else cell)]


def _width(cell: TableCell) -> int:
    return max(map(display_width, _cell_lines(cell)))
