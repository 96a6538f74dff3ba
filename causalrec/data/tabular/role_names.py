"""Which roles a column may play: by the words of its name, and by what it holds."""

from __future__ import annotations

import re

import polars as pl

from causalrec.data.tabular.sniff import ColumnLook, TableLook

NAMES = {  # words that name a role, by role
    "user": "user uid userid reviewer reviewerid customer person subject member visitor client account student "
    "household session consumer rater voter player",
    "item": "item iid itemid movie film product asin book isbn song track artist article video business recipe anime "
    "news sku ad offer joke lecturer restaurant place hotel game",
    "outcome": "rating ratings stars overall score y outcome click clicked clicks label purchase purchased converted "
    "conversion target response reward plays count quantity re78 bought spend visit",
    "exposure": "exposure exposed treat treatment treated trt arm group assigned assignment variant",
    "time": "time timestamp date datetime ts unixreviewtime reviewtime created when year",
    "position": "position pos rank slot",
    "propensity": "propensity pscore propensityscore",
}
KEYS = {"id", "key", "number", "no", "nr", "uuid", "guid", "index", "idx"}  # words of a name that numbers rows
MOST_ARMS = 10  # of a column that is guessed to be the exposure
MOST_GIVEN_ARMS = 100  # of one that is said to be it


def name_words(name: str) -> list[str]:
    """Return the words of a column's name, in small letters.

    >>> name_words("reviewerID"), name_words("customer_no")
    (['reviewer', 'id'], ['customer', 'no'])
    """
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])", name)]


def name_score(role: str, name: str) -> int:
    """Return how well a name fits a role, 0 where it does not."""
    names, words = NAMES[role].split(), name_words(name)
    if "".join(words) in names:
        return 1000 - names.index("".join(words))
    if role in ("user", "item") and len(words) == 2 and words[0] in names and words[1] in KEYS:
        return 500 - names.index(words[0])
    return 400 if role == "time" and any(word in ("time", "timestamp", "date") for word in words) else 0


def misfit(role: str, column: ColumnLook, most_arms: int = MOST_ARMS) -> str | None:
    """Say why a column cannot play a role, None where it can.

    Args:
        role: The role.
        column: What the column holds.
        most_arms: Values that an exposure may have.
    """
    held = {"number": "numbers", "time": "times", "list": "lists", "html": "HTML", "text": "texts"}.get(
        column.holds, "words"
    )
    if role == "exposure":
        fits = 2 <= column.distinct <= most_arms
        return None if fits else f"has {column.distinct:,} values; an exposure has 2 to {most_arms}"
    if role in ("outcome", "propensity", "position") and column.holds != "number":
        return f"holds {held}; the {role} is a number"
    if role == "propensity" and not 0 <= column.low <= column.high <= 1:
        return f"goes from {column.low:g} to {column.high:g}; a propensity is a probability"
    if role == "time":
        return _misfit_of_time(column, held)
    if role in ("user", "item") and column.distinct < 2:
        return f"has one value; name the column that tells {role}s apart"
    if role in ("user", "item") and (column.holds in ("time", "list", "html") or _is_fractional(column)):
        return f"holds {'numbers with fractions' if _is_fractional(column) else held}; an id is a whole number or words"
    return None


def _misfit_of_time(column: ColumnLook, held: str) -> str | None:
    if column.holds not in ("number", "time"):
        return f"holds {held}; a time is a number, or a date in one form throughout"
    if column.distinct < 2:
        return "has one value; a time tells rows apart"
    if column.holds == "number" and (column.low < 0 or (_is_fractional(column) and column.high < 1e8)):
        return f"goes from {column.low:g} to {column.high:g} with fractions or below 0; no time is counted so"
    return None


def _is_fractional(column: ColumnLook) -> bool:
    return column.holds == "number" and not column.is_whole


def names_rows(column: ColumnLook, look: TableLook) -> bool:
    """Whether a column names the rows: another value in each, and called so, or whole numbers that only grow."""
    if column.missing or column.distinct < look.rows or look.rows < 3:
        return False
    if column.holds not in ("words", "text") and not column.is_whole:
        return False
    if KEYS & set(name_words(column.name)):
        return True
    numbers = look.frame[column.name].cast(pl.Int64, strict=False)
    return column.is_whole and numbers.null_count() == 0 and bool((numbers.diff().drop_nulls() > 0).all())
