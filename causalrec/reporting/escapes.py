"""Names, titles and notes as text in markdown, in CSV and in figures; LaTeX and HTML have their own rooms."""

from __future__ import annotations

import re

from causalrec.plain_text import one_line, sentence, shorten

CODE = re.compile(r"(?<!`)`(?!`)([^`]+)(?<!`)`(?!`)")
TAG = re.compile(r"<(?=[A-Za-z/!?])")
ACTIVE = re.compile(  # in markdown, anywhere
    r"[\\`|$]"
    r"|(?<=[\]])[(\[:]"  # of a link
    r"|\*(?=\S)|(?<=\S)\*|~(?=~)|(?<=~)~"
    r"|(?<![^\W_])_|_(?![^\W_])"  # at the end of a word
)
LEADING = re.compile(r"^(\d*)([#>+\-=.)])(?=\s|[#>]|$)")  # of a block
ENTITY = re.compile(r"&(?=#?\w+;)")
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # with which a spreadsheet begins a formula
LONGEST_LABEL = 120  # letters of a name in a figure


def markdown_text(text: str) -> str:
    r"""Escape what markdown reads as markup; what stands between single backticks stays code.

    >>> print(markdown_text("a | b <script>"))
    a \| b &lt;script>
    >>> print(markdown_text("`clip=5`: of [weights](x) dr_jl"))
    `clip=5`: of [weights]\(x) dr_jl
    """
    pieces = CODE.split(one_line(text))
    return "".join(_code(piece) if k % 2 else _plain(piece) for k, piece in enumerate(pieces))


def markdown_note(note: str) -> str:
    r"""Write prose as an item of a list, which is no heading, quotation or list within it.

    >>> print(markdown_note("# Accepted"))
    - \# Accepted
    """
    return "- " + LEADING.sub(lambda match: f"{match[1]}\\{match[2]}", markdown_text(sentence(note)))


def _plain(piece: str) -> str:
    return TAG.sub("&lt;", ACTIVE.sub(r"\\\g<0>", ENTITY.sub("&amp;", piece)))


def _code(piece: str) -> str:
    if TAG.search(piece):  # no code of ours: a reader that pairs backticks otherwise would act on it
        return rf"\`{_plain(piece)}\`"
    escaped = piece.replace("|", r"\|")
    return f"`{escaped}`"


def spreadsheet_cell(value: object) -> object:
    """Return a cell of a CSV file: text that a spreadsheet would take for a formula gets a quotation mark before it.

    >>> spreadsheet_cell("=1+1"), spreadsheet_cell(-0.5)
    ("'=1+1", -0.5)
    """
    if not isinstance(value, str):
        return value
    line = one_line(value)
    return f"'{line}" if line.startswith(FORMULA) else line


def figure_text(text: str, most: int = LONGEST_LABEL) -> str:
    r"""Return what Matplotlib draws as it stands: no formula between dollars, no label that a legend leaves out.

    >>> print(figure_text(r"$\frac{1}"))
    \$\frac{1}
    """
    label = shorten(sentence(text), most).replace("$", r"\$")
    return f" {label}" if label.startswith("_") else label
