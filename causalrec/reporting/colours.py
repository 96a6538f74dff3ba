"""One colour a row: the same in every figure and chart of a study or a page."""

from __future__ import annotations

import re
from collections.abc import Iterable

BLUE, RED, GREY = "#4477aa", "#cc6677", "#777777"  # what is no row: the run itself, a limit, a baseline
BASE = (
    BLUE,
    RED,
    "#2a8a3e",
    "#b8860b",
    "#2f9fbe",
    "#9b3c8f",
    "#d9702b",
    "#5b57b0",
    "#7d7f2a",
    "#17927a",
    "#9a5a36",
    "#c95f9b",
)  # told apart on white and on black
SHADES = (1.0, 0.7, 1.4, 0.5)  # of the base colours: rows past the twelfth


def row_colours(rows: Iterable[str]) -> dict[str, str]:
    """Return the colour of each row, whatever the order they come in: of sorted names, the k-th takes the k-th colour.

    Pass all rows of a study, also where a figure shows some of them.

    >>> row_colours(["mf-naive", "mf-ips"]) == row_colours(["mf-ips", "mf-naive"])
    True
    """
    names = sorted(set(rows), key=lambda name: [(float(w), "") if w.isdecimal() else (-1.0, w) for w in _words(name)])
    return {name: _shade(BASE[k % len(BASE)], SHADES[k // len(BASE) % len(SHADES)]) for k, name in enumerate(names)}


def _words(name: str) -> list[str]:
    return re.split(r"(\d+)", name)


def _shade(colour: str, share: float) -> str:
    """Darken a colour to a share of its light, or lighten it by what the share is above 1."""
    light = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    mixed = [value * share if share <= 1 else value + (255 - value) * (share - 1) for value in light]
    return "#" + "".join(f"{round(value):02x}" for value in mixed)
