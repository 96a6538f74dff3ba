"""From raw tables to a folder of arrays: interactions, users, items and edges checked as one, then written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from causalrec.data.problems import Problem
from causalrec.data.tabular.balance import balance
from causalrec.data.tabular.edges import EdgeFile, read_edges, trusted_counts
from causalrec.data.tabular.entities import read_entities
from causalrec.data.tabular.id_checks import json_types, odd_ids
from causalrec.data.tabular.ingest import Dictionary, Roles, Streamed, chunks, last_of_repeats, renumber, stream
from causalrec.data.tabular.npy import ArrayWriter
from causalrec.data.tabular.rawfile import RawFile, header_problems, prepared, row_problems
from causalrec.types import Bools, Ints


@dataclass(frozen=True, kw_only=True)
class EntityFile:
    """A table of users or items: its file, id column, and columns with their kinds (`entities.kind_of`)."""

    raw: RawFile
    id: str
    columns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that decides what the arrays hold."""

    interactions: RawFile
    roles: Roles
    randomised: RawFile | None = None
    users: EntityFile | None = None
    items: EntityFile | None = None
    edges: EdgeFile | None = None
    repeats: Literal["allowed", "error", "keep_last"] = "error"

    @property
    def files(self) -> list[RawFile]:
        """Every raw file."""
        tables = [table.raw for table in (self.users, self.items, self.edges) if table is not None]
        return [self.interactions, *([self.randomised] if self.randomised else []), *tables]


@dataclass
class Build:
    """One build: what is known so far, and every problem met."""

    request: Request
    scratch: Path
    problems: list[Problem] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)

    def __call__(self) -> dict[str, Any] | None:
        """Write `scratch/store` and return its meta data, None where an error stands among the problems."""
        request = self.request
        tables = {of: self._entities(table, of) for of, table in (("user", request.users), ("item", request.items))}
        ids = {part: Dictionary() for part in ("user", "item", *request.roles.categories)}
        raws = [request.interactions] if request.randomised is None else [request.interactions, request.randomised]
        parts = [self._stream(raw, ids, k) for k, raw in enumerate(raws)]
        unread = [
            of for of, table in (("user", request.users), ("item", request.items)) if table and tables[of] is None
        ]
        done = [part for part in parts if part is not None]
        names = {of: self._number(done, ids[of], tables[of], of) for of in tables if of in request.roles.columns}
        levels = {part: self._levels(done, ids[part], part) for part in request.roles.categories}
        kept = [self._unrepeated(part, len(names["item"])) for part in done] if not self._failed(done) else []
        for part in done:
            self.problems += part.findings.problems()
        edges = self._edges(names.get("user"))
        if self._failed(done) or unread or len(kept) < len(raws):
            return None
        meta = self._write(done, kept)
        self._tables(tables, names)
        for name, held in levels.items():
            held.alias("level").to_frame().write_parquet(self.store / f"{name}.parquet")
        self._balance(meta)
        if edges is not None:
            self._pairs(edges, meta)
        return meta

    @property
    def store(self) -> Path:
        """The folder that becomes the store."""
        return self.scratch / "store"

    def _failed(self, done: list[Streamed]) -> bool:
        noted = any(kind.severity == "error" for part in done for kind in part.findings.kinds.values())
        return noted or any(problem.severity == "error" for problem in self.problems)

    def _prepared(self, raw: RawFile) -> RawFile | None:
        """Return the file ready to scan, None where it is not there at all."""
        ready, self.sha256[raw.path.name], wrong = prepared(raw, self.scratch)
        self.problems += wrong
        unreadable = bool(wrong) and ready.readable is None
        return None if unreadable else ready

    def _entities(self, table: EntityFile | None, of: str) -> pl.DataFrame | None:
        ready = self._prepared(table.raw) if table is not None else None
        if table is None or ready is None:
            return None
        frame, wrong = read_entities(ready, table.id, table.columns, of)
        self.problems += wrong
        return frame

    def _stream(self, raw: RawFile, ids: Mapping[str, Dictionary], number: int) -> Streamed | None:
        ready, roles = self._prepared(raw), self.request.roles
        if ready is None:
            return None
        if wrong := header_problems(ready, list(dict.fromkeys(roles.columns.values()))):
            self.problems += wrong
            return None
        try:
            part = stream(ready, roles, ids, self.scratch / f"part{number}")
        except pl.exceptions.PolarsError as error:
            self.problems += row_problems(ready, error)
            return None
        if not part.rows:
            self.problems.append(Problem("error", str(raw.path), None, None, "has no rows"))
        return part

    def _number(self, done: list[Streamed], ids: Dictionary, table: pl.DataFrame | None, of: str) -> pl.Series:
        met = ids.met
        column = self.request.roles.columns[of]
        for part in done:
            odd_ids(part, of, met, column)
            json_types(part, part.findings.raw, column)
        known, ranks = ids.ranks(None if table is None else table[of].fill_null(""))
        for part in done:
            renumber(part, of, ranks, column)
        return known

    def _levels(self, done: list[Streamed], ids: Dictionary, part: str) -> pl.Series:
        """Number the levels of a category in their order, in place, and return them."""
        levels, ranks = ids.ranks(None)
        for streamed in done:
            renumber(streamed, part, ranks, self.request.roles.columns[part])
        return levels

    def _unrepeated(self, part: Streamed, num_items: int) -> Bools | None:
        """Return the rows to keep under the rule for repeats (each part by itself), None for all."""
        if "user" not in part.column_names or self.request.repeats == "allowed" or not part.rows:
            return None
        codes: Ints = part.array("user") * num_items + part.array("item")
        if "randomised" in part.column_names:
            codes = codes * 2 + part.array("randomised")
        last = last_of_repeats(codes)
        if last is not None and self.request.repeats == "error":
            what = "a later row has the same user and item; remove one, or set repeats=keep_last or allowed"
            part.findings.add(what, None, ~last)
        return last

    def _write(self, done: list[Streamed], kept: list[Bools | None]) -> dict[str, Any]:
        """Write the arrays of the logged and of the randomised part; the order of rows stays."""
        rows = {"logged": _write(done[0], kept[0], self.store / "logged", flag=False)}
        if len(done) > 1:
            rows["randomised"] = _write(done[1], kept[1], self.store / "randomised", flag=None)
        elif "randomised" in done[0].column_names:
            rows["randomised"] = _write(done[0], kept[0], self.store / "randomised", flag=True)
        for name, count in rows.items():
            if not count:
                path = str(self.request.interactions.path)
                self.problems.append(Problem("error", path, None, self.request.roles.randomised, f"no {name} rows"))
        return {"rows": rows, "sha256": self.sha256}

    def _tables(self, tables: Mapping[str, pl.DataFrame | None], names: Mapping[str, pl.Series]) -> None:
        for of, known in names.items():
            table = tables[of]
            frame = known.alias(of).to_frame() if table is None else table
            frame.write_parquet(self.store / f"{of}s.parquet")

    def _balance(self, meta: dict[str, Any]) -> None:
        """Warn where the part called randomised follows item popularity or user activity."""
        if "randomised" not in meta["rows"] or not all(meta["rows"].values()):
            return
        raw, column = self.request.randomised or self.request.interactions, self.request.roles.randomised
        for of, what in (("item", "popularity of items"), ("user", "activity of users")):
            if of not in self.request.roles.columns:
                continue
            drawn, elsewhere = (self._array(part, of) for part in ("randomised", "logged"))
            found = balance(drawn, elsewhere, int(max(drawn.max(), elsewhere.max())) + 1)
            if not found.random:
                message = (
                    f"the randomised rows follow the {what} in the log (standardised difference "
                    f"{found.difference:.2f}, chi-square p {found.p_value:.1g}): is this part random?"
                )
                self.problems.append(Problem("warning", str(raw.path), None, column, message))

    def _array(self, part: str, name: str) -> npt.NDArray[Any]:
        return np.load(self.store / part / f"{name}.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def _edges(self, users: pl.Series | None) -> pl.DataFrame | None:
        table = self.request.edges
        ready = None if table is None else self._prepared(table.raw)
        if table is None or ready is None:
            return None
        frame, wrong = read_edges(table, ready, pl.Series([], dtype=pl.String) if users is None else users)
        self.problems += wrong
        return frame

    def _pairs(self, edges: pl.DataFrame, meta: dict[str, Any]) -> None:
        source, target, weight = (edges[name].to_numpy() for name in ("source", "target", "weight"))
        user, item = self._array("logged", "user"), self._array("logged", "item")
        sizes = [
            pl.scan_parquet(self.store / f"{of}s.parquet").select(pl.len()).collect().item() for of in ("user", "item")
        ]
        pairs = trusted_counts(source, target, weight.astype(np.float32), user, item, *sizes)
        np.save(self.store / "pair_codes.npy", pairs.codes)
        np.save(self.store / "pair_values.npy", pairs.values)


def _write(part: Streamed, kept: Bools | None, target: Path, flag: bool | None) -> int:
    """Write the kept rows of one part, those of one flag where the file has flags; whole files are only moved."""
    target.mkdir(parents=True)
    chosen = kept
    if "randomised" in part.column_names and flag is not None:
        flagged = np.asarray(part.array("randomised")) == flag
        chosen = flagged if kept is None else flagged & kept
    for name in part.column_names:
        if name == "randomised":
            continue
        if chosen is None:
            (part.folder / f"{name}.npy").rename(target / f"{name}.npy")
            continue
        with ArrayWriter(target / f"{name}.npy", part.array(name).dtype) as out:
            for where in chunks(part.rows):
                out.append(part.array(name)[where][chosen[where]])
    return part.rows if chosen is None else int(chosen.sum())
