"""Which column of an unknown table is probably the user, the item, the outcome: by its name, then by what it holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

from causalrec.data.tabular.numbers import MISSING
from causalrec.data.tabular.sniff import ColumnLook, TableLook
from causalrec.errors import RequestError, did_you_mean
from causalrec.types import OutcomeKind

NAMES = {  # words that name a role, by role
    "user": "user uid userid reviewer reviewerid customer person subject member visitor client account student "
    "household session consumer rater voter player",
    "item": "item iid itemid movie film product asin book isbn song track artist article video business recipe anime "
    "news sku ad offer joke lecturer restaurant place hotel game",
    "outcome": "rating ratings stars overall score y outcome click clicked clicks label purchase purchased converted "
    "conversion target response reward plays count quantity re78 bought spend visit",
    "exposure": "exposure exposed treat treatment treated trt arm group assigned assignment",
    "time": "time timestamp date datetime ts unixreviewtime reviewtime created when year",
    "position": "position pos rank slot",
    "propensity": "propensity pscore propensityscore",
}
SCALES = ((1.0, 5.0), (0.5, 5.0), (0.0, 5.0), (1.0, 10.0), (0.0, 10.0), (1.0, 7.0), (1.0, 100.0), (0.0, 100.0))
TRUTHS = (r"y_?0|mu_?0", r"y_?1|mu_?1")
MOST_ARMS = 10


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
    """

    columns: dict[str, str] = field(default_factory=dict)
    kind: OutcomeKind | None = None
    scale: tuple[float, float] | None = None
    threshold: float | None = None
    levels: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    potential: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def of_people(self) -> bool:
        """Whether rows are of people rather than of (user, item) pairs."""
        return "item" not in self.columns

    def free(self, look: TableLook) -> list[ColumnLook]:
        """Return the columns that play no role."""
        taken = {*self.columns.values(), *self.potential}
        return [column for column in look.columns if column.name not in taken]


def guess_roles(look: TableLook, given: Mapping[str, str] = MappingProxyType({})) -> RoleGuesses:
    """Guess the roles of a table's columns; what no name tells, what they hold may.

    Args:
        look: At the table.
        given: Column by role, as far as it is known.

    Raises:
        RequestError: On a role or a column that there is not, and where nothing is a pair or an exposure.
    """
    guesses = _given_roles(look, given)
    for role in ("propensity", "exposure", "time", "position", "user", "item", "outcome"):
        _guess_by_name(role, look, guesses)
    _guess_truth(look, guesses)
    if "exposure" not in guesses.columns:
        _guess_ids(look, guesses)
    if "exposure" not in guesses.columns and guesses.of_people:
        _guess_exposure(look, guesses)
    if "outcome" not in guesses.columns and "exposure" in guesses.columns:
        numbers = [column.name for column in guesses.free(look) if column.holds == "number"]
        if numbers and "exposure" in guesses.columns:
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
    guesses = RoleGuesses()
    for role, column in given.items():
        if role not in NAMES:
            raise RequestError(f"{role}={column}: no role of a column; {did_you_mean(role, NAMES)}")
        if column not in look.frame.columns:
            raise RequestError(f"{role}={column}: no such column; {did_you_mean(column, look.frame.columns)}")
        guesses.columns[role], guesses.notes[role] = column, "as you say"
    return guesses


def _guess_exposure(look: TableLook, guesses: RoleGuesses) -> None:
    pairs = [
        column.name for column in guesses.free(look) if column.distinct == 2 and column.holds in ("number", "words")
    ]
    if pairs:
        guesses.columns["exposure"] = pairs[0]
        guesses.notes["exposure"] = "the first column of two values: name yours"


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])", name)]


def _guess_by_name(role: str, look: TableLook, guesses: RoleGuesses) -> None:
    names = NAMES[role].split()

    def score(column: ColumnLook) -> int:
        words = _words(column.name)
        if "".join(words) in names:
            return 1000 - names.index("".join(words))
        is_id = (
            role in ("user", "item")
            and len(words) == 2
            and words[0] in names
            and words[1] in ("id", "no", "key", "idx")
        )
        is_time = role == "time" and any(word in ("time", "timestamp", "date") for word in words)
        return 500 - names.index(words[0]) if is_id else 400 if is_time else 0

    fitting = [column for column in guesses.free(look) if score(column) and _may_be(role, column)]
    if fitting and role not in guesses.columns:
        guesses.columns[role] = max(fitting, key=score).name
        guesses.notes[role] = "by its name" if look.header else "by its place"


def _may_be(role: str, column: ColumnLook) -> bool:
    if role in ("outcome", "propensity", "position"):
        return column.holds == "number"
    if role == "exposure":
        return 2 <= column.distinct <= MOST_ARMS
    if role == "time":
        return column.holds in ("number", "time") and column.distinct > 1
    return column.distinct > 1 and (column.holds in ("number", "words", "text"))


def _guess_truth(look: TableLook, guesses: RoleGuesses) -> None:
    names = [next((c.name for c in look.columns if re.fullmatch(form, c.name.lower())), None) for form in TRUTHS]
    if "exposure" in guesses.columns and None not in names:
        guesses.potential = tuple(name for name in names if name is not None)


def _guess_ids(look: TableLook, guesses: RoleGuesses) -> None:
    """Take the columns of ids that repeat for user and item, where names told neither."""
    ids = [c for c in guesses.free(look) if _repeats(c, look.rows) and (c.is_whole or c.holds == "words")]
    for role in ("user", "item"):
        if role not in guesses.columns and ids:
            column = max(ids, key=lambda c: (c.holds == "words", c.distinct if c.holds == "words" else -ids.index(c)))
            ids.remove(column)
            guesses.columns[role] = column.name
            guesses.notes[role] = f"its {column.distinct:,} values repeat as ids do"
    if "outcome" not in guesses.columns:
        rated = [c for c in guesses.free(look) if c.holds == "number" and c.is_half and _is_rated(c)]
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
    first = min(levels, key=lambda level: (not _means_none(level), level))
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


def _means_none(level: str) -> bool:
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
