"""Numbers get into a document between markers, or not at all."""

from pathlib import Path

import pytest

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
