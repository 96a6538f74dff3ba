"""Lines that a fast parser would misread in silence are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from causalrec.data.tabular import line_checks
from causalrec.data.tabular.line_checks import line_problems
from causalrec.data.tabular.rawfile import RawFile

HEADER = "user,item,note\n"


def problems_of(tmp_path: Path, text: str, **settings: object) -> list[tuple[int | None, str]]:
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return [(problem.line, problem.message) for problem in line_problems(RawFile(path=path, **settings))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rows",
    [
        "u,i,plain\n",
        'u,i,"a, b"\n',
        'u,i,"he said ""yes"", then"\n',
        'u,i,"two\nlines"\nu,j,x\n',
        'u,i,"two\r\nlines, and ""more"""\r\nu,j,x\r\n',
        'u,i,""\n',
        '"u","i",""\n\n',
        "u,i,",
    ],
)
def test_what_is_well_formed_passes(tmp_path: Path, rows: str) -> None:
    assert problems_of(tmp_path, HEADER + rows) == []


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        ("u,i,x\nu,i,3,1\n", 3, "has 4 fields, expected 3"),
        ("u,i,x\nu,i\n", 3, "has 2 fields, expected 3"),
        ('u,i,x\nu,j,5" wide\nu,k,3" wide\n', 3, "inside a field that has none around it"),
        ('u,i,"closed" late\n', 2, "inside a field that has none around it"),
        ('u,i,x\nu,j,"open\nu,k,y\n', 3, "never closed"),
        ('u,i,"a\nb",c\n', 2, "has 4 fields, expected 3"),
    ],
)
def test_what_would_be_misread_is_named_by_its_line(tmp_path: Path, rows: str, line: int, message: str) -> None:
    (first, text), *_ = problems_of(tmp_path, HEADER + rows)
    assert first == line and message in text


def test_without_a_quote_character_quotes_are_text(tmp_path: Path) -> None:
    assert problems_of(tmp_path, HEADER + 'u,j,5" wide\n', quote=None) == []


def test_many_bad_lines_are_counted(tmp_path: Path) -> None:
    listed = problems_of(tmp_path, HEADER + "u,i\n" * 500)
    assert listed[-1][0] is None and "(500 in all)" in listed[-1][1]


def test_lines_inside_an_open_quote_are_not_split_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, sizes = line_checks._split, []

    def count(record: bytes, *others: bytes) -> tuple[int, str]:
        sizes.append(len(record))
        return split(record, *others)

    monkeypatch.setattr(line_checks, "_split", count)
    ((line, message),) = problems_of(tmp_path, HEADER + 'u,i,"open\n' + "u,i,x\n" * 50_000)
    assert (line, "never closed" in message) == (2, True) and sizes == [len('u,i,"open\n')]
