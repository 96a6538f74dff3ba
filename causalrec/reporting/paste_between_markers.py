"""Paste a generated text between two markers of a document, so that nobody copies numbers by hand."""

from __future__ import annotations

from pathlib import Path

from causalrec.data.files import replace_atomically
from causalrec.data.regular_files import read_bytes
from causalrec.errors import RequestError

LARGEST_PAGE = 1 << 26  # bytes


def paste(path: Path, marker: str, text: str) -> None:
    """Replace what stands between `<!-- marker -->` and `<!-- /marker -->`; the rest of the page stays as it is.

    A comment within the text, which could be taken for a marker, is written out. Raises RequestError as `read_page`.
    """
    before, after = read_page(path, marker)
    opening, closing = _markers(marker)
    newline = "\r\n" if "\r\n" in before + after else "\n"
    lines = [opening, *text.replace("<!--", "&lt;!--").splitlines(), closing]
    with replace_atomically(path, through_link=True) as temporary:
        temporary.write_bytes((before + newline.join(lines) + after).encode())


def read_page(path: Path, marker: str) -> tuple[str, str]:
    """Return what stands before and behind the markers of a page.

    Raises RequestError where there is no such page, where it is no ordinary file or not UTF-8, and where it does not
    hold both markers once each, in order.
    """
    try:
        page = read_bytes(path, LARGEST_PAGE).decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: not UTF-8 (byte {error.start:,}); save the page as UTF-8") from error
    except FileNotFoundError as error:
        raise RequestError(f"{path}: there is no such page; name one with the markers to paste between") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RequestError(f"{path}: {reason}; name a page with the markers to paste between") from error
    opening, closing = _markers(marker)
    before, _, rest = page.partition(opening)
    if page.count(opening) != 1 or page.count(closing) != 1 or closing not in rest:
        raise RequestError(f"{path}: needs the lines {opening} and {closing} once each, to paste between")
    return before, rest.partition(closing)[2]


def _markers(marker: str) -> tuple[str, str]:
    return f"<!-- {marker} -->", f"<!-- /{marker} -->"
