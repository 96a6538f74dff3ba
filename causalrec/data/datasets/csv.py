"""Bring your own tables: interactions, users, items and edges named by column in YAML, no Python."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.log import InteractionLog, RowValues
from causalrec.data.pairs import PairTable
from causalrec.data.problems import Problem, refuse
from causalrec.data.sources import Source, sha256_of
from causalrec.data.tables import binarised
from causalrec.data.tabular.arms import check_arms
from causalrec.data.tabular.build import Build, EntityFile, Request
from causalrec.data.tabular.declared import Edges, Separator, Table
from causalrec.data.tabular.edges import EdgeFile
from causalrec.data.tabular.entities import kind_of
from causalrec.data.tabular.ingest import Roles, RowKind, TimeUnit
from causalrec.data.tabular.rawfile import RawFile
from causalrec.data.tabular.store import keep, open_store, scratch_beside, store_folder
from causalrec.data.vectors import VectorFile, read_vectors
from causalrec.errors import DataError, RequestError
from causalrec.types import Feedback, OutcomeKind, Vectors

FORMAT = 1  # of the arrays on disk: raise it when they change
SCALES: dict[OutcomeKind, tuple[float, float]] = {
    "rating": (1.0, 5.0),
    "click": (0.0, 1.0),
    "watch_ratio": (0.0, 10.0),  # ten times the length: what is above is a broken counter
    "count": (0.0, 1e6),
    "reward": (float("-inf"), float("inf")),
}


@dataclass(frozen=True, kw_only=True)
class Csv(AbstractDataset):
    """Any log in delimited text (`.csv`, `.tsv`), JSON lines (`.jsonl`) or Parquet, each also `.gz` where it applies.

    `folder`: where the files lie, below `paths.data`; `./folder` is taken from the working directory. `user`, `item`,
    `outcome`, `time`, `position`, `exposure` (0 = not exposed, 1.. = arms), `propensity` in (0, 1], `randomised_flag`
    (1 = the item was drawn at random) name columns, None where there is none; `randomised_interactions` is a file of
    random rows instead of a flag. `arms`: what exposures 1, 2 and so on are, where rows of exposure 0 have outcomes
    too, so that effects can be learnt; `randomised_log`: exposure was drawn at random in every row. `scale` bounds the
    raw outcome, both ends included (by kind: rating 1..5, click 0..1, watch_ratio 0..10, count 0..1e6). `threshold`:
    outcome is 1 from this value on, None to keep it. `self_selected`: True, unless you know better, for users mostly
    choose what they rate. `vectors`: precomputed vectors of items (of images, of sound) by the name of their node in
    the graph, files beside the others (`data/vectors.py`). `row_columns`: further columns of the interactions by kind,
    covariates of the moment (hour, store and week): nodes of the graph, without a gap.
    Files are streamed once into memory-mapped arrays, kept beside them (`data/store.py`) under a key of every file's
    path, size and modification time and of the keys that shape the arrays; the sha256 of each file is taken when it is
    read. A file changed within its size and time stamp is therefore not noticed: remove `.causalrec` then.
    Raises DataError with the first problem; `problems` has all.
    """

    threshold: float | None
    name: str = "csv"
    folder: str = "csv"
    interactions: str = "interactions.csv"
    randomised_interactions: str | None = None
    separator: Separator | None = None
    encoding: str = "utf-8"
    quote: Annotated[str, Field(pattern=r"^[\x00-\x7f]$")] | None = '"'
    names: list[str] | None = None
    user: str | None = "user"
    item: str = "item"
    outcome: str | None = "rating"
    kind: Literal["rating", "click", "watch_ratio", "count", "reward"] = "rating"
    scale: tuple[float, float] | None = None
    feedback: Feedback = "explicit"
    time: str | None = None
    time_unit: TimeUnit = "s"
    position: str | None = None
    exposure: str | None = None
    propensity: str | None = None
    randomised_flag: str | None = None
    how_randomised: str = "as the file says"
    arms: list[str] = field(default_factory=list)
    randomised_log: bool = False
    users: Table | None = None
    items: Table | None = None
    edges: Edges | None = None
    row_columns: dict[str, RowKind] = field(default_factory=dict)
    item_text: dict[str, str] = field(default_factory=dict)
    user_text: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, VectorFile] = field(default_factory=dict)
    self_selected: bool = True
    repeats: Literal["allowed", "error", "keep_last"] = "error"
    unseen: Literal["error", "drop", "keep"] = "drop"
    domain: str = "your own"
    licence: str = "your own"

    def __post_init__(self) -> None:
        names = [column.name for column in self.card.columns]
        for name in names:
            if names.count(name) > 1 or name in ("exposure", "outcome"):
                raise RequestError(f"dataset: the column name {name!r} is taken twice; rename the column in its file")
        if self.randomised_flag and self.randomised_interactions:
            raise RequestError("dataset.randomised_flag: give the flag or randomised_interactions, not both")
        if self.user is None and (self.users or self.edges):
            raise RequestError("dataset.user: is null, so users and edges have no one to belong to; name the column")
        if self.arms and (self.exposure is None or self.feedback != "exposure_logged"):
            raise RequestError(
                "dataset.arms: effects need rows of exposure 0 too; name the column with dataset.exposure and set "
                "dataset.feedback=exposure_logged"
            )
        if len(set(self.arms)) < len(self.arms):
            raise RequestError(f"dataset.arms={self.arms}: a name is given twice; name each arm once")
        if self.randomised_log and (not self.arms or self.self_selected):
            raise RequestError(
                "dataset.randomised_log: says that treatment was drawn at random, which needs dataset.arms and "
                "dataset.self_selected=false"
            )
        if self.outcome is None and self.feedback != "positive_only":
            raise RequestError("dataset.outcome: is null; name the column, or set dataset.feedback=positive_only")

    @property
    def card(self) -> DatasetCard:
        random = self.randomised_flag is not None or self.randomised_interactions is not None
        return DatasetCard(
            name=self.name,
            domain=self.domain,
            size="your own",
            licence=self.licence,
            urls=(),
            sha256={},
            columns=self._columns(),
            outcome=self.kind if self.threshold is None else "click",
            feedback=self.feedback,
            scale=self.scale or SCALES[self.kind],
            threshold=self.threshold,
            arms=tuple(self.arms),
            randomised=self.how_randomised if random else None,
            randomised_training=self.randomised_log,
            logged_propensity=self.propensity is not None,
            self_selected=self.self_selected,
            repeats="allowed" if self.user is None else self.repeats,
            unseen=self.unseen,
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    def identity(self, root: Path) -> str:
        """Return the sha256 of each file, taken when it was read."""
        _, meta, problems = self._opened(root)
        refuse(problems, self.name)
        return repr(sorted({**meta["sha256"], **self._vector_sums(root)}.items()))

    def problems(self, root: Path) -> list[Problem]:
        """Return every problem of the files, errors and warnings, each with file and line; DataError is not raised."""
        _, _, found = self._opened(root)
        if any(problem.severity == "error" for problem in found):
            return found
        try:
            self.load(root)
        except DataError as error:
            return [*found, Problem("error", self.name, None, None, str(error))]
        return found

    def load(self, root: Path) -> CausalDataset:
        place, meta, problems = self._opened(root)
        refuse(problems, self.name)
        tables = {
            of: pl.read_parquet(path) if (path := place / f"{of}s.parquet").exists() else pl.DataFrame()
            for of in ("user", "item")
        }
        sizes = (len(tables["user"]), len(tables["item"]))
        logs = {part: self._log(place / part, sizes, part) for part in meta["rows"]}
        for log in logs.values():
            check_arms(log, self.arms, self.name)
        pairs = {}
        if self.edges is not None:
            codes, values = (np.load(place / f"pair_{name}.npy", mmap_mode="r") for name in ("codes", "values"))
            pairs[self.edges.column] = PairTable(codes, values, sizes[1])
        return CausalDataset(
            card=self.card,
            logged=logs["logged"],
            randomised=logs.get("randomised"),
            user_table=tables["user"],
            item_table=tables["item"],
            pair_features=pairs,
            item_vectors=self._vectors(root, tables["item"]["item"].to_list()),
            raw_sha256={**meta["sha256"], **self._vector_sums(root)},
            user_ids=None if self.user is None else tables["user"]["user"],
            item_ids=tables["item"]["item"],
        )

    def _columns(self) -> tuple[Column, ...]:
        found = (
            [Column("item", "item", "id")]
            if self.user is None
            else [Column("user", "user", "id"), Column("item", "item", "id")]
        )
        found += [
            Column(name, "user", kind_of(kind)[0]) for name, kind in (self.users.columns if self.users else {}).items()
        ]
        found += [
            Column(name, "item", kind_of(kind)[0]) for name, kind in (self.items.columns if self.items else {}).items()
        ]
        found += [Column(name, "item", "vector") for name in self.vectors]
        found += [Column(name, "row", kind) for name, kind in self.row_columns.items()]
        return (*found, *([Column(self.edges.column, "pair", "numeric")] if self.edges else []))

    def _folder(self, root: Path) -> Path:
        return Path(self.folder) if self.folder.startswith((".", "/")) else root / self.folder

    def _vectors(self, root: Path, ids: list[str]) -> dict[str, Vectors]:
        folder, files = self._folder(root), self.vectors.items()
        return {k: read_vectors(folder / one.file, ids, k, column=one.column, id=one.id) for k, one in files}

    def _vector_sums(self, root: Path) -> dict[str, str]:
        paths = {self._folder(root) / one.file for one in self.vectors.values()}
        return {path.name: sha256_of(path) for path in paths if path.is_file()}

    def _opened(self, root: Path) -> tuple[Path, dict[str, Any], list[Problem]]:
        """Return the store, its meta data and the problems met; an error leaves no store."""
        folder = self._folder(root)
        request = self._request(folder)
        place = store_folder(folder, root) / f"{self.name}-{_key(request)}"
        meta = open_store(place)
        if meta is not None:
            return place, meta, [Problem(**problem) for problem in meta["warnings"]]
        with scratch_beside(place) as scratch:
            build = Build(request, scratch)
            made = build()
            if made is None or any(problem.severity == "error" for problem in build.problems):
                return place, {}, build.problems
            return (
                place,
                keep(build.store, place, {**made, "warnings": list(map(asdict, build.problems))}),
                build.problems,
            )

    def _request(self, folder: Path) -> Request:
        def raw(file: str, table: Table | Edges | None = None) -> RawFile:
            own = table or self
            return RawFile(
                path=folder / file,
                separator=own.separator
                or (self.separator if Path(file).suffix == Path(self.interactions).suffix else None),
                encoding=own.encoding or self.encoding,
                quote=self.quote,
                names=own.names,
            )

        entity = {
            of: EntityFile(raw=raw(table.file, table), id=table.id, columns=table.columns) if table else None
            for of, table in (("users", self.users), ("items", self.items))
        }
        edge = self.edges
        return Request(
            interactions=raw(self.interactions),
            randomised=raw(self.randomised_interactions) if self.randomised_interactions else None,
            roles=self._roles(),
            edges=EdgeFile(raw=raw(edge.file, edge), source=edge.source, target=edge.target, weight=edge.weight)
            if edge
            else None,
            repeats=self.repeats,
            **entity,
        )

    def _roles(self) -> Roles:
        return Roles(
            user=self.user,
            item=self.item,
            outcome=self.outcome,
            time=self.time,
            position=self.position,
            treatment=self.exposure,
            propensity=self.propensity,
            randomised=self.randomised_flag,
            scale=self.scale or SCALES[self.kind],
            time_unit=self.time_unit,
            row_columns=self.row_columns,
        )

    def _log(self, folder: Path, sizes: tuple[int, int], part: str) -> InteractionLog:
        arrays = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted(folder.glob("*.npy"))}
        count = len(arrays["item"])
        ones = np.broadcast_to(np.int64(1), count)  # takes no memory
        columns = {name: _values(folder, part, arrays.pop(part)) for part, name in self._roles().row_parts.items()}
        outcome = arrays.pop("outcome", None)
        if outcome is not None and self.threshold is not None:
            missing = np.isnan(outcome)
            outcome = binarised(outcome, self.threshold)
            outcome[missing] = np.nan
        return InteractionLog(
            treatment=arrays.pop("treatment", ones),
            outcome=np.broadcast_to(np.float32(1), count) if outcome is None else outcome,
            num_users=sizes[0],
            num_items=sizes[1],
            columns=columns,
            name=self.name if part == "logged" else f"{self.name} {part}",
            **arrays,
        )


def _values(folder: Path, part: str, held: RowValues) -> RowValues:
    """Return a column of rows: the levels where it is a category, of which the array holds the places."""
    levels = folder.parent / f"{part}.parquet"
    return np.array(pl.read_parquet(levels)["level"].to_list(), np.str_)[held] if levels.exists() else held


def _key(request: Request) -> str:
    """Hash what the arrays depend on: the request, and each file's path, size and modification time."""
    stats = [path.stat() if (path := raw.path).is_file() else None for raw in request.files]
    files = [(stat.st_size, stat.st_mtime_ns) if stat else None for stat in stats]
    parts = json.dumps([FORMAT, files, asdict(request)], sort_keys=True, default=lambda path: str(Path(path).resolve()))
    return hashlib.sha256(parts.encode()).hexdigest()[:20]
