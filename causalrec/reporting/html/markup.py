"""HTML built from parts: text is escaped unless it was built here, so that no name in a record can act."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from causalrec.plain_text import escape_controls
from causalrec.reporting.numbers import format_number

VOID = frozenset({"meta", "input", "br"})
SHAPES = frozenset({"path", "rect", "circle"})  # of SVG, which alone may close themselves


@dataclass(frozen=True)
class Html:
    """Markup that is already escaped."""

    text: str


Child = Html | str | int | None
Attribute = str | int | float | bool | None


def tag(name: str, *children: Child, **attributes: Attribute) -> Html:
    """Build an element: `class_` is `class`, `aria_sort` is `aria-sort`; None and False leave an attribute out.

    >>> tag("p", "a < b", class_="note", hidden=True).text
    '<p class="note" hidden>a &lt; b</p>'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{written}>")
    if name in SHAPES:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(children).text}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    written = f"{value:g}" if isinstance(value, float) else str(value)
    return f" {name}" if value is True else f' {name}="{html.escape(escape_controls(written))}"'


def join(children: Iterable[Child], between: str = "") -> Html:
    """Escape what is text, drop what is None, and set one after another."""
    return Html(between.join(_escape(child) for child in children if child is not None))


def _escape(child: Child) -> str:
    return child.text if isinstance(child, Html) else html.escape(escape_controls(str(child)))


def number(value: object, digits: int = 3, sign: bool = False) -> str:
    """Write a number with a true minus; a dash where there is none.

    >>> number(-0.25), number(None), number(0.5, 1, sign=True)
    ('−0.250', '–', '+0.5')
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    return format_number(value, digits, sign).replace("-", "−")


def compact(value: object) -> str:
    """Write a setting or a count: thousands apart, a float with four digits.

    >>> compact(12345), compact(0.123456), compact(None), compact(True)
    ('12,345', '0.1235', '–', 'yes')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else str(value)


def number_range(values: Iterable[object]) -> str:
    """Write several numbers as the range they span.

    >>> number_range([0.12, 0.34, None]), number_range([2, 2])
    ('0.12 to 0.34', '2')
    """
    numbers = [v for v in values if isinstance(v, int | float) and math.isfinite(v)]
    if not numbers:
        return "–"
    low, high = compact(min(numbers)), compact(max(numbers))
    return low if low == high else f"{low} to {high}"


def grid(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Child]],
    *,
    left: Iterable[int] = (),
    titled: bool = True,
) -> Html:
    """Build a table in a box that scrolls; the first cell of a row is its header.

    Args:
        caption: what the table holds; also the name of its box.
        heads: headers of the columns, the first one above the row names.
        rows: cells of each row, as many as `heads`.
        left: numbers of the columns aligned left, as text is; the first one always is.
        titled: whether the caption is seen, not only heard.
    """
    aligned = {0, *left}
    side = ["l" if k in aligned else None for k in range(len(heads))]
    head = tag("tr", *(tag("th", name, scope="col", class_=side[k]) for k, name in enumerate(heads)))
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", c, class_=side[k]) for k, c in enumerate(row[1:], 1)))
        for row in rows
    ]
    caption_element = tag("caption", caption, class_=None if titled else "unseen")
    return scroll_box(caption, tag("table", caption_element, tag("thead", head), tag("tbody", *body)))


def scroll_box(label: str, table: Html) -> Html:
    """Let a wide table scroll inside its box, by keyboard too."""
    return tag("div", table, class_="box", tabindex=0, role="region", aria_label=label)


def count_phrase(count: int, noun: str) -> str:
    """Write a count and its noun.

    >>> count_phrase(1, "row"), count_phrase(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def list_names(rows: Sequence[str], max_names: int = 6) -> str:
    """List names, the first ones where they are many.

    >>> list_names(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown = ", ".join(rows[:max_names])
    return shown if len(rows) <= max_names else f"{shown} and {len(rows) - max_names} more"


def section(anchor: str, title: str, *children: Child) -> Html:
    """Build a section that the contents can point at."""
    return tag(
        "section", tag("h3", title, id=f"{anchor}-title"), *children, id=anchor, aria_labelledby=f"{anchor}-title"
    )


def paragraph(*children: Child) -> Html:
    """Build a paragraph of small print."""
    return tag("p", *children, class_="note")


def details(summary: str, *children: Child, open_: bool = False) -> Html:
    """Build what can be unfolded; printing unfolds it."""
    return tag("details", tag("summary", summary), *children, open=open_)
