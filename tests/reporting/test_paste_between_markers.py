"""Numbers get into a document between markers, or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from causalrec.cli import main
from causalrec.errors import RequestError
from causalrec.reporting.paste_between_markers import paste

PAGE = "before\n<!-- quickstart -->\nold\n<!-- /quickstart -->\nafter <!-- other --> x <!-- /other -->\n"


def test_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    paste(page, "quickstart", "new | 0.5 ± 0.1")
    assert page.read_text(encoding="utf-8") == PAGE.replace("old", "new | 0.5 ± 0.1")
    paste(page, "quickstart", "old")
    assert page.read_text() == PAGE


@pytest.mark.parametrize(
    "text",
    ["no markers", PAGE.replace("<!-- /quickstart -->", ""), PAGE + PAGE, PAGE.replace("<!-- quickstart -->", "")],
)
def test_without_both_markers_once_nothing_is_written(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(RequestError, match="<!-- quickstart --> and <!-- /quickstart --> once each"):
        paste(page, "quickstart", "new")
    assert page.read_text() == text


def test_a_page_keeps_its_line_ends_and_its_end(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text in ("a\r\n<!-- x -->\r\nold\r\n<!-- /x -->\r\nb", "<!-- x --><!-- /x -->"):
        page.write_bytes(text.encode())
        paste(page, "x", "new\nlines")
        end = "\r\n" if "\r\n" in text else "\n"
        before, after = text.partition("<!-- x -->")[0], text.partition("<!-- /x -->")[2]
        assert page.read_bytes().decode() == before + end.join(["<!-- x -->", "new", "lines", "<!-- /x -->"]) + after


def test_a_marker_within_the_text_is_none(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- x -->\n<!-- /x -->\n")
    for _ in range(2):
        paste(page, "x", "`<!-- /x -->` <!-- x -->")
    assert page.read_text().count("<!-- /x -->") == 1


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_other_encoding(path: Path) -> None:
    path.write_bytes(b"<!-- x -->\n\xff\n<!-- /x -->\n")


def make_turned_around(path: Path) -> None:
    path.write_text("<!-- /x -->\n<!-- x -->\n")


@pytest.mark.parametrize("make", [Path.mkdir, make_pipe, make_other_encoding, make_turned_around, lambda path: None])
def test_what_is_no_page_with_markers_is_one_line(
    tmp_path: Path, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    make(page)
    before = page.read_bytes() if page.is_file() else None
    with pytest.raises(RequestError) as caught:
        paste(page, "x", "new")
    assert str(caught.value).startswith(f"{page}: ") and "\n" not in str(caught.value)
    assert main(["table", str(tmp_path), "--paste", str(page)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert before == (page.read_bytes() if page.is_file() else None)
