"""A first data set YAML and graph YAML for a table that was looked at: each guess on a line, with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from causalrec.data.tabular.companion import CompanionTable
from causalrec.data.tabular.rawfile import JSON, PARQUET, SEPARATORS
from causalrec.data.tabular.role_guesses import RoleGuesses
from causalrec.data.tabular.sniff import MOST_LEVELS, ColumnLook, TableLook

TARGETS = {
    "dataset": "causalrec.data.datasets.csv.CsvTables",
    "graph": "causalrec.graph.causal_graph.CausalGraph",
}
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "~"}
TIMES = (("s", 1e8), ("ms", 1e11), ("us", 1e14), ("ns", 1e17))  # least number that is a time of our days
MANY_IDS = 10_000  # from which the filter is pointed at
SIDES = ("user", "item", "row")


@dataclass
class FirstYaml:
    """Writes both files.

    Attributes:
        look: At the table.
        guesses: Of the roles.
        name: Of the data set.
        folder: Where the table lies, as YAML names it.
        companions: Tables of users and of items beside it, by user and item.
        sides: Kinds of the columns by whose they are: user, item or row.
        looks: At each column that is read, by name.
        omitted: Why a column is left out, by name.
        fill: What stands for missing cells, by column.
    """

    look: TableLook
    guesses: RoleGuesses
    name: str
    folder: str
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
        for column in self.guesses.free(self.look):
            side = self._side(column)
            self._take(column, "row" if side in self.companions else side)
        for role, column in ((role, self.look.column(name)) for role, name in self.guesses.columns.items()):
            self.looks[column.name] = column
            if column.missing or (role in self.companions and self.companions[role].lacking):
                self.fill[column.name] = "drop"

    def _take(self, column: ColumnLook, side: str) -> None:
        """Give a column to a user, an item or the row, with what stands for its missing cells."""
        if column.name in self.looks:
            self.omitted[column.name] = "another table has a column of this name"
            return
        kind = self._kind(column)
        if kind is None:
            return
        self.looks[column.name] = column
        self.sides[side][column.name] = kind
        if column.missing and not kind.startswith(("multi_hot", "text")):
            self.fill[column.name] = "mean" if kind == "numeric" else "unknown"

    @property
    def of_people(self) -> bool:
        """Whether each row is a person."""
        return self.guesses.of_people

    @property
    def is_positive_only(self) -> bool:
        """Whether a row says that something happened, and no more."""
        return (not self.guesses.arms and self.guesses.kind in (None, "count")) or self._only_ones

    @property
    def _only_ones(self) -> bool:
        name = self.guesses.columns.get("outcome")
        return name is not None and not self.guesses.arms and self.look.column(name).low == self.look.column(name).high

    @property
    def train_options(self) -> str:
        """What a first `train` needs besides the data set."""
        if self.guesses.arms:
            return "task=effect learner=linear_dml"
        if "user" not in self.guesses.columns:
            return "propensity=popularity trainer=smoke"
        implicit = "objective=rel_mf propensity=relative_popularity " if self.is_positive_only else ""
        return f"{implicit}trainer=smoke"

    def _kind(self, column: ColumnLook) -> str | None:
        """Return the kind of a column that models may read; None, and why, where it is left out."""
        reason = None
        if column.name in ("user", "item", "exposure", "outcome") or re.search(r"[,*?]|->", column.name):
            reason = "rename it: a graph cannot name it so"
        elif column.distinct < 2:
            reason = "one value alone"
        elif column.holds == "time":
            reason = "a time"
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

    def _side(self, column: ColumnLook) -> str:
        """Return whose a column is: whose rows it is the same in."""
        if self.of_people:
            return "user"
        for side in ("item", "user"):
            owner = self.guesses.columns.get(side)
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

    def dataset(self) -> str:
        """Return the data set's YAML."""
        look = self.look
        seen = f"all {look.rows:,} rows" if look.is_complete else f"the first {look.rows:,} rows"
        lines = [
            f"# A first look at {look.raw.path.name} ({seen}): each line is a guess, to be read before a result is.",
            f"_target_: {TARGETS['dataset']}",
            f"name: {self.name}",
            f"folder: {_yaml(self.folder)}",
            f"interactions: {_yaml(look.raw.path.name)}",
            *self._format_lines(),
            *self._role_lines(),
            *self._column_lines(),
        ]
        return "\n".join(lines) + "\n"

    def _format_lines(self) -> Iterator[str]:
        raw = self.look.raw
        if raw.suffix in JSON | PARQUET:
            return
        if raw.declared_separator != SEPARATORS.get(raw.suffix, ","):
            yield f"separator: {json.dumps(raw.declared_separator)}"
        if raw.encoding != "utf-8":
            yield f"encoding: {raw.encoding}  # the file is not UTF-8"
        if raw.quote is None:
            yield "quote: null  # quotes stand inside fields"
        escapes = [raw.escape, *(table.look.raw.escape for table in self.companions.values())]
        if escape := next(filter(None, escapes), None):
            yield f"escape: {json.dumps(escape)}  # stands before quotes inside a field"
        if raw.names is not None:
            yield f"names: [{', '.join(map(_yaml, raw.names))}]  # the file has no header: call the columns as you like"
        if raw.numbers.decimal != ".":
            yield f"decimal: {json.dumps(raw.numbers.decimal)}"
        if raw.numbers.thousands is not None:
            yield f"thousands: {json.dumps(raw.numbers.thousands)}"

    def _role_lines(self) -> Iterator[str]:
        guesses, columns = self.guesses, self.guesses.columns
        if self.of_people:
            user = columns.get("user")
            is_id = user is not None and self.look.column(user).distinct == self.look.rows
            yield self._role("user") if is_id else "user: null  # each row is a person"
            yield "item: null  # people, not (user, item) pairs"
        else:
            yield self._role("user") if "user" in columns else "user: null  # no column of users was found"
            yield self._role("item")
        yield from self._outcome_lines()
        if guesses.arms:
            yield self._role("exposure")
            if guesses.levels:
                yield f"exposure_levels: [{', '.join(map(_yaml, guesses.levels))}]  # the first = not exposed"
            yield f"arms: [{', '.join(map(_yaml, guesses.arms))}]  # names of the exposures that are one"
            yield "feedback: exposure_logged"
            yield "self_selected: false  # no hidden cause of exposure and outcome: the graph must name any"
            yield "randomised_log: false  # true, and no edge to exposure, where exposure was drawn at random"
        elif columns.get("user") and not self.of_people:
            yield "self_selected: true  # users choose what they expect to like; false where they did not choose"
        if guesses.potential:
            truth = ", ".join(f"{k}: {_yaml(name)}" for k, name in enumerate(guesses.potential))
            yield f"potential: {{{truth}}}  # the true mean outcomes, by their names"
        for role in ("time", "position", "propensity"):
            if role in columns:
                yield self._role(role)
        yield from self._time_lines()
        yield from self._repeat_lines()

    def _role(self, role: str) -> str:
        column = self.look.column(self.guesses.columns[role])
        values = f"{column.distinct:,} values, as {column.sample}"
        return f"{role}: {_yaml(column.name)}  # {self.guesses.notes[role]}: {values}"

    def _outcome_lines(self) -> Iterator[str]:
        guesses, name = self.guesses, self.guesses.columns.get("outcome")
        if self.is_positive_only:
            counts = f"or outcome: {_yaml(name or '')}, kind: count, feedback: explicit"
            why = "no column of outcomes was found" if name is None else counts
            yield f"outcome: null  # every row is a positive; {why}"
            yield "kind: click\nfeedback: positive_only\nthreshold: null"
            return
        yield self._role("outcome")
        yield f"kind: {guesses.kind}"
        if guesses.scale is not None:
            yield f"scale: [{guesses.scale[0]:g}, {guesses.scale[1]:g}]  # least and greatest that may occur"
        if guesses.threshold is None:
            yield "threshold: null  # the outcome as it is"
        else:
            yield f"threshold: {guesses.threshold:g}  # outcome = {name} >= {guesses.threshold:g}; null keeps it"

    def _time_lines(self) -> Iterator[str]:
        name = self.guesses.columns.get("time")
        if name is None:
            return
        column = self.look.column(name)
        if column.form is not None:
            yield f"time_format: {json.dumps(column.form)}"
        elif column.holds == "time":
            yield "time_unit: iso"
        else:
            fitting = [unit for unit, least in TIMES if column.high >= least]
            if fitting and fitting[-1] != "s":
                yield f"time_unit: {fitting[-1]}"

    def _repeat_lines(self) -> Iterator[str]:
        columns = self.guesses.columns
        pair = [columns[side] for side in ("user", "item") if side in columns]
        if len(pair) < 2:
            return
        repeats = self.look.rows - self.look.frame.select(pair).n_unique()
        if repeats:
            rule = "allowed" if self.guesses.arms else "keep_last"
            yield f"repeats: {rule}  # {repeats:,} rows repeat the user and item of another"
        ids = max(self.look.column(name).distinct for name in pair)
        if ids > MANY_IDS:
            yield "# k_core: 5  # leaves out users and items with fewer rows, before the split"

    def _column_lines(self) -> Iterator[str]:
        for side in ("user", "item"):
            table = self.companions.get(side)
            if table is not None:
                yield f"{side}s:\n  file: {_yaml(table.file)}\n  id: {_yaml(table.id)}"
                yield from (f"  {line}" for line in table.format_lines(self.look.raw))
                yield "  columns:" if self.sides[side] else "  columns: {}"
            elif self.sides[side]:
                yield f"{side}s:\n  columns:  # of the {side}, in the rows of the file"
            yield from self._kinds(self.sides[side], "    ")
        texts = {name: kind for name, kind in self.sides["item"].items() if kind.startswith("text")}
        if texts:
            phrases = ", ".join(f'{_yaml(name)}: "{{}}"' for name in texts)
            yield f"item_text: {{{phrases}}}  # what a text encoder reads (encoder=bert)"
        if self.sides["row"]:
            mark = "" if self.guesses.arms else "# "
            if mark:
                yield "# columns of the row alone: pairs never logged lack them, so many objectives refuse them"
            yield f"{mark}row_columns:"
            yield from self._kinds(self.sides["row"], f"{mark}  ")
        fill = {name: value for name, value in self.fill.items() if name not in self.sides["row"] or self.guesses.arms}
        if self.is_positive_only:
            fill.pop(self.guesses.columns.get("outcome", ""), None)
        if fill:
            yield "fill:  # missing cells: mean, median, indicator, drop (the row) or a value"
            for name, value in fill.items():
                yield f"  {_yaml(name)}: {value}  # {self._why_filled(name)}"
        for name, reason in self.omitted.items():
            yield f"# left out: {name} ({reason})"

    def _why_filled(self, name: str) -> str:
        side = next((side for side, column in self.guesses.columns.items() if column == name), "")
        lacking = self.companions[side].lacking if side in self.companions else 0
        return f"{lacking:,} are not in the table of {side}s" if lacking else f"{self.looks[name].missing:,} missing"

    def _kinds(self, kinds: Mapping[str, str], indent: str) -> Iterator[str]:
        for name, kind in kinds.items():
            column = self.looks[name]
            codes = "; category, if they are codes" if column.is_whole and 2 < column.distinct <= 20 else ""
            yield f"{indent}{_yaml(name)}: {_yaml(kind)}  # {column.distinct:,} values, as {column.sample}{codes}"

    def graph(self) -> str:
        """Return the graph's YAML."""
        head = f"# What causes what in {self.name}: a first graph; each missing edge is a claim, think it through."
        edges = self._edges_of_people() if self.guesses.arms else self._edges_of_pairs()
        return "\n".join([head, f"_target_: {TARGETS['graph']}", "edges:", *edges]) + "\n"

    def _edges_of_people(self) -> Iterator[str]:
        names = [name for side in SIDES for name in self.sides[side]]
        ids = [] if self.of_people else ["item"]
        if names or ids:
            yield "  # what was there before exposure, and may have driven it; drop what exposure itself could change"
            for start in range(0, len(names), 6):
                yield f"  - {_yaml(', '.join(names[start : start + 6]) + ' -> exposure, outcome')}"
            if ids:
                yield "  - item -> exposure, outcome"
        yield "  - exposure -> outcome"
        yield "latent: []  # hidden causes of both: name any, and the effect is not identified unless `assume: true`"

    def _edges_of_pairs(self) -> Iterator[str]:
        ids = ", ".join(side for side in ("user", "item") if side in self.guesses.columns)
        yield f"  - {ids}, taste -> exposure, outcome  # who and what is logged, and how it is liked"
        names = [*self.sides["user"], *self.sides["item"]]
        for start in range(0, len(names), 6):
            yield f"  - {_yaml(', '.join(names[start : start + 6]) + ' -> outcome')}"
        yield "  - exposure -> outcome"
        yield "latent: [taste]  # users choose what they expect to like"
        yield "assume: true  # taste is taken as negligible beyond the columns; every table says so"


def _yaml(text: str) -> str:
    """Write a text so that YAML reads it as one."""
    is_plain = re.fullmatch(r"[A-Za-z_./]([\w./ ,()|-]*[\w.)])?", text) and text.lower() not in YAML_WORDS
    return text if is_plain and "," not in text else json.dumps(text)
