"""Which column of the interactions plays which role, and what it must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from causalrec.data.tabular.times import TimeFormat

RowKind = Literal["numeric", "category"]
FillValue = float | str  # a number, a level of a category, or a word of FILL_WORDS
FILL_WORDS = ("mean", "median", "indicator", "drop")
DTYPES: Mapping[str, type[np.generic]] = {
    **dict.fromkeys(("user", "item", "time", "position", "treatment"), np.int64),
    **dict.fromkeys(("outcome", "propensity"), np.float32),
    "randomised": np.bool_,
    "number": np.float64,
    "category": np.int64,  # its place among the levels
    "potential": np.float32,
    "arm_propensity": np.float32,
    "missing": np.float64,  # 1 where the number of the same count was missing
    "dropped": np.bool_,
}


def dtype_of(role: str) -> type[np.generic]:
    """Return the dtype of a role: columns of rows are `number0`, `category1` and so on, in the order declared.

    >>> dtype_of("outcome").__name__, dtype_of("category12").__name__
    ('float32', 'int64')
    """
    return DTYPES[role.rstrip("0123456789")]


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Which column of the interactions plays which role; None where the file has none.

    Attributes:
        item: The column of item ids; None where all rows are of one item.
        user: Of user ids; without item ids, None makes each row a user.
        outcome: Of the raw outcome.
        time: Of the time.
        position: Of the position in the list, a whole number.
        treatment: Of the exposure: 0 = not exposed, 1.. = arms.
        propensity: Of the propensity, a probability in (0, 1].
        arm_propensities: Of the propensity of each exposure 0, 1, ..; empty where one column holds them.
        randomised: Of the flag that is 1 where the item was drawn at random, else 0.
        scale: Bounds of the raw outcome, both included.
        binary: The raw outcome is 0 or 1, and nothing between.
        time_format: How times are written.
        exposure_levels: What the exposure's column holds for 0, 1, .. (any case of letters); empty for these numbers.
        row_columns: Kind of each further column that is read as it is, by name.
        potential: Columns of the true mean outcome under exposure 0, 1, ..; empty without truth.
        fill: What stands for a missing cell, by column: a value, or one of `FILL_WORDS`.
    """

    item: str | None
    user: str | None = None
    outcome: str | None = None
    time: str | None = None
    position: str | None = None
    treatment: str | None = None
    propensity: str | None = None
    arm_propensities: tuple[str, ...] = ()
    randomised: str | None = None
    scale: tuple[float, float] = (float("-inf"), float("inf"))
    binary: bool = False
    time_format: TimeFormat = field(default_factory=TimeFormat)
    exposure_levels: tuple[str, ...] = ()
    row_columns: Mapping[str, RowKind] = field(default_factory=dict)
    potential: tuple[str, ...] = ()
    fill: Mapping[str, FillValue] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Column by role, of the roles that are read from a column."""
        roles = ("user", "item", "time", "position", "treatment", "outcome", "propensity", "randomised")
        named = {role: name for role in roles if (name := getattr(self, role)) is not None}
        by_arm = (("potential", self.potential), ("arm_propensity", self.arm_propensities))
        of_arms = {f"{role}{k}": name for role, names in by_arm for k, name in enumerate(names)}
        return {**named, **self._numbered_columns, **of_arms}

    @property
    def _numbered_columns(self) -> dict[str, str]:
        prefixes = {"numeric": "number", "category": "category"}
        return {f"{prefixes[kind]}{k}": name for k, (name, kind) in enumerate(self.row_columns.items())}

    @property
    def row_roles(self) -> dict[str, str]:
        """Name in the log by role, of the columns of rows; those of missing numbers are among them."""
        return {**self._numbered_columns, **self.indicators}

    @property
    def indicators(self) -> dict[str, str]:
        """Name in the log by role, of the columns that say where a number was missing."""
        numbers = {role: name for role, name in self._numbered_columns.items() if role.startswith("number")}
        return {
            role.replace("number", "missing"): indicator_name(name)
            for role, name in numbers.items()
            if self.fill.get(name) == "indicator"
        }

    @property
    def categories(self) -> dict[str, str]:
        """Column by role, of the columns of rows that are categories."""
        return {role: name for role, name in self._numbered_columns.items() if role.startswith("category")}

    @property
    def rows_are_people(self) -> bool:
        """Whether each row is a user of its own."""
        return self.user is None and self.item is None

    @property
    def made_up(self) -> tuple[str, ...]:
        """The roles of ids that no column holds."""
        return (*(["user"] if self.rows_are_people else []), *(["item"] if self.item is None else []))

    @property
    def filled(self) -> dict[str, FillValue]:
        """What stands for a missing cell, by role."""
        return {role: self.fill[name] for role, name in self.columns.items() if name in self.fill}

    @property
    def filled_later(self) -> dict[str, FillValue]:
        """Of those, the ones that the whole column decides."""
        return {role: fill for role, fill in self.filled.items() if fill in ("mean", "median", "indicator")}


def indicator_name(column: str) -> str:
    """Name the column that is 1 where a number of `column` was missing."""
    return f"{column}_missing"
