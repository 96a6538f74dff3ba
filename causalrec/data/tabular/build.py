"""From raw tables to a folder of arrays: interactions, users, items and edges checked as one, then written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from causalrec.data.table_problems import Problem
from causalrec.data.tabular.entities import read_entities
from causalrec.data.tabular.id_checks import warn_of_json_types, warn_of_odd_ids
from causalrec.data.tabular.ingest import Dictionary, Roles, StreamedFile, chunks, last_of_repeats, renumber, stream
from causalrec.data.tabular.line_checks import line_problems
from causalrec.data.tabular.npy import ArrayWriter
from causalrec.data.tabular.randomisation_balance import randomisation_balance
from causalrec.data.tabular.rawfile import RawFile, header_problems, prepare_file, row_problems
from causalrec.data.tabular.social_edges import EdgeFile, read_edges, trusted_counts
from causalrec.types import Bools, Ints


@dataclass(frozen=True, kw_only=True)
class EntityFile:
    """A table of users or items: its file, id column, and kind of each column (`entities.kind_of`)."""

    raw: RawFile
    id: str
    columns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that decides what the arrays hold.

    Attributes:
        interactions: The file of interactions.
        roles: Which of its columns plays which role.
        randomised: A file of random rows, with the same columns; None without one.
        users: The table of users, None without one.
        items: The table of items, None without one.
        edges: The table of edges between users, None without one.
        repeats: Whether a (user, item) pair may occur twice, in the logged rows and in the random ones; `keep_last`
            takes the latest by time, where there are times, else the last of the file.
    """

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
    """From a request to a store of arrays.

    Attributes:
        request: What to build.
        scratch: An empty folder to work in.
        problems: Every problem met so far.
        sha256: Of each raw file read so far, by name.
    """

    request: Request
    scratch: Path
    problems: list[Problem] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)

    def __call__(self) -> dict[str, Any] | None:
        """Write `scratch/store` and return its meta data, None where an error stands among the problems."""
        request = self.request
        tables = {
            entity: self._read_entities(table, entity)
            for entity, table in (("user", request.users), ("item", request.items))
        }
        ids = {role: Dictionary() for role in ("user", "item", *request.roles.categories)}
        raws = [request.interactions] if request.randomised is None else [request.interactions, request.randomised]
        streams = [self._stream(raw, ids, k) for k, raw in enumerate(raws)]
        unread = [
            entity
            for entity, table in (("user", request.users), ("item", request.items))
            if table and tables[entity] is None
        ]
        done = [streamed for streamed in streams if streamed is not None]
        names = {
            entity: self._number_ids(done, ids[entity], tables[entity], entity)
            for entity in tables
            if entity in request.roles.columns
        }
        levels = {role: self._number_levels(done, ids[role], role) for role in request.roles.categories}
        masks = (
            [self._unrepeated_rows(streamed, len(names["item"])) for streamed in done]
            if not self._has_errors(done)
            else []
        )
        for streamed in done:
            self.problems += streamed.bad_rows.problems()
        edges = self._read_edges(names.get("user"))
        if self._has_errors(done) or unread or len(masks) < len(raws):
            return None
        meta = self._write(done, masks)
        self._write_tables(tables, names)
        for name, held in levels.items():
            held.alias("level").to_frame().write_parquet(self.store / f"{name}.parquet")
        self._warn_of_imbalance(meta)
        if edges is not None:
            self._write_pair_column(edges, meta)
        return meta

    @property
    def store(self) -> Path:
        """The folder that becomes the store."""
        return self.scratch / "store"

    def _has_errors(self, streams: list[StreamedFile]) -> bool:
        noted = any(kind.severity == "error" for streamed in streams for kind in streamed.bad_rows.kinds.values())
        return noted or any(problem.severity == "error" for problem in self.problems)

    def _prepare(self, raw: RawFile) -> RawFile | None:
        """Return the file ready to scan, None where it is not there at all."""
        ready, self.sha256[raw.path.name], wrong = prepare_file(raw, self.scratch)
        self.problems += wrong
        unreadable = bool(wrong) and ready.readable is None
        return None if unreadable else ready

    def _read_entities(self, table: EntityFile | None, entity: str) -> pl.DataFrame | None:
        ready = self._prepare(table.raw) if table is not None else None
        if table is None or ready is None:
            return None
        frame, wrong = read_entities(ready, table.id, table.columns, entity)
        self.problems += wrong
        return frame

    def _stream(self, raw: RawFile, ids: Mapping[str, Dictionary], number: int) -> StreamedFile | None:
        ready, roles = self._prepare(raw), self.request.roles
        if ready is None:
            return None
        columns = list(dict.fromkeys(roles.columns.values()))
        if wrong := header_problems(ready, columns) or line_problems(ready):
            self.problems += wrong
            return None
        try:
            streamed = stream(ready, roles, ids, self.scratch / f"part{number}")
        except pl.exceptions.PolarsError as error:
            self.problems += row_problems(ready, error)
            return None
        if not streamed.rows:
            self.problems.append(Problem("error", str(raw.path), None, None, "has no rows"))
        return streamed

    def _number_ids(
        self, done: list[StreamedFile], ids: Dictionary, table: pl.DataFrame | None, entity: str
    ) -> pl.Series:
        seen_ids = ids.seen_ids
        column = self.request.roles.columns[entity]
        for streamed in done:
            warn_of_odd_ids(streamed, entity, seen_ids, column)
            warn_of_json_types(streamed, streamed.bad_rows.raw, column)
        table_ids, ranks = ids.ranks(None if table is None else table[entity].fill_null(""))
        for streamed in done:
            renumber(streamed, entity, ranks, column)
        return table_ids

    def _number_levels(self, done: list[StreamedFile], ids: Dictionary, role: str) -> pl.Series:
        """Number the levels of a category in their order, in place, and return them."""
        levels, ranks = ids.ranks(None)
        for streamed in done:
            renumber(streamed, role, ranks, self.request.roles.columns[role])
        return levels

    def _unrepeated_rows(self, streamed: StreamedFile, num_items: int) -> Bools | None:
        """Return the mask of rows to keep under the rule for repeats (each file by itself), None for all."""
        if "user" not in streamed.column_names or self.request.repeats == "allowed" or not streamed.rows:
            return None
        codes: Ints = streamed.array("user") * num_items + streamed.array("item")
        if "randomised" in streamed.column_names:
            codes = codes * 2 + streamed.array("randomised")
        time = streamed.array("time") if "time" in streamed.column_names else None
        last = last_of_repeats(codes, time)
        if last is not None and self.request.repeats == "error":
            what = "a later row has the same user and item; remove one, or set repeats=keep_last or allowed"
            streamed.bad_rows.add(what, None, ~last)
        return last

    def _write(self, done: list[StreamedFile], masks: list[Bools | None]) -> dict[str, Any]:
        """Write the arrays of the logged and of the randomised part; the order of rows stays."""
        rows = {"logged": _write(done[0], masks[0], self.store / "logged", flag=False)}
        if len(done) > 1:
            rows["randomised"] = _write(done[1], masks[1], self.store / "randomised", flag=None)
        elif "randomised" in done[0].column_names:
            rows["randomised"] = _write(done[0], masks[0], self.store / "randomised", flag=True)
        for name, count in rows.items():
            if not count:
                path = str(self.request.interactions.path)
                self.problems.append(Problem("error", path, None, self.request.roles.randomised, f"no {name} rows"))
        return {"rows": rows, "sha256": self.sha256}

    def _write_tables(self, tables: Mapping[str, pl.DataFrame | None], names: Mapping[str, pl.Series]) -> None:
        for entity, table_ids in names.items():
            table = tables[entity]
            frame = table_ids.alias(entity).to_frame() if table is None else table
            frame.write_parquet(self.store / f"{entity}s.parquet")

    def _warn_of_imbalance(self, meta: dict[str, Any]) -> None:
        """Warn where the part called randomised follows item popularity or user activity."""
        if "randomised" not in meta["rows"] or not all(meta["rows"].values()):
            return
        raw, column = self.request.randomised or self.request.interactions, self.request.roles.randomised
        for entity, what in (("item", "popularity of items"), ("user", "activity of users")):
            if entity not in self.request.roles.columns:
                continue
            randomised_ids, logged_ids = (self._stored_array(folder, entity) for folder in ("randomised", "logged"))
            comparison = randomisation_balance(
                randomised_ids, logged_ids, int(max(randomised_ids.max(), logged_ids.max())) + 1
            )
            if not comparison.random:
                message = (
                    f"the randomised rows follow the {what} in the log (standardised difference "
                    f"{comparison.difference:.2f}, chi-square p {comparison.p_value:.1g}): is this part random?"
                )
                self.problems.append(Problem("warning", str(raw.path), None, column, message))

    def _stored_array(self, folder: str, name: str) -> npt.NDArray[Any]:
        return np.load(self.store / folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def _read_edges(self, users: pl.Series | None) -> pl.DataFrame | None:
        table = self.request.edges
        ready = None if table is None else self._prepare(table.raw)
        if table is None or ready is None:
            return None
        frame, wrong = read_edges(table, ready, pl.Series([], dtype=pl.String) if users is None else users)
        self.problems += wrong
        return frame

    def _write_pair_column(self, edges: pl.DataFrame, meta: dict[str, Any]) -> None:
        source, target, weight = (edges[name].to_numpy() for name in ("source", "target", "weight"))
        user, item = self._stored_array("logged", "user"), self._stored_array("logged", "item")
        sizes = [
            pl.scan_parquet(self.store / f"{entity}s.parquet", glob=False).select(pl.len()).collect().item()
            for entity in ("user", "item")
        ]
        pairs = trusted_counts(source, target, weight.astype(np.float32), user, item, *sizes)
        np.save(self.store / "pair_codes.npy", pairs.codes)
        np.save(self.store / "pair_values.npy", pairs.values)


def _write(streamed: StreamedFile, unrepeated: Bools | None, target: Path, flag: bool | None) -> int:
    """Write the rows of the mask, only those of the flag where the file has flags; return how many.

    Arrays of which all rows stay are only moved.
    """
    target.mkdir(parents=True)
    mask = unrepeated
    if "randomised" in streamed.column_names and flag is not None:
        flagged = np.asarray(streamed.array("randomised")) == flag
        mask = flagged if unrepeated is None else flagged & unrepeated
    for name in streamed.column_names:
        if name == "randomised":
            continue
        if mask is None:
            (streamed.folder / f"{name}.npy").rename(target / f"{name}.npy")
            continue
        with ArrayWriter(target / f"{name}.npy", streamed.array(name).dtype) as out:
            for where in chunks(streamed.rows):
                out.append(streamed.array(name)[where][mask[where]])
    return streamed.rows if mask is None else int(mask.sum())
