"""Which column of an unknown table is probably the user, the item, the outcome: by its name, then by what it holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

from causalrec.data.tabular.cells import KIND
from causalrec.data.tabular.numbers import MISSING
from causalrec.data.tabular.role_names import MOST_GIVEN_ARMS, NAMES, misfit, name_score, names_rows
from causalrec.data.tabular.sniff import ColumnLook, TableLook
from causalrec.errors import RequestError, did_you_mean
from causalrec.types import OutcomeKind

SCALES = ((1.0, 5.0), (0.5, 5.0), (0.0, 5.0), (1.0, 10.0), (0.0, 10.0), (1.0, 7.0), (1.0, 100.0), (0.0, 100.0))
TRUTHS = (r"y_?0|mu_?0", r"y_?1|mu_?1")
KINDS: dict[str, frozenset[str]] = {  # that a user may give a column: what it must hold
    "numeric": frozenset({"number"}),
    "category": frozenset({"number", "words", "text", "html", "time"}),
    "text": frozenset({"words", "text", "html", "time", "list"}),
    "multi_hot": frozenset({"list", "words", "text"}),
}
ONE_ROW_EACH = 0.95  # share of the rows that have a user of their own, from which rows are people
LEFT_OUT = "out"  # said of a column that nothing reads
NO_COLUMN = "null"  # said of a role that no column plays


@dataclass(kw_only=True)
class RoleGuesses:
    """Which columns play which role, and what they hold.

    Attributes:
        columns: Column by role.
        kind: What kind of number the outcome is; None without one.
        scale: Its bounds, None where the kind says them.
        threshold: The outcome is 1 from this value on; None to keep it.
        levels: What the exposure's column holds for 0, 1, ..; empty for these numbers.
        arms: Names of the exposures from 1 on; empty without exposure.
        potential: Columns of the true mean outcomes under exposure 0 and 1.
        notes: Why, by role.
        kinds: What is said of columns that play no role: their kind, or that nothing reads them.
        absent: Roles that no column plays, as is said.
    """

    columns: dict[str, str] = field(default_factory=dict)
    kind: OutcomeKind | None = None
    scale: tuple[float, float] | None = None
    threshold: float | None = None
    levels: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    potential: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)

    @property
    def of_people(self) -> bool:
        """Whether rows are of people rather than of (user, item) pairs."""
        return "item" not in self.columns

    def free(self, look: TableLook) -> list[ColumnLook]:
        """Return the columns that play no role."""
        taken = {*self.columns.values(), *self.potential}
        return [column for column in look.columns if column.name not in taken]

    def candidates(self, role: str, look: TableLook) -> list[ColumnLook]:
        """Return the columns that may yet play a role: none where it is played, or said to be nobody's."""
        if role in self.columns or role in self.absent:
            return []
        return [c for c in self.free(look) if c.name not in self.kinds and misfit(role, c) is None]


def guess_roles(look: TableLook, given: Mapping[str, str] = MappingProxyType({})) -> RoleGuesses:
    """Guess the roles of a table's columns; what no name tells, what they hold may.

    Args:
        look: At the table.
        given: Column by role (`null`: none), and kind by column (`out`: nothing reads it), as far as they are known.

    Raises:
        RequestError: On a role or a column that there is not or that does not fit, and where nothing is a pair or an
            exposure.
    """
    guesses = _given_roles(look, given)
    for role in ("propensity", "exposure", "time", "position", "user", "item", "outcome"):
        _guess_by_name(role, look, guesses)
    dates = [column.name for column in guesses.candidates("time", look) if column.holds == "time"]
    if len(dates) == 1:
        guesses.columns["time"], guesses.notes["time"] = dates[0], "the one column of dates"
    _guess_truth(look, guesses)
    if "exposure" not in guesses.columns and not _are_people(look, guesses):
        _guess_ids(look, guesses)
    if guesses.of_people:
        _guess_exposure(look, guesses)
        _guess_user(look, guesses)
    if "exposure" in guesses.columns:
        numbers = [c.name for c in guesses.candidates("outcome", look) if not names_rows(c, look)]
        if numbers:
            guesses.columns["outcome"] = numbers[-1]
            guesses.notes["outcome"] = "the last column of numbers: name yours"
    if "exposure" in guesses.columns and not _is_exposure(look, guesses):
        del guesses.columns["exposure"]
    if guesses.of_people and not {"exposure", "outcome"} <= guesses.columns.keys():
        columns = ", ".join(look.frame.columns[:12])
        raise RequestError(
            f"{look.raw.path}: neither a user and an item nor an exposure and an outcome were found among {columns}; "
            f"name them, as user=COLUMN item=COLUMN or exposure=COLUMN outcome=COLUMN"
        )
    if "outcome" in guesses.columns:
        _describe_outcome(look.column(guesses.columns["outcome"]), guesses)
    return guesses


def _given_roles(look: TableLook, given: Mapping[str, str]) -> RoleGuesses:
    guesses, columns = RoleGuesses(), look.frame.columns
    for key, value in given.items():
        is_kind = value == LEFT_OUT or re.fullmatch(KIND, value) is not None
        if is_kind and value not in columns and (key not in NAMES or key in columns):
            guesses.kinds[key] = value
        elif key not in NAMES:
            kinds = "" if key not in columns else f"; a column may be {', '.join(KINDS)} or {LEFT_OUT}"
            raise RequestError(f"{key}={value}: no role of a column; {did_you_mean(key, NAMES)}{kinds}")
        elif value == NO_COLUMN and value not in columns:
            guesses.absent.add(key)
        elif value not in columns:
            raise RequestError(f"{key}={value}: no such column; {did_you_mean(value, columns)}")
        elif (why := misfit(key, look.column(value), MOST_GIVEN_ARMS)) is not None:
            raise RequestError(f"{key}={value}: the column {why}")
        else:
            guesses.columns[key], guesses.notes[key] = value, "as you say"
    _check_said_once(guesses)
    return guesses


def _check_said_once(guesses: RoleGuesses) -> None:
    """Raise RequestError where two things are said of one column."""
    said = [(column, f"{role}={column}") for role, column in guesses.columns.items()]
    said += [(column, f"{column}={kind}") for column, kind in guesses.kinds.items()]
    for k, (column, text) in enumerate(said):
        if other := next((earlier for name, earlier in said[:k] if name == column), None):
            raise RequestError(f"{other} {text}: says two things of the column {column}; leave one")


def _are_people(look: TableLook, guesses: RoleGuesses) -> bool:
    """Whether each row is a person: of a user with hardly a second row, beside a column of two or three groups."""
    user = guesses.columns.get("user")
    if "item" in guesses.columns or user is None:
        return "item" in guesses.absent
    has_groups = any(column.distinct <= 3 for column in guesses.candidates("exposure", look))
    return "item" in guesses.absent or (look.column(user).distinct >= ONE_ROW_EACH * look.rows and has_groups)


def _guess_exposure(look: TableLook, guesses: RoleGuesses) -> None:
    columns = [c for c in guesses.candidates("exposure", look) if c.holds == "words" or c.holds == "number"]
    groups = [c for c in columns if c.distinct == 2] or [c for c in columns if c.distinct == 3 and c.holds == "words"]
    if groups:
        guesses.columns["exposure"] = groups[0].name
        guesses.notes["exposure"] = f"the first column of {groups[0].distinct} values: name yours"


def _guess_user(look: TableLook, guesses: RoleGuesses) -> None:
    keys = [column.name for column in guesses.candidates("user", look) if names_rows(column, look)]
    if keys:
        guesses.columns["user"], guesses.notes["user"] = keys[0], "it names the rows"


def _guess_by_name(role: str, look: TableLook, guesses: RoleGuesses) -> None:
    fitting = [column for column in guesses.candidates(role, look) if name_score(role, column.name)]
    if fitting:
        guesses.columns[role] = max(fitting, key=lambda column: name_score(role, column.name)).name
        guesses.notes[role] = "by its name" if look.header else "by its place"


def _guess_truth(look: TableLook, guesses: RoleGuesses) -> None:
    names = [next((c.name for c in look.columns if re.fullmatch(form, c.name.lower())), None) for form in TRUTHS]
    if "exposure" in guesses.columns and None not in names:
        guesses.potential = tuple(name for name in names if name is not None)


def _guess_ids(look: TableLook, guesses: RoleGuesses) -> None:
    """Take the columns of ids that repeat for user and item, where names told neither."""
    for role in ("user", "item"):
        fitting = guesses.candidates(role, look)
        ids = [c for c in fitting if _repeats(c, look.rows) and (c.is_whole or c.holds == "words")]
        if ids:
            column = max(ids, key=lambda c: (c.holds == "words", c.distinct if c.holds == "words" else -ids.index(c)))
            guesses.columns[role] = column.name
            guesses.notes[role] = f"its {column.distinct:,} values repeat as ids do"
    rated = [c for c in guesses.candidates("outcome", look) if c.is_half and _is_rated(c)]
    if rated:
        guesses.columns["outcome"] = rated[-1].name
        guesses.notes["outcome"] = f"its {rated[-1].distinct} values look like ratings"


def _is_rated(column: ColumnLook) -> bool:
    """Whether a column has the few values of a scale, its highest among them."""
    return (
        not column.missing and 2 <= column.distinct <= 21 and column.high in (1.0, 5.0, 7.0, 10.0) and column.low >= 0
    )


def _repeats(column: ColumnLook, rows: int) -> bool:
    return 20 < column.distinct < 0.7 * rows and not column.missing


def _is_exposure(look: TableLook, guesses: RoleGuesses) -> bool:
    """Describe the exposure's levels; whether there are at least two."""
    name = guesses.columns["exposure"]
    levels = look.frame[name].cast(pl.String).str.strip_chars().drop_nulls().unique().to_list()
    levels = sorted(level for level in levels if level.lower() not in MISSING)
    if len(levels) < 2:
        return False
    numbers = {_as_number(level): level for level in levels}
    if sorted(numbers, key=str) == sorted(map(float, range(len(levels))), key=str):
        guesses.arms = tuple(f"{name}_{k}" if len(levels) > 2 else name for k in range(1, len(levels)))
        return True
    first = min(levels, key=lambda level: (not means_none(level), level))
    guesses.levels = (first, *(level for level in levels if level != first))
    guesses.arms = tuple(
        _plain_name(f"{name}_{level}" if level[0].isdigit() else level) for level in guesses.levels[1:]
    )
    if {level.lower() for level in levels} == {"true", "false"}:
        guesses.levels, guesses.arms = (), (name,)
        guesses.levels = ("false", "true")
    guesses.notes["exposure"] += f", {first!r} taken for not exposed"
    return True


def _as_number(level: str) -> float | str:
    try:
        return float(level)
    except ValueError:
        return level


def means_none(level: str) -> bool:
    """Whether a level of an exposure is called as one that is none."""
    words = r"control|placebo|none|no|false|0|off|untreated|baseline|a"
    return re.fullmatch(rf"({words})\b.*", level.lower()) is not None


def _plain_name(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower()


def _describe_outcome(column: ColumnLook, guesses: RoleGuesses) -> None:
    low, high = column.low, column.high
    if ((low, high) == (0.0, 1.0) and column.is_whole) or (low == high == 1.0):
        guesses.kind = "click"
    elif guesses.arms or not column.is_half or not _covers(SCALES[:-2], low, high) or column.distinct > 21:
        counts = column.is_whole and low >= 0 and not guesses.arms
        guesses.kind = "count" if counts else "reward"
    else:
        scale = next(scale for scale in SCALES if _covers([scale], low, high))
        guesses.kind, guesses.scale = "rating", scale
        guesses.threshold = round((scale[0] + 3 * (scale[1] - scale[0]) / 4) * 2) / 2
        guesses.notes["outcome"] = f"{guesses.notes['outcome']}; values from {low:g} to {high:g}"


def _covers(scales: Iterable[tuple[float, float]], low: float, high: float) -> bool:
    return any(scale[0] <= low and high <= scale[1] for scale in scales)
