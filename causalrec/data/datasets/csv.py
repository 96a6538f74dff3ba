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
from causalrec.data.delimited_text import binarise
from causalrec.data.log import InteractionLog, RowValues
from causalrec.data.pair_columns import PairTable
from causalrec.data.sources import Source, sha256_of
from causalrec.data.table_problems import Problem, raise_errors
from causalrec.data.tabular.arm_checks import check_arms
from causalrec.data.tabular.build import Build, EntityFile, Request
from causalrec.data.tabular.entities import kind_of
from causalrec.data.tabular.ingest import Roles, RowKind, TimeUnit
from causalrec.data.tabular.missing import missing_columns, missing_files
from causalrec.data.tabular.rawfile import RawFile
from causalrec.data.tabular.social_edges import EdgeFile
from causalrec.data.tabular.store import keep_store, open_store, scratch_folder, store_folder
from causalrec.data.tabular.table_config import EdgeTableConfig, EntityTableConfig, Separator
from causalrec.data.vectors import VectorFile, read_vectors
from causalrec.errors import DataError, RequestError
from causalrec.types import Feedback, FolderName, OutcomeKind, Vectors

FORMAT = 2  # of the arrays on disk: raise it when they change
SCALES: dict[OutcomeKind, tuple[float, float]] = {
    "rating": (1.0, 5.0),
    "click": (0.0, 1.0),
    "watch_ratio": (0.0, 10.0),  # ten times the length: what is above is a broken counter
    "count": (0.0, 1e6),
    "reward": (float("-inf"), float("inf")),
}


@dataclass(frozen=True, kw_only=True)
class CsvTables(AbstractDataset):
    """Any log in delimited text (`.csv`, `.tsv`), JSON lines (`.jsonl`) or Parquet, each also `.gz` where it applies.

    Files are streamed once into memory-mapped arrays, stored in a folder next to them (`data/tabular/store.py`) under a
    key of every file's path, size and modification time and of the keys that shape the arrays; the sha256 of each file
    is taken when it is read. A file changed within its size and time stamp is therefore not noticed: remove
    `.causalrec` then. Raises DataError with the first problem; `problems` has all.

    Attributes:
        threshold: outcome is 1 from this value on, None for the raw outcome.
        name: what the data set is called in records and errors.
        folder: where the files lie, below `paths.data`; `./folder` is taken from the working directory.
        interactions: file of the log.
        randomised_interactions: file of random rows, instead of a flag; None for none.
        separator: what stands between two fields; None: by the ending (`.tsv` tab, else comma).
        encoding: of the text.
        quote: what encloses a field; None: quotes are ordinary characters.
        names: names of the columns, where the file has no header.
        user: column of user ids; None without users.
        item: column of item ids.
        outcome: column of the raw outcome; None where every row is a positive.
        kind: what kind of number the outcome is.
        scale: bounds of the raw outcome, both included; None: by kind (rating 1..5, click 0..1, watch_ratio 0..10,
            count 0..1e6, reward without).
        feedback: what a row that is not there means.
        time: column of the time, None for none.
        time_unit: unit of numeric times; `iso` for text (2024-01-31 12:00:00), `place` for places in each user's
            sequence, which do not compare between users.
        position: column of the position in the list, None for none.
        exposure: column of the exposure (0 = not exposed, 1.. = arms), None for none.
        propensity: column of the probability that the row was exposed, in (0, 1]; None for none.
        randomised_flag: column that is 1 where the item was drawn at random, else 0; None for none.
        how_randomised: how the random rows were drawn, for the card.
        arms: what exposures 1, 2 and so on are, where rows of exposure 0 have outcomes too, so that effects can be
            learnt.
        randomised_log: whether exposure was drawn at random in every row.
        users: table of users, None for none.
        items: table of items, None for none.
        edges: table of edges between users, None for none.
        row_columns: kind of each further column of the interactions, by name: covariates of the moment (hour, store and
            week), nodes of the graph, without a gap.
        item_text: phrases by item column that make an item's text (`data/text.py`).
        user_text: phrases by user column that make a user's text.
        vectors: files of precomputed vectors of items (of images, of sound) in the folder, by the name of their node in
            the graph (`data/vectors.py`).
        self_selected: whether users choose by how they would rate; true unless you know better, for most users do.
        repeats: whether a (user, item) pair may occur twice in one log.
        unseen: what a split does by default with a test row whose user or item has no training row.
        domain: what the data are about, for the card.
        licence: under which terms they may be used, for the card.
    """

    threshold: float | None
    name: FolderName = "csv"
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
    users: EntityTableConfig | None = None
    items: EntityTableConfig | None = None
    edges: EdgeTableConfig | None = None
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
        if self.time_unit == "place" and self.user is None:
            raise RequestError("dataset.time_unit=place: is a place in a user's sequence; name the users, dataset.user")
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
            times_compare=self.time_unit != "place",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    def check_files(self, root: Path) -> None:
        """Raise RequestError where a file or a column is missing; no row is read."""
        request = self._request(self._folder(root))
        wrong = [*missing_files(request.files), *missing_columns(request.interactions, request.roles.columns.values())]
        if wrong:
            raise RequestError("; ".join(map(str, wrong)))

    def identity(self, root: Path) -> str:
        """Return the sha256 of each file, taken when it was read."""
        _, meta, problems = self._open_or_build(root)
        raise_errors(problems, self.name)
        return repr(sorted({**meta["sha256"], **self._vector_sums(root)}.items()))

    def problems(self, root: Path) -> list[Problem]:
        """Return every problem of the files, errors and warnings, each with file and line; DataError is not raised."""
        _, _, problems = self._open_or_build(root)
        if any(problem.severity == "error" for problem in problems):
            return problems
        try:
            self.load(root)
        except DataError as error:
            return [*problems, Problem("error", self.name, None, None, str(error))]
        return problems

    def load(self, root: Path) -> CausalDataset:
        store, meta, problems = self._open_or_build(root)
        raise_errors(problems, self.name)
        tables = {
            entity: pl.read_parquet(path, glob=False)
            if (path := store / f"{entity}s.parquet").exists()
            else pl.DataFrame()
            for entity in ("user", "item")
        }
        sizes = (len(tables["user"]), len(tables["item"]))
        logs = {name: self._log(store / name, sizes, name) for name in meta["rows"]}
        for log in logs.values():
            check_arms(log, self.arms, self.name)
        pairs = {}
        if self.edges is not None:
            codes, values = (np.load(store / f"pair_{name}.npy", mmap_mode="r") for name in ("codes", "values"))
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
        columns = (
            [Column("item", "item", "id")]
            if self.user is None
            else [Column("user", "user", "id"), Column("item", "item", "id")]
        )
        columns += [
            Column(name, "user", kind_of(kind)[0]) for name, kind in (self.users.columns if self.users else {}).items()
        ]
        columns += [
            Column(name, "item", kind_of(kind)[0]) for name, kind in (self.items.columns if self.items else {}).items()
        ]
        columns += [Column(name, "item", "vector") for name in self.vectors]
        columns += [Column(name, "row", kind) for name, kind in self.row_columns.items()]
        return (*columns, *([Column(self.edges.column, "pair", "numeric")] if self.edges else []))

    def _folder(self, root: Path) -> Path:
        return Path(self.folder) if self.folder.startswith((".", "/")) else root / self.folder

    def _vectors(self, root: Path, ids: list[str]) -> dict[str, Vectors]:
        folder, files = self._folder(root), self.vectors.items()
        return {
            k: read_vectors(folder / source.file, ids, k, column=source.column, id=source.id) for k, source in files
        }

    def _vector_sums(self, root: Path) -> dict[str, str]:
        paths = {self._folder(root) / source.file for source in self.vectors.values()}
        return {path.name: sha256_of(path) for path in paths if path.is_file()}

    def _open_or_build(self, root: Path) -> tuple[Path, dict[str, Any], list[Problem]]:
        """Return the store, its meta data and the problems met; an error leaves no store."""
        folder = self._folder(root)
        request = self._request(folder)
        store = store_folder(folder, root) / f"{self.name}-{_key(request)}"
        meta = open_store(store)
        if meta is not None:
            return store, meta, [Problem(**problem) for problem in meta["warnings"]]
        with scratch_folder(store) as scratch:
            build = Build(request, scratch)
            meta_data = build()
            if meta_data is None or any(problem.severity == "error" for problem in build.problems):
                return store, {}, build.problems
            return (
                store,
                keep_store(build.store, store, {**meta_data, "warnings": list(map(asdict, build.problems))}),
                build.problems,
            )

    def _request(self, folder: Path) -> Request:
        def raw(file: str, table: EntityTableConfig | EdgeTableConfig | None = None) -> RawFile:
            config = table or self
            return RawFile(
                path=folder / file,
                separator=config.separator
                or (self.separator if Path(file).suffix == Path(self.interactions).suffix else None),
                encoding=config.encoding or self.encoding,
                quote=self.quote,
                names=config.names,
            )

        entity = {
            entity: EntityFile(raw=raw(table.file, table), id=table.id, columns=table.columns) if table else None
            for entity, table in (("users", self.users), ("items", self.items))
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
            binary=self.kind == "click" and self.threshold is None,
            time_unit=self.time_unit,
            row_columns=self.row_columns,
        )

    def _log(self, folder: Path, sizes: tuple[int, int], log_name: str) -> InteractionLog:
        arrays = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted(folder.glob("*.npy"))}
        count = len(arrays["item"])
        all_exposed = np.broadcast_to(np.int64(1), count)  # takes no memory
        columns = {name: _values(folder, role, arrays.pop(role)) for role, name in self._roles().row_roles.items()}
        outcome = arrays.pop("outcome", None)
        if outcome is not None and self.threshold is not None:
            missing = np.isnan(outcome)
            outcome = binarise(outcome, self.threshold)
            outcome[missing] = np.nan
        return InteractionLog(
            treatment=arrays.pop("treatment", all_exposed),
            outcome=np.broadcast_to(np.float32(1), count) if outcome is None else outcome,
            num_users=sizes[0],
            num_items=sizes[1],
            columns=columns,
            name=self.name if log_name == "logged" else f"{self.name} {log_name}",
            **arrays,
        )


def _values(folder: Path, role: str, held: RowValues) -> RowValues:
    """Return a column of rows: where it is a category, the levels that the array's numbers stand for."""
    levels = folder.parent / f"{role}.parquet"
    return np.array(pl.read_parquet(levels, glob=False)["level"].to_list(), np.str_)[held] if levels.exists() else held


def _key(request: Request) -> str:
    """Hash what the arrays depend on: the request, and each file's path, size and modification time."""
    stats = [path.stat() if (path := raw.path).is_file() else None for raw in request.files]
    files = [(stat.st_size, stat.st_mtime_ns) if stat else None for stat in stats]
    dependencies = json.dumps(
        [FORMAT, files, asdict(request)], sort_keys=True, default=lambda path: str(Path(path).resolve())
    )
    return hashlib.sha256(dependencies.encode()).hexdigest()[:20]
