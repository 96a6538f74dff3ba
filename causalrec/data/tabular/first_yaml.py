"""A first data set YAML and graph YAML for a table that was looked at: each guess on a line, with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from causalrec.data.tabular.column_guesses import SIDES, ColumnGuesses
from causalrec.data.tabular.rawfile import JSON, PARQUET, SEPARATORS
from causalrec.plain_text import escape_controls, one_line

TARGETS = {
    "dataset": "causalrec.data.datasets.csv.CsvTables",
    "graph": "causalrec.graph.causal_graph.CausalGraph",
}
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "~"}
TIMES = (("s", 1e8), ("ms", 1e11), ("us", 1e14), ("ns", 1e17))  # least number that is a time of our days
MANY_IDS = 10_000  # from which the filter is pointed at


@dataclass(frozen=True)
class FirstYaml:
    """Writes both files.

    Attributes:
        guesses: What the columns of the table are.
        name: Of the data set.
        folder: Where the table lies, as YAML names it.
    """

    guesses: ColumnGuesses
    name: str
    folder: str

    def dataset(self) -> str:
        """Return the data set's YAML."""
        look = self.guesses.look
        seen = f"all {look.rows:,} rows" if look.is_complete else f"the first {look.rows:,} rows"
        lines = [
            f"# A first look at {one_line(look.raw.path.name)} ({seen}): each line is a guess: read it first.",
            f"_target_: {TARGETS['dataset']}",
            f"name: {self.name}",
            f"folder: {_yaml(self.folder)}",
            f"interactions: {_yaml(look.raw.path.name)}",
            *self._format_lines(),
            *self._role_lines(),
            *self._column_lines(),
        ]
        return escape_controls("\n".join(lines)) + "\n"

    def _format_lines(self) -> Iterator[str]:
        raw = self.guesses.look.raw
        if raw.suffix in JSON | PARQUET:
            return
        if raw.declared_separator != SEPARATORS.get(raw.suffix, ","):
            yield f"separator: {json.dumps(raw.declared_separator)}"
        if raw.encoding != "utf-8":
            yield f"encoding: {raw.encoding}  # the file is not UTF-8"
        if raw.quote is None:
            yield "quote: null  # quotes stand inside fields"
        escapes = [raw.escape, *(table.look.raw.escape for table in self.guesses.companions.values())]
        if escape := next(filter(None, escapes), None):
            yield f"escape: {json.dumps(escape)}  # stands before quotes inside a field"
        if raw.names is not None:
            yield f"names: [{', '.join(map(_yaml, raw.names))}]  # the file has no header: call the columns as you like"
        if raw.numbers.decimal != ".":
            yield f"decimal: {json.dumps(raw.numbers.decimal)}"
        if raw.numbers.thousands is not None:
            yield f"thousands: {json.dumps(raw.numbers.thousands)}"

    def _role_lines(self) -> Iterator[str]:
        guesses, columns = self.guesses.roles, self.guesses.roles.columns
        if self.guesses.of_people:
            user = columns.get("user")
            is_id = user is not None and self.guesses.look.column(user).distinct == self.guesses.look.rows
            yield self._role("user") if is_id or self.guesses.of_several_rows else "user: null  # each row is a person"
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
        elif columns.get("user") and not self.guesses.of_people:
            if self.guesses.is_shown_in_places:
                yield "feedback: exposure_logged  # each row is an item shown, clicked or not (objective=position_ips)"
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
        column = self.guesses.look.column(self.guesses.roles.columns[role])
        values = f"{column.distinct:,} values, as {one_line(column.sample)}"
        return f"{role}: {_yaml(column.name)}  # {self.guesses.roles.notes[role]}: {values}"

    def _outcome_lines(self) -> Iterator[str]:
        guesses, name = self.guesses.roles, self.guesses.roles.columns.get("outcome")
        if self.guesses.is_positive_only:
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
        name = self.guesses.roles.columns.get("time")
        if name is None:
            return
        column = self.guesses.look.column(name)
        if column.form is not None:
            yield f"time_format: {json.dumps(column.form)}"
        elif column.holds == "time":
            yield "time_unit: iso"
        else:
            fitting = [unit for unit, least in TIMES if column.high >= least]
            if fitting and fitting[-1] != "s":
                yield f"time_unit: {fitting[-1]}"

    def _repeat_lines(self) -> Iterator[str]:
        columns = self.guesses.roles.columns
        pair = [columns[side] for side in ("user", "item") if side in columns]
        if self.guesses.repeats is not None:
            rule, count = self.guesses.repeats
            yield f"repeats: {rule}  # {count:,} rows repeat the {self.guesses.repeated} of another"
        if len(pair) < 2:
            return
        ids = max(self.guesses.look.column(name).distinct for name in pair)
        if ids > MANY_IDS:
            yield "# k_core: 5  # leaves out users and items with fewer rows, before the split"

    def _column_lines(self) -> Iterator[str]:
        for side in ("user", "item"):
            table = self.guesses.companions.get(side)
            if table is not None:
                yield f"{side}s:\n  file: {_yaml(table.file)}\n  id: {_yaml(table.id)}"
                yield from (f"  {line}" for line in table.format_lines(self.guesses.look.raw))
                yield "  columns:" if self.guesses.sides[side] else "  columns: {}"
            elif self.guesses.sides[side]:
                yield f"{side}s:\n  columns:  # of the {side}, in the rows of the file"
            yield from self._kinds(self.guesses.sides[side], "    ")
        texts = {name: kind for name, kind in self.guesses.sides["item"].items() if kind.startswith("text")}
        if texts:
            phrases = ", ".join(f'{_yaml(name)}: "{{}}"' for name in texts)
            yield f"item_text: {{{phrases}}}  # what a text encoder reads (encoder=bert)"
        if self.guesses.sides["row"]:
            mark = "" if self.guesses.roles.arms else "# "
            if mark:
                yield "# columns of the row alone: pairs never logged lack them, so many objectives refuse them"
            yield f"{mark}row_columns:"
            yield from self._kinds(self.guesses.sides["row"], f"{mark}  ")
        fill = {
            name: value
            for name, value in self.guesses.fill.items()
            if name not in self.guesses.sides["row"] or self.guesses.roles.arms
        }
        if self.guesses.is_positive_only:
            fill.pop(self.guesses.roles.columns.get("outcome", ""), None)
        if fill:
            yield "fill:  # missing cells: mean, median, indicator, drop (the row) or a value"
            for name, value in fill.items():
                yield f"  {_yaml(name)}: {value}  # {self._why_filled(name)}"
        for name, reason in self.guesses.omitted.items():
            yield f"# left out: {one_line(name)} ({reason})"

    def _why_filled(self, name: str) -> str:
        side = next((side for side, column in self.guesses.roles.columns.items() if column == name), "")
        lacking = self.guesses.companions[side].lacking if side in self.guesses.companions else 0
        return (
            f"{lacking:,} are not in the table of {side}s"
            if lacking
            else f"{self.guesses.looks[name].missing:,} missing"
        )

    def _kinds(self, kinds: Mapping[str, str], indent: str) -> Iterator[str]:
        for name, kind in kinds.items():
            column = self.guesses.looks[name]
            codes = "; category, if they are codes" if column.is_whole and 2 < column.distinct <= 20 else ""
            values = f"{column.distinct:,} values, as {one_line(column.sample)}"  # a comment ends with its line
            yield f"{indent}{_yaml(name)}: {_yaml(kind)}  # {values}{codes}"

    def graph(self) -> str:
        """Return the graph's YAML."""
        head = f"# What causes what in {self.name}: a first graph; each missing edge is a claim, think it through."
        edges = self._edges_of_people() if self.guesses.roles.arms else self._edges_of_pairs()
        return escape_controls("\n".join([head, f"_target_: {TARGETS['graph']}", "edges:", *edges])) + "\n"

    def _edges_of_people(self) -> Iterator[str]:
        names = [name for side in SIDES for name in self.guesses.sides[side]]
        ids = [] if self.guesses.of_people else ["item"]
        if names or ids:
            yield "  # what was there before exposure, and may have driven it; drop what exposure itself could change"
            for start in range(0, len(names), 6):
                yield f"  - {_yaml(', '.join(names[start : start + 6]) + ' -> exposure, outcome')}"
            if ids:
                yield "  - item -> exposure, outcome"
        yield "  - exposure -> outcome"
        yield "latent: []  # hidden causes of both: name any, and the effect is not identified unless `assume: true`"

    def _edges_of_pairs(self) -> Iterator[str]:
        ids = ", ".join(side for side in ("user", "item") if side in self.guesses.roles.columns)
        yield f"  - {ids}, taste -> exposure, outcome  # who and what is logged, and how it is liked"
        names = [*self.guesses.sides["user"], *self.guesses.sides["item"]]
        for start in range(0, len(names), 6):
            yield f"  - {_yaml(', '.join(names[start : start + 6]) + ' -> outcome')}"
        yield "  - exposure -> outcome"
        yield "latent: [taste]  # users choose what they expect to like"
        yield "assume: true  # taste is taken as negligible beyond the columns; every table says so"


def _yaml(text: str) -> str:
    """Write a text so that YAML reads it as one."""
    is_plain = re.fullmatch(r"[A-Za-z_./]([\w./ ,()|-]*[\w.)])?", text) and text.lower() not in YAML_WORDS
    return text if is_plain and "," not in text else json.dumps(text)
