"""Encodings of raw text: those in which ASCII is written as such, and UTF-16 and UTF-32 with their mark."""

from __future__ import annotations

import codecs
import re

from causalrec.errors import RequestError

MARKED = {"utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)}
SUPERSETS = re.compile(
    r"ascii|utf-8(-sig)?|iso8859-\d+|cp(125\d|437|7[37]\d|8[567]\d|9(32|36|49|50))|gb2312|gbk|gb18030|big5(hkscs)?|"
    r"shift_jis\w*|euc_\w+|koi8[-_]\w|mac-\w+|tis-620|johab|ptcp154|kz1048"
)


def check_encoding(key: str, encoding: str) -> None:
    """Raise RequestError for what is no encoding that tables are read in.

    Args:
        key: the setting.
        encoding: its value.
    """
    try:
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        name = ""
    if name not in MARKED and not SUPERSETS.fullmatch(name):
        raise RequestError(
            f"{key}={encoding!r}: no encoding that tables are read in; give utf-8, utf-16 (with its mark), latin-1, "
            f"cp1252, gb18030, shift_jis, or another in which ASCII stands as it is"
        )


def lacks_mark(encoding: str, head: bytes) -> bool:
    """Say whether text of UTF-16 or UTF-32 begins without the mark that tells it.

    >>> lacks_mark("utf-16", b"id,name"), lacks_mark("utf-16", "id".encode("utf-16")), lacks_mark("utf-8", b"id")
    (True, False, False)
    """
    marks = MARKED.get(codecs.lookup(encoding).name)
    return marks is not None and not head.startswith(marks)
