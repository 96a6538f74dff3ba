"""The guesses of a first YAML that decide what a result says, in words; those that the cells leave open are marked."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from causalrec.data.tabular.column_guesses import ColumnGuesses
from causalrec.data.tabular.numbers import NumberFormat
from causalrec.data.tabular.role_guesses import means_none
from causalrec.data.tabular.sniff import TableLook
from causalrec.data.tabular.times import TimeFormat

HEAD = 10_000  # cells that are tried in another form
OPEN = "? "  # before what the cells leave open


def stated_guesses(guesses: ColumnGuesses) -> Iterator[tuple[str, str]]:
    """Yield (what, in words) for each guess beside those of columns; `? ` before what the cells leave open."""
    yield from _numbers(guesses.look)
    yield from _time(guesses)
    yield from _outcome(guesses)
    yield from _exposure(guesses)
    if guesses.repeats is not None:
        rule, count = guesses.repeats
        fate = "and all are kept" if rule == "allowed" else "and leave: the last of each pair is kept"
        yield "repeats", f"{rule}: {count:,} rows have the {guesses.repeated} of another {fate}"
    if guesses.sides["row"] and not guesses.roles.arms:
        names = ", ".join(guesses.sides["row"])
        yield "not used", f"{names}: columns of the row alone, a comment in the YAML (pairs never logged lack them)"
    if guesses.omitted:
        yield "left out", "; ".join(f"{name} ({reason})" for name, reason in guesses.omitted.items())


def _numbers(look: TableLook) -> Iterator[tuple[str, str]]:
    numbers = look.raw.numbers
    if numbers == NumberFormat():
        return
    other = {",": NumberFormat(decimal=","), ".": NumberFormat()}.get(numbers.thousands or "")
    words = [name for name, dtype in look.frame.schema.items() if dtype == pl.String]
    head = look.frame.select(words).head(HEAD)

    def count(form: NumberFormat) -> int:
        parsed = head.select(form.parse(pl.col(name).str.strip_chars()).is_not_null().sum() for name in words)
        return sum(parsed.row(0))

    is_open = other is not None and count(other) == count(numbers)
    between = f", {numbers.thousands!r} stands between thousands" if numbers.thousands else ""
    alike = f"; {numbers.thousands!r} could stand before fractions as well" if is_open else ""
    yield f"{OPEN if is_open else ''}numbers", f"{numbers.decimal!r} stands before fractions{between}{alike}"


def _time(guesses: ColumnGuesses) -> Iterator[tuple[str, str]]:
    name = guesses.roles.columns.get("time")
    form = None if name is None else guesses.look.column(name).form
    if name is None or form is None:
        return
    swapped = form.translate(str.maketrans("dm", "md"))
    seconds = TimeFormat(form=swapped).seconds(pl.col(name), pl.String())
    cells = guesses.look.frame.select(name).drop_nulls().head(HEAD)
    is_open = swapped != form and "%d" in form and bool(cells.select(seconds.is_not_null().all()).item())
    alike = f"; every cell fits {swapped} as well" if is_open else ""
    yield f"{OPEN if is_open else ''}time", f"{name} is read as {form}{alike}"


def _outcome(guesses: ColumnGuesses) -> Iterator[tuple[str, str]]:
    roles = guesses.roles
    if guesses.is_positive_only:
        yield f"{OPEN}outcome", "every row is taken for a positive"
    elif roles.scale is not None and roles.threshold is not None:
        low, high = roles.scale
        threshold = f"1 from {roles.threshold:g} on, else 0 (dataset.threshold)"
        yield f"{OPEN}outcome", f"{roles.columns['outcome']}, on the scale {low:g} to {high:g}, is {threshold}"


def _exposure(guesses: ColumnGuesses) -> Iterator[tuple[str, str]]:
    levels = guesses.roles.levels
    if levels:
        is_open = not means_none(levels[0]) or len(levels[0]) == 1
        words = f"{levels[0]!r} is taken for not exposed, {', '.join(map(repr, levels[1:]))} for exposed"
        yield f"{OPEN if is_open else ''}exposure", f"{guesses.roles.columns['exposure']}: {words}"
