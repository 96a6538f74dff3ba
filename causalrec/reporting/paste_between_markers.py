"""Paste a generated text between two markers of a document, so that nobody copies numbers by hand."""

from pathlib import Path

from causalrec.data.files import write_text
from causalrec.errors import RequestError


def paste(path: Path, marker: str, text: str) -> None:
    """Replace what stands between `<!-- marker -->` and `<!-- /marker -->`; raise RequestError without the markers."""
    opening, closing = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    page = path.read_text(encoding="utf-8")
    if page.count(opening) != 1 or page.count(closing) != 1:
        raise RequestError(f"{path}: needs the lines {opening} and {closing} once each, to paste between")
    before, rest = page.split(opening)
    write_text(path, f"{before}{opening}\n{text}\n{closing}{rest.split(closing)[1]}", through_link=True)
