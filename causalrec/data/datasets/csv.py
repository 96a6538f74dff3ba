"""Bring your own tables: interactions, users, items and edges named by column in YAML, no Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.knowledge_files import KnowledgeFiles
from causalrec.data.pair_columns import PairTable
from causalrec.data.sources import Source
from causalrec.data.table_problems import Problem, problem_of, raise_errors
from causalrec.data.tabular.action_propensities import logged_distribution, with_action_propensities
from causalrec.data.tabular.arm_checks import check_arms
from causalrec.data.tabular.arm_propensities import with_arm_propensities
from causalrec.data.tabular.declared import SCALES, check_keys, columns_of, fewest_rows, request_of
from causalrec.data.tabular.missing import missing_columns, missing_files
from causalrec.data.tabular.numbers import Thousands
from causalrec.data.tabular.open_store import open_or_build, read_log, read_truth
from causalrec.data.tabular.request import Repeats, Request
from causalrec.data.tabular.roles import FillValue, RowKind
from causalrec.data.tabular.table_config import Decimal, EdgeTableConfig, EntityTableConfig, Separator
from causalrec.data.tabular.times import TimeUnit
from causalrec.data.vectors import VectorFile, check_side, checksums, read_side
from causalrec.errors import DataError, RequestError
from causalrec.types import Feedback, FolderName, Vectors

FewestRows = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class CsvTables(AbstractDataset):
    """Any log in delimited text (`.csv`, `.tsv`), JSON (`.jsonl`, `.json`) or Parquet, text also `.gz`.

    Files are streamed once into memory-mapped arrays, stored in a folder next to them (`data/tabular/store.py`) under a
    key of every file's path, size and modification time and of the keys that shape the arrays; the sha256 of each file
    is taken when it is read. A file changed within its size and time stamp is therefore not noticed: remove
    `.causalrec` then. Raises DataError with the first problem; `problems` has all.

    Attributes:
        threshold: outcome is 1 from this value on, None for the raw outcome.
        name: what the data set is called in records and errors.
        folder: where the files lie, below `paths.data`; `./folder` is taken from the working directory.
        interactions: file of the log, or a list of files that are read one after another.
        randomised_interactions: file of random rows, instead of a flag; None for none.
        separator: what stands between two fields, one to three characters; None: by the ending (`.tsv` tab, else
            comma).
        encoding: of the text.
        quote: what encloses a field; None: quotes are ordinary characters.
        escape: what stands before a quote that is one of the field, as in dumps of MySQL; None where it is doubled.
        names: names of the columns, where the file has no header.
        decimal: what stands before a fraction.
        thousands: what stands between groups of three digits, None for nothing (currency signs need no setting).
        user: column of user ids; None without users, or, where `item` is None too, where each row is a person.
        item: column of item ids; None where the data are of people rather than pairs: all rows are of one item.
        outcome: column of the raw outcome; None where every row is a positive.
        kind: what kind of number the outcome is.
        scale: bounds of the raw outcome, both included; None: by kind (rating 1..5, click 0..1, watch_ratio 0..10,
            count 0..1e6, reward without).
        feedback: what a row that is not there means.
        time: column of the time, None for none.
        time_unit: unit of numeric times; `iso` for text (2024-01-31 12:00:00, with or without +02:00), `place` for
            places in each user's sequence, which do not compare between users.
        time_format: form of times in text that is not ISO, in the codes of `strptime` (%d/%m/%Y %H:%M); None for none.
        position: column of the position in the list, None for none.
        exposure: column of the exposure (0 = not exposed, 1.. = arms), None for none.
        exposure_levels: what that column holds for 0, 1, .. where it is not these numbers, as [control, treated].
        propensity: column of the probability that the row was exposed, in (0, 1], whether it was or not; of several
            arms a list, [not exposed, arm 1, ..], which sum to 1 (one column: that of the exposure received, the same
            in all rows of it); of rounds, that of the item taken, or a column for each item, {item: column}, which sum
            to 1; None for none. A file of random rows may lack it.
        rounds: whether each row is a round in which a policy took one item, so that `propensity` is p(item | round),
            which a split does not change; else it is that of a pair to be in the log. So it is without users.
        randomised_flag: column that is 1 where the item was drawn at random, else 0; None for none.
        strata: columns within whose levels the exposure of the random rows was drawn (blocks, sites); empty: in all
            alike. They are weighed by the shares of the arms there, unless they hold propensities.
        how_randomised: how the random rows were drawn, for the card.
        arms: what exposures 1, 2 and so on are, where rows of exposure 0 have outcomes too, so that effects can be
            learnt.
        randomised_log: whether exposure was drawn at random in every row.
        potential: column of the true mean outcome under each exposure, {0: y0, 1: y1}, where a simulation knows it.
        users: table of users, or kinds of columns of the interactions that are the user's; None for none.
        items: table of items, or kinds of columns of the interactions that are the item's; None for none.
        edges: table of edges between users, None for none.
        row_columns: kind of each further column of the interactions, by name: covariates of the moment (hour, store and
            week), nodes of the graph.
        fill: what stands for a missing cell, by column: a number or a level, mean or median (of the column), indicator
            (the mean, and a column NAME_missing of 0 and 1), or drop (the row, of a column of the interactions; of ids,
            also where their table lacks one).
        k_core: fewest rows of each user and item, one number or {user: 5, item: 10}; those with fewer leave the log,
            until none is left. It is taken on all logged rows before the split, so that the test decides with.
        item_text: phrases by item column that make an item's text (`data/text.py`).
        user_text: phrases by user column that make a user's text.
        vectors: files of precomputed vectors of items (of images, of sound) in the folder, by the name of their node in
            the graph (`data/vectors.py`).
        user_vectors: files of precomputed vectors of users, likewise.
        knowledge: files of triples and links in the folder, a graph of what is known of items
            (`data/knowledge_files.py`); its node in the graph is `knowledge`. None: there is none.
        self_selected: whether users choose by how they would rate; true unless you know better, for most users do.
        repeats: whether a (user, item) pair may occur twice in one log.
        unseen: what a split does by default with a test row whose user or item has no training row; None: drop it,
            but keep it where the data are of people.
        domain: what the data are about, for the card.
        licence: under which terms they may be used, for the card.
    """

    threshold: float | None
    name: FolderName = "csv"
    folder: str = "csv"
    interactions: str | list[str] = "interactions.csv"
    randomised_interactions: str | None = None
    separator: Separator | None = None
    encoding: str = "utf-8"
    quote: Annotated[str, Field(pattern=r"^[\x00-\x7f]$")] | None = '"'
    escape: Annotated[str, Field(pattern=r"^[\x00-\x7f]$")] | None = None
    names: list[str] | None = None
    decimal: Decimal = "."
    thousands: Thousands | None = None
    user: str | None = "user"
    item: str | None = "item"
    outcome: str | None = "rating"
    kind: Literal["rating", "click", "watch_ratio", "count", "reward"] = "rating"
    scale: tuple[float, float] | None = None
    feedback: Feedback = "explicit"
    time: str | None = None
    time_unit: TimeUnit = "s"
    time_format: str | None = None
    position: str | None = None
    exposure: str | None = None
    exposure_levels: list[str | int | bool] = field(default_factory=list)
    propensity: str | list[str] | dict[str | int, str] | None = None
    rounds: bool = False
    randomised_flag: str | None = None
    strata: list[str] = field(default_factory=list)
    how_randomised: str = "as the file says"
    arms: list[str] = field(default_factory=list)
    randomised_log: bool = False
    potential: dict[int, str] = field(default_factory=dict)
    users: EntityTableConfig | None = None
    items: EntityTableConfig | None = None
    edges: EdgeTableConfig | None = None
    row_columns: dict[str, RowKind] = field(default_factory=dict)
    fill: dict[str, FillValue] = field(default_factory=dict)
    k_core: FewestRows | dict[Literal["user", "item"], FewestRows] | None = None
    item_text: dict[str, str] = field(default_factory=dict)
    user_text: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, VectorFile] = field(default_factory=dict)
    user_vectors: dict[str, VectorFile] = field(default_factory=dict)
    knowledge: KnowledgeFiles | None = None
    self_selected: bool = True
    repeats: Repeats = "error"
    unseen: Literal["error", "drop", "keep"] | None = None
    domain: str = "your own"
    licence: str = "your own"

    def __post_init__(self) -> None:
        check_keys(self)
        _ = self.card  # checks its own keys

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
            columns=columns_of(self),
            outcome=self.kind if self.threshold is None else "click",
            feedback=self.feedback,
            scale=self.scale or SCALES[self.kind],
            threshold=self.threshold,
            arms=tuple(self.arms),
            randomised=self.how_randomised if random else None,
            strata=tuple(self.strata),
            randomised_training=self.randomised_log,
            logged_propensity=self.propensity is not None,
            rounds=self.rounds or bool(self.action_columns),
            known_truth=bool(self.potential),
            self_selected=self.self_selected,
            repeats="allowed" if self.user is None else self.repeats,
            unseen=self.unseen or ("keep" if self.item is None else "drop"),
            times_compare=self.time_unit != "place",
            caveat=self._caveat,
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    def check_files(self, root: Path) -> None:
        """Raise RequestError where a file or a column is missing; no row is read."""
        request = self._request(root)
        columns = list(request.roles.columns.values())
        missing = [problem for raw in request.interactions for problem in missing_columns(raw, columns)]
        wrong = [*missing_files(request.files), *missing]
        if wrong:
            raise RequestError("; ".join(map(str, wrong)))
        for side in (self.vectors, self.user_vectors):
            check_side(side, self._folder(root), root)
        if self.knowledge is not None:
            self.knowledge.check(self._folder(root), root)

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
            return [*problems, problem_of(error, self.name)]
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
        sizes, request = (len(tables["user"]), len(tables["item"])), self._request(root)
        logs = {
            name: read_log(store / name, request.roles, sizes, self.threshold, self._log_name(name))
            for name in meta["rows"]
        }
        for name, log in logs.items():
            check_arms(log, self.arms, self.name, learns=name == "logged")
            logs[name] = with_arm_propensities(log, len(self.arms))
            if self.rounds:  # which replaces the log, and checks all its rows again
                logs[name] = replace(logs[name], of_rounds=True)
        policy = None
        if self.action_columns:
            policy = logged_distribution(self.action_columns, tables["item"]["item"].to_list(), self.name)
            logs = {name: with_action_propensities(log, policy) for name, log in logs.items()}
        pairs = {}
        if self.edges is not None:
            codes, values = (np.load(store / f"pair_{name}.npy", mmap_mode="r") for name in ("codes", "values"))
            pairs[self.edges.column] = PairTable(codes, values, sizes[1])
        return CausalDataset(
            card=replace(self.card, caveat="; ".join(meta["left_out"]) or self._caveat),
            logged=logs["logged"],
            randomised=logs.get("randomised"),
            user_table=tables["user"],
            item_table=tables["item"],
            pair_features=pairs,
            item_vectors=read_side(self.vectors, self._folder(root), root, tables["item"]["item"].to_list(), "item"),
            user_vectors=self._user_vectors(root, tables["user"]),
            knowledge=self._read_knowledge(root, tables),
            logging_policy=policy,
            potential=read_truth([store / name for name in meta["rows"]], request.roles, sizes[0]),
            raw_sha256={**meta["sha256"], **self._vector_sums(root)},
            user_ids=tables["user"]["user"] if len(tables["user"]) else None,
            item_ids=tables["item"]["item"],
        )

    @property
    def action_columns(self) -> dict[str, str]:
        """The columns of the propensities of all items of a round, by item; empty where none are named."""
        named = self.propensity if isinstance(self.propensity, dict) else {}
        return {str(item): column for item, column in named.items()}

    @property
    def _caveat(self) -> str | None:
        if self.k_core is None:
            return None
        user, item = fewest_rows(self)
        return f"users with under {user} rows and items with under {item} were left out before the split (k_core)"

    def _log_name(self, name: str) -> str:
        return self.name if name == "logged" else f"{self.name} {name}"

    def _folder(self, root: Path) -> Path:
        return Path(self.folder) if self.folder.startswith((".", "/")) else root / self.folder

    def _user_vectors(self, root: Path, users: pl.DataFrame) -> dict[str, Vectors]:
        if not self.user_vectors:
            return {}
        return read_side(self.user_vectors, self._folder(root), root, users["user"].to_list(), "user")

    def _read_knowledge(self, root: Path, tables: Mapping[str, pl.DataFrame]) -> KnowledgeGraph | None:
        if self.knowledge is None:
            return None
        items, users = (
            tables[side][side].cast(pl.String).to_list() if len(tables[side]) else [] for side in ("item", "user")
        )
        return self.knowledge.read(self._folder(root), root, self.name, items, users)

    def _vector_sums(self, root: Path) -> dict[str, str]:
        sums = checksums([*self.vectors.values(), *self.user_vectors.values()], self._folder(root), root)
        return sums | ({} if self.knowledge is None else self.knowledge.checksums(self._folder(root), root))

    def _request(self, root: Path) -> Request:
        return request_of(self, self._folder(root), root)

    def _open_or_build(self, root: Path) -> tuple[Path, dict[str, Any], list[Problem]]:
        """Return the store, its meta data and the problems met; an error leaves no store."""
        return open_or_build(self._request(root), self.name, self._folder(root), root)
