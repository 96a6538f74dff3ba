"""Tables on a terminal: read back from the text at every width, they hold the numbers that `--json` gives."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from causalrec.commands.encoding import write_plain_where_needed
from causalrec.reporting.score_table import Cell, ScoreTable, markdown
from causalrec.reporting.table_text import csv_text, latex, text_table
from causalrec.reporting.text_table import LEAST_WIDTH, TextTable

NUMBER = r"-?\d+\.\d+"
WIDTHS = (40, 80, 100, 160, 1000)
Read = dict[tuple[str, str], str]


def make_table(seed: int, rows: int, columns: int, longest: int) -> ScoreTable:
    """Make a table of random numbers: undefined ones, ones of one seed, without interval, small and large ones."""
    rng = random.Random(seed)
    names = ["constant", *(f"row{k}-" + "x" * rng.randrange(longest) for k in range(rows))]
    heads = [f"metric_{'y' * rng.randrange(9)}{k}@{rng.choice(['logged', 'randomised'])}" for k in range(columns)]
    scale = {head: rng.choice([0.001, 0.05, 1.0, 5_000.0]) for head in heads}
    cells = {
        name: {head: make_cell(rng, scale[head]) for head in heads if rng.random() < 0.9 or head == heads[0]}
        for name in names
    }
    return ScoreTable("shop (1 = rating >= 3)", tuple(heads), cells, ("constant",), ("a note " * 30,))


def make_cell(rng: random.Random, scale: float) -> Cell:
    mean = scale * rng.uniform(-1, 1)
    low = mean - scale * rng.random() if rng.random() < 0.8 else float("nan")
    return Cell(mean, low, mean + scale * rng.random(), scale * rng.random() if rng.random() < 0.5 else None, 2, 10)


def read_back(text: str, width: int) -> Read:
    """Return every cell of a printed table by row and column, from where the words stand."""
    assert max(map(len, text.splitlines())) <= width
    body = text.partition("\n- ")[0].split("\n", 1)[1]
    read = read_list(body) if re.search(r"^  \S", body, re.MULTILINE) else {}
    return read or {key: cell for block in body.split("\n\n") for key, cell in read_block(block.splitlines())}


def words_of(line: str) -> Iterator[tuple[int, str]]:
    """Yield each cell of a line, with where it ends."""
    for match in re.finditer(r"\S+(?: \S+)*", line):
        yield match.end(), match[0]


def read_block(lines: list[str]) -> Iterator[tuple[tuple[str, str], str]]:
    rule = next(k for k, line in enumerate(lines) if line.startswith("─"))
    heads: dict[int, str] = {}
    for line in lines[:rule]:
        for end, word in words_of(line):
            heads[end] = heads.get(end, "") + word
    row, cells = "", {}
    for line in (line for line in lines[rule:] if not line.startswith("─")):
        words = list(words_of(line))
        row = row if line.startswith(" ") else words.pop(0)[1]
        for end, word in words:
            cells[row, heads[end]] = f"{cells[row, heads[end]]} {word}" if (row, heads[end]) in cells else word
    yield from cells.items()


def read_list(body: str) -> Read:
    cells: Read = {}
    row = ""
    for line in (line for line in body.splitlines() if not line.startswith("─")):
        if not line.startswith(" "):
            row = line
        elif line.startswith("   "):
            cells[next(reversed(cells))] += f" {line.strip()}"
        else:
            head, _, cell = line.strip().partition("  ")
            cells[row, head] = cell.strip()
    return cells


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("rows", "columns", "longest"), [(1, 1, 5), (4, 5, 12), (9, 14, 30), (3, 4, 75)])
def test_every_width_holds_every_number_of_json(width: int, rows: int, columns: int, longest: int) -> None:
    table = make_table(width + rows, rows, columns, longest)
    document: dict[str, Any] = json.loads(json.dumps(table.as_json()))
    read = read_back(text_table(table).render(width), max(width, longest + 6))
    for row, cells in document["rows"].items():
        for column in table.columns:
            if column not in cells:
                assert read[row, column] == "-"
                continue
            numbers = [float(text) for text in re.findall(NUMBER, read[row, column])]
            wanted = [cells[column][name] for name in ("mean", "sd", "low", "high")]
            wanted = [value for value in wanted[: 2 if np.isnan(wanted[2]) else 4] if value is not None]
            half_unit = 0.5000001 * 10.0 ** -table.decimals(column)
            assert np.allclose(numbers, wanted, rtol=0, atol=half_unit), (row, column, read[row, column])


def test_small_numbers_show_what_their_interval_is_and_without_one_three_digits() -> None:
    table = ScoreTable("t", ("a@x",), {"r": {"a@x": Cell(0.000_412_3, 0.0003, 0.0005, None, 1, 9)}}, (), ())
    assert table.decimals("a@x") == 4 and "0.0004" in text_table(table).render(80)
    bare = replace(table, rows={"r": {"a@x": Cell(0.000_412_3, float("nan"), float("nan"), None, 1, 9)}})
    assert bare.decimals("a@x") == 6 and "0.000412" in text_table(bare).render(80)


def test_without_intervals_none_is_shown_and_none_explained() -> None:
    table = make_table(3, 4, 3, 5)
    noted = ScoreTable(table.dataset, table.columns, table.rows, table.baselines, ("[low, high]: an interval.", "b."))
    for write in (lambda: text_table(noted, intervals=False).render(80), lambda: markdown(noted, intervals=False)):
        assert "[" not in write() and "- b." in write()


def test_csv_is_tidy_and_unrounded() -> None:
    table = make_table(5, 3, 4, 9)
    lines = list(csv.DictReader(io.StringIO(csv_text([table, table]))))
    assert len(lines) == 2 * sum(map(len, table.rows.values()))
    first = lines[0]
    cell = table.rows[first["row"]][f"{first['metric']}@{first['slice']}"]
    assert float(first["mean"]) == cell.mean and first["baseline"] == "True"
    assert first["low"] == ("" if np.isnan(cell.low) else repr(cell.low))


def test_latex_has_a_line_for_every_row_and_an_entry_for_every_column() -> None:
    table = make_table(6, 3, 4, 9)
    lines = [line for line in latex(table).splitlines() if line.endswith(r"\\")]
    assert len(lines) == 1 + len(table.rows) and all(line.count(" & ") == 4 for line in lines)


def test_a_narrow_terminal_is_taken_at_twenty_letters_and_wide_letters_count_twice() -> None:
    table = TextTable(header=("row", "a"), rows=(("日本", "1"), ("b", "2")), notes=("one two three four five",))
    assert table.render(5) == table.render(LEAST_WIDTH)
    assert [line.index(digit) for line, digit in zip(table.render(40).splitlines()[2:], "12", strict=False)] == [4, 6]


def test_a_terminal_of_ascii_reads_every_sign_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    write_plain_where_needed()
    print("0.1 ± 0.2 ▽ ─ 日", flush=True)
    assert raw.getvalue() == b"0.1 +- 0.2 v - ?\n"
