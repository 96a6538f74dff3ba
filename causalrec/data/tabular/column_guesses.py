"""What an unknown table's columns are: whose, of which kind, and what stands for their missing cells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from causalrec.data.tabular.companion import CompanionTable
from causalrec.data.tabular.role_guesses import KINDS, LEFT_OUT, RoleGuesses
from causalrec.data.tabular.role_names import names_rows
from causalrec.data.tabular.sniff import MOST_LEVELS, ColumnLook, TableLook
from causalrec.errors import RequestError, did_you_mean

OF_ROWS = "such a column is numeric or category"
SIDES = ("user", "item", "row")


@dataclass
class ColumnGuesses:
    """Sorts the columns of a table and of those beside it.

    Attributes:
        look: At the table.
        roles: The columns that play a role.
        companions: Tables of users and of items beside it, by user and item.
        sides: Kinds of the other columns by whose they are: user, item or row.
        looks: At each column that is read, by name.
        omitted: Why a column is left out, by name.
        fill: What stands for missing cells, by column.
    """

    look: TableLook
    roles: RoleGuesses
    companions: Mapping[str, CompanionTable] = field(default_factory=dict)
    sides: dict[str, dict[str, str]] = field(init=False)
    looks: dict[str, ColumnLook] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)
    fill: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sides = {side: {} for side in SIDES}
        for side, table in self.companions.items():
            for column in table.columns:
                self._take(column, side)
        for column in self.roles.free(self.look):
            if names_rows(column, self.look) and column.name not in self.roles.kinds:
                self.omitted[column.name] = "it names the rows"
                continue
            side = self._side(column)
            self._take(column, "row" if side in self.companions else side)
        for role, column in ((role, self.look.column(name)) for role, name in self.roles.columns.items()):
            self.looks[column.name] = column
            if column.missing or (role in self.companions and self.companions[role].lacking):
                self.fill[column.name] = "drop"
        names = {*self.look.frame.columns, *(c.name for table in self.companions.values() for c in table.columns)}
        for name, kind in self.roles.kinds.items():
            if name not in names:
                raise RequestError(f"{name}={kind}: no such column; {did_you_mean(name, names)}")

    def _take(self, column: ColumnLook, side: str) -> None:
        """Give a column to a user, an item or the row, with what stands for its missing cells."""
        if column.name in self.looks:
            self.omitted[column.name] = "another table has a column of this name"
            return
        kind = self._kind(column)
        if kind is None:
            return
        if side == "row" and kind not in ("numeric", "category"):
            if column.name in self.roles.kinds:
                raise RequestError(f"{column.name}={kind}: it changes within users and items; {OF_ROWS}")
            self.omitted[column.name] = f"of kind {kind}, and it changes within users and items; {OF_ROWS}"
            return
        self.looks[column.name] = column
        self.sides[side][column.name] = kind
        if column.missing and not kind.startswith(("multi_hot", "text")):
            self.fill[column.name] = "mean" if kind == "numeric" else "unknown"

    @property
    def of_people(self) -> bool:
        """Whether rows are of people rather than of (user, item) pairs."""
        return self.roles.of_people

    @property
    def of_several_rows(self) -> bool:
        """Whether people of the table have several rows, told by a column of users."""
        user = self.roles.columns.get("user")
        if not self.of_people or user is None or self.roles.potential:  # the truth is of people of one row
            return False
        return self.look.column(user).distinct < self.look.rows

    @property
    def is_positive_only(self) -> bool:
        """Whether a row says that something happened, and no more."""
        return (not self.roles.arms and self.roles.kind in (None, "count")) or self._only_ones

    @property
    def repeats(self) -> tuple[str, int] | None:
        """Return the rule for rows that repeat a user and item (of people, a user), and how many; None where none does.

        An item is shown, and clicked or not, again and again: such rows are no corrections of earlier ones.
        """
        pair = [self.roles.columns[side] for side in ("user", "item") if side in self.roles.columns]
        is_told = len(pair) == 2 or self.of_several_rows
        count = self.look.rows - self.look.frame.select(pair).n_unique() if is_told else 0
        shown = bool(self.roles.arms) or (self.roles.kind == "click" and not self.is_positive_only)
        return ("allowed" if shown else "keep_last", count) if count else None

    @property
    def repeated(self) -> str:
        """What rows repeat, in words."""
        return "user" if self.of_people else "user and item"

    @property
    def is_shown_in_places(self) -> bool:
        """Whether each row is an item shown to a user at a place of a list, clicked or not."""
        is_click = self.roles.kind == "click" and not self.roles.arms and not self.is_positive_only
        return is_click and "position" in self.roles.columns and "user" in self.roles.columns

    @property
    def _only_ones(self) -> bool:
        name = self.roles.columns.get("outcome")
        return name is not None and not self.roles.arms and self.look.column(name).low == self.look.column(name).high

    @property
    def train_options(self) -> str:
        """What a first `train` needs besides the data set."""
        if self.roles.arms:
            return "task=effect learner=linear_dml"
        if "user" not in self.roles.columns:
            return "propensity=popularity trainer=smoke"
        if self.is_shown_in_places:
            return "objective=position_ips propensity=position trainer=smoke"
        implicit = "objective=rel_mf propensity=relative_popularity " if self.is_positive_only else ""
        return f"{implicit}trainer=smoke"

    def _kind(self, column: ColumnLook) -> str | None:
        """Return the kind of a column that models may read; None, and why, where it is left out."""
        reason = None
        if column.name in ("user", "item", "exposure", "outcome") or re.search(r"[,*?]|->", column.name):
            reason = "rename it: a graph cannot name it so"
        elif column.name in self.roles.kinds:
            return self._given_kind(column)
        elif column.distinct < 2:
            reason = "one value alone"
        elif column.holds == "time":
            reason = "a time that no role reads"
        elif column.holds == "words" and column.distinct > MOST_LEVELS:
            reason = f"{column.distinct:,} different words: an id or a name"
        elif self.of_people and column.holds in ("text", "html"):
            reason = "a text: dataset.user_text can tell it"
        if reason is not None:
            self.omitted[column.name] = reason
            return None
        lists = f"multi_hot({column.separator})" if column.separator else "multi_hot"
        kinds = {"number": "numeric", "words": "category", "list": lists, "html": "text(html)", "text": "text"}
        return kinds[column.holds]

    def _given_kind(self, column: ColumnLook) -> str | None:
        """Return the kind that a user gave a column, None where it is left out."""
        kind = self.roles.kinds[column.name]
        if kind == LEFT_OUT:
            self.omitted[column.name] = "as you say"
            return None
        if column.holds not in KINDS[kind.partition("(")[0]]:
            raise RequestError(f"{column.name}={kind}: the column holds {column.holds}, as {column.sample}")
        return f"multi_hot({column.separator})" if kind == "multi_hot" and column.separator else kind

    def _side(self, column: ColumnLook) -> str:
        """Return whose a column is: whose rows it is the same in."""
        if self.of_people and not self.of_several_rows:
            return "user"
        for side in ("item", "user"):
            owner = self.roles.columns.get(side)
            if owner is None or column.missing == self.look.rows:
                continue
            values = (
                self.look.frame.select(owner, pl.col(column.name).cast(pl.String, strict=False))
                if (not self.look.frame.schema[column.name].is_nested())
                else self.look.frame.select(owner, column.name)
            )
            if values.n_unique() == values[owner].n_unique() < self.look.rows:
                return side
        return "row"
