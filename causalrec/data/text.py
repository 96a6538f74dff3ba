"""Turn the columns of an item or a user into a text, by phrases declared in YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl

from causalrec.errors import RequestError, did_you_mean

PHRASE = re.compile(r"[^{}]*\{(:[-+ .,\d]*[dfgs%]?)?\}[^{}]*")


def check_phrases(phrases: Mapping[str, str], columns: Sequence[str], entity: Literal["item", "user"] = "item") -> None:
    """Raise RequestError on a phrase for an unknown column, or one that is not text around a single `{}`."""
    for name, phrase in phrases.items():
        if name not in columns:
            raise RequestError(f"dataset.{entity}_text.{name}: no such {entity} column; {did_you_mean(name, columns)}")
        if not PHRASE.fullmatch(phrase):
            raise RequestError(f"dataset.{entity}_text.{name}={phrase!r}: write text around one '{{}}'")


def texts_of(table: pl.DataFrame, phrases: Mapping[str, str], view: Sequence[str]) -> tuple[str, ...]:
    """Write one text per row of a side table from the columns that the view names: the graph chooses what is read.

    >>> table = pl.DataFrame({"title": ["Toy Story", ""], "year": [1995.0, 1990.0]})
    >>> texts_of(table, {"title": "{}", "year": "({:.0f})"}, ["title", "year"])
    ('Toy Story (1995)', '(1990)')
    >>> texts_of(table, {"title": "{}", "year": "({:.0f})"}, ["title"])
    ('Toy Story', '')
    """
    used = [name for name in phrases if name in view]
    rows = table.select(used).iter_rows() if used else iter([()] * len(table))
    return tuple(" ".join(filter(None, map(_phrase, (phrases[name] for name in used), row))) for row in rows)


def _phrase(phrase: str, value: object) -> str:
    worded = ", ".join(map(str, value)) if isinstance(value, list) else value
    return "" if worded is None or worded == "" else phrase.format(worded)
