"""From raw tables to a folder of arrays: interactions, users, items and edges checked as one, then written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from causalrec.data.table_problems import Problem
from causalrec.data.tabular.arm_checks import note_unnamed_exposures, note_wrong_exposures
from causalrec.data.tabular.entities import EntityFile, read_entities
from causalrec.data.tabular.file_problems import header_problems, row_problems
from causalrec.data.tabular.id_checks import note_nested_ids, warn_of_json_types, warn_of_odd_ids
from causalrec.data.tabular.ids import Dictionary
from causalrec.data.tabular.ingest import StreamedFile, fill_later, renumber, stream
from causalrec.data.tabular.line_checks import line_problems
from causalrec.data.tabular.plain_copy import prepare_file
from causalrec.data.tabular.randomisation_balance import imbalance_problems
from causalrec.data.tabular.rawfile import RawFile
from causalrec.data.tabular.request import Request
from causalrec.data.tabular.roles import Roles
from causalrec.data.tabular.row_rules import RemainingRows, choose_rows
from causalrec.data.tabular.social_edges import read_edges, trusted_counts
from causalrec.data.tabular.write_rows import write_rows

ENTITIES = ("user", "item")
OPTIONAL_IN_RANDOM_ROWS = ("propensity", "position")  # what a randomised file may lack


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
        request, roles = self.request, self.request.roles
        declared = {"user": request.users, "item": request.items}
        tables = {name: self._read_table(table, name) for name, table in declared.items() if table and table.raw}
        ids = {role: Dictionary() for role in (*ENTITIES, *roles.categories)}
        logged = self._prepare_all(request.interactions)
        random = self._prepare_all([request.randomised] if request.randomised else [])
        streams = [self._stream(logged, roles, ids, "logged")]
        if request.randomised is not None:
            streams.append(self._stream(random, _roles_of_random(random, roles), ids, "randomised"))
        tables |= {
            name: self._read_entities(table, [*logged, *random], name)
            for name, table in declared.items()
            if table and table.raw is None and None not in streams
        }
        done = [streamed for streamed in streams if streamed is not None]
        names = {entity: self._number_ids(done, ids[entity], tables.get(entity), entity) for entity in ENTITIES}
        levels = {role: self._number_levels(done, ids[role], role) for role in roles.categories}
        if len(done) == len(streams) and request.arms is not None and roles.treatment is not None:
            note_wrong_exposures(done[0], request.arms, roles.treatment)
            for randomised in done[1:]:
                note_unnamed_exposures(randomised, request.arms, roles.treatment)
        remaining = None if self._has_errors(done) else choose_rows(done, request, names)
        for streamed in done:
            self.problems += streamed.bad_rows.problems()
        edges = self._read_edges(names["user"] if remaining is None else remaining.ids("user", names))
        unread = any(table is None for table in (*tables.values(), *streams))
        if remaining is None or unread or self._has_errors(done):
            return None
        fill_later(done, roles)
        return self._write(done, remaining, tables, names, levels, edges)

    @property
    def store(self) -> Path:
        """The folder that becomes the store."""
        return self.scratch / "store"

    def _has_errors(self, streams: list[StreamedFile]) -> bool:
        noted = any(streamed.bad_rows.has_errors for streamed in streams)
        return noted or any(problem.severity == "error" for problem in self.problems)

    def _prepare(self, raw: RawFile) -> RawFile | None:
        """Return the file ready to scan, None where it is not there at all."""
        ready, self.sha256[raw.path.name], wrong = prepare_file(raw, self.scratch)
        self.problems += wrong
        unreadable = bool(wrong) and ready.readable is None
        return None if unreadable else ready

    def _prepare_all(self, raws: Sequence[RawFile]) -> list[RawFile]:
        """Return all files ready to scan, none of them where one is not."""
        ready = [self._prepare(raw) for raw in raws]
        return [] if None in ready else [raw for raw in ready if raw is not None]

    def _read_table(self, table: EntityFile, entity: str) -> pl.DataFrame | None:
        ready = self._prepare(table.raw) if table.raw is not None else None
        return None if ready is None else self._read_entities(table, [ready], entity)

    def _read_entities(self, table: EntityFile, raws: Sequence[RawFile], entity: str) -> pl.DataFrame | None:
        frame, wrong = read_entities(table, raws, entity)
        self.problems += wrong
        return frame

    def _stream(
        self, raws: Sequence[RawFile], roles: Roles, ids: Mapping[str, Dictionary], name: str
    ) -> StreamedFile | None:
        columns = list(dict.fromkeys(roles.columns.values()))
        wrong = [problem for raw in raws for problem in header_problems(raw, columns) or line_problems(raw)]
        self.problems += wrong
        if wrong or not raws:
            return None
        try:
            streamed = stream(raws, roles, ids, self.scratch / name)
        except pl.exceptions.PolarsError as error:
            unread = [problem for raw in raws for problem in row_problems(raw, error)]
            explained = [problem for problem in unread if problem.line is not None]
            self.problems += explained or unread[:1]
            return None
        if not streamed.rows:
            self.problems.append(Problem("error", str(raws[0].path), None, None, "has no rows"))
        return streamed

    def _number_ids(
        self, done: list[StreamedFile], ids: Dictionary, table: pl.DataFrame | None, entity: str
    ) -> pl.Series:
        """Return the ids in their final order, and number them so in place."""
        column = self.request.roles.columns.get(entity)
        if column is None:
            rows = sum(streamed.rows for streamed in done) if entity in self.request.roles.made_up else 0
            return pl.Series(entity, ["all"] if entity == "item" else map(str, range(1, rows + 1)), dtype=pl.String)
        for streamed in done:
            warn_of_odd_ids(streamed, entity, ids.seen_ids, column)
            warn_of_json_types(streamed, column)
            note_nested_ids(streamed, column)
        table_ids, ranks = ids.ranks(None if table is None else table[entity].fill_null(""))
        for streamed in done:
            renumber(streamed, entity, ranks, column, self.request.roles.fill.get(column))
        return table_ids

    def _number_levels(self, done: list[StreamedFile], ids: Dictionary, role: str) -> pl.Series:
        """Number the levels of a category in their order, in place, and return them."""
        levels, ranks = ids.ranks(None)
        for streamed in done:
            renumber(streamed, role, ranks, self.request.roles.columns[role])
        return levels

    def _write(
        self,
        done: list[StreamedFile],
        remaining: RemainingRows,
        tables: Mapping[str, pl.DataFrame | None],
        names: Mapping[str, pl.Series],
        levels: Mapping[str, pl.Series],
        edges: pl.DataFrame | None,
    ) -> dict[str, Any]:
        """Write the arrays of the logged and of the randomised part (the order of rows stays), and the tables."""
        remaining.renumber(done)
        rows = write_rows(done, remaining.masks, self.request.roles, self.store)
        for name, count in rows.items():
            if not count:
                path = str(self.request.interactions[0].path)
                self.problems.append(
                    Problem("error", path, None, self.request.roles.randomised, f"no {name} rows left")
                )
        self.problems += remaining.problems(self.request)
        for entity in ENTITIES:
            if entity not in (*self.request.roles.columns, *self.request.roles.made_up):
                continue
            table = tables.get(entity)
            frame = names[entity].alias(entity).to_frame() if table is None else table
            remaining.filter(frame, entity).write_parquet(self.store / f"{entity}s.parquet")
        for name, held in levels.items():
            held.alias("level").to_frame().write_parquet(self.store / f"{name}.parquet")
        if len(rows) == 2 and all(rows.values()):
            self.problems += imbalance_problems(self.request, self._stored_array)
        if edges is not None:
            self._write_pair_column(edges)
        return {"rows": rows, "sha256": self.sha256, "left_out": remaining.reasons(self.request)}

    def _stored_array(self, folder: str, name: str) -> npt.NDArray[Any]:
        return np.load(self.store / folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def _read_edges(self, users: pl.Series) -> pl.DataFrame | None:
        table = self.request.edges
        ready = None if table is None else self._prepare(table.raw)
        if table is None or ready is None:
            return None
        frame, wrong = read_edges(table, ready, users)
        self.problems += wrong
        return frame

    def _write_pair_column(self, edges: pl.DataFrame) -> None:
        source, target, weight = (edges[name].to_numpy() for name in ("source", "target", "weight"))
        user, item = self._stored_array("logged", "user"), self._stored_array("logged", "item")
        sizes = [
            pl.scan_parquet(self.store / f"{entity}s.parquet", glob=False).select(pl.len()).collect().item()
            for entity in ENTITIES
        ]
        pairs = trusted_counts(source, target, weight.astype(np.float32), user, item, *sizes)
        np.save(self.store / "pair_codes.npy", pairs.codes)
        np.save(self.store / "pair_values.npy", pairs.values)


def _roles_of_random(raws: Sequence[RawFile], roles: Roles) -> Roles:
    """Return the roles of a file of random rows, which may lack what says how a logging policy chose."""
    try:
        header = set(raws[0].header()) if raws else set()
    except (pl.exceptions.PolarsError, OSError):
        return roles
    absent = {role: None for role in OPTIONAL_IN_RANDOM_ROWS if getattr(roles, role) not in header}
    of_arms = roles.arm_propensities if header.issuperset(roles.arm_propensities) else ()
    return replace(roles, arm_propensities=of_arms, **absent)  # type: ignore[arg-type]
