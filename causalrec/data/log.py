"""The canonical interaction log, the data set around it, and the card that says what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl

from causalrec.data.pairs import PairFinder
from causalrec.errors import DataError
from causalrec.types import Bools, Feedback, Floats, Ints, OutcomeKind, Vectors

Of = Literal["user", "item", "pair"]
PairColumn = Callable[[Ints, Ints], Floats]  # (user, item) -> float32 of the broadcast shape
ColumnKind = Literal["id", "numeric", "category", "multi_hot", "text", "vector"]


@dataclass(frozen=True)
class Column:
    """An observed column, named as its node in the causal graph: whose it is, and how a model may read it."""

    name: str
    of: Of
    kind: ColumnKind


@dataclass(frozen=True)
class DatasetCard:
    """What a data set is, known before any file is read.

    `size`: users, items and rows, in words. `scale` bounds the raw outcome (both ends included). `cuts`: a class
    outcome is how many of them the raw one reaches, so that there are one more classes. `arms`: what treatments 1, 2
    and so on are, where rows under treatment 0 have an outcome too, so that effects can be learnt. `drawn_anew`:
    keywords of the data set that draw rows or outcomes anew of the same users and items: jobs that differ in them are
    replicates of one row, and may train side by side. `randomised` says how the randomised part was drawn, None without
    one. `self_selected`: users are known to choose by how they would rate, so exposure and outcome share a cause that
    no column holds. `repeats`: whether one (user, item) pair may occur twice in one log. `unseen`: what a split does by
    default with a test row whose user or item has no training row. `unbiased`: whether the part apart from the log was
    drawn at random, or is a block whose every pair was observed (no random draw: it is unbiased for that block alone).
    `notice`: what must be read with any result on it, without a full stop; each table and report repeats it.
    """

    name: str
    domain: str
    licence: str
    urls: tuple[str, ...]
    sha256: Mapping[str, str]
    columns: tuple[Column, ...]
    outcome: OutcomeKind
    feedback: Feedback
    size: str = ""
    scale: tuple[float, float] = (0.0, 1.0)
    threshold: float | None = None
    cuts: tuple[float, ...] = ()
    arms: tuple[str, ...] = ()
    drawn_anew: tuple[str, ...] = ()
    randomised: str | None = None
    unbiased: Literal["randomised", "fully_observed"] = "randomised"
    randomised_training: bool = False
    logged_propensity: bool = False
    known_truth: bool = False
    fresh_test_labels: bool = False
    self_selected: bool = False
    repeats: Literal["allowed", "error", "keep_last"] = "error"
    unseen: Literal["error", "drop", "keep"] = "error"
    notice: str | None = None

    def column(self, name: str) -> Column:
        """Return the column of that name (KeyError where the card has none)."""
        return {column.name: column for column in self.columns}[name]


@dataclass(frozen=True, repr=False)
class InteractionLog:
    """Logged interactions, checked once when built.

    `item[N]` int64 (= the arm, where arms are items); `treatment[N]` int64 (0 = not exposed, 1.. = arms);
    `outcome[N]` float32 (nan where unseen); `user[N]` int64, absent in userless logs; `time[N]` int64 (seconds);
    `position[N]` int64; `propensity[N]` float32, a probability in (0, 1]; `context[N,F]` float32.
    Raises DataError on ids outside their range, ragged columns, a NaN outcome of an exposed row, or a propensity
    outside (0, 1].
    """

    item: Ints
    treatment: Ints
    outcome: Floats
    num_items: int
    user: Ints | None = None
    num_users: int = 0
    time: Ints | None = None
    position: Ints | None = None
    propensity: Floats | None = None
    context: Floats | None = None
    name: str = "log"

    def __post_init__(self) -> None:
        for label in ("treatment", "outcome", "user", "time", "position", "propensity", "context"):
            column = getattr(self, label)
            if column is not None and len(column) != len(self.item):
                raise DataError(f"{self.name}: {label} has {len(column)} rows, item has {len(self.item)}; align them")
        self._check_ids("item", self.item, self.num_items)
        if self.user is not None:
            self._check_ids("user", self.user, self.num_users)
        unseen = np.isnan(self.outcome) & (self.treatment > 0)
        self._refuse(unseen, "outcome is NaN for an exposed row", "drop the row or set its outcome")
        self._refuse(self.treatment < 0, "treatment is negative", "0 = not exposed, 1.. = arms")
        if self.propensity is not None:
            bad = ~((self.propensity > 0) & (self.propensity <= 1))
            self._refuse(bad, "propensity is outside (0, 1]", "give the probability that the row was exposed")

    def _check_ids(self, label: str, ids: Ints, count: int) -> None:
        self._refuse((ids < 0) | (ids >= count), f"{label} id is outside 0..{count - 1}", "map ids to 0..n-1")

    def _refuse(self, bad: Bools, what: str, mend: str) -> None:
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(f"{self.name}: row {row}: {what} ({int(bad.sum())} such rows); {mend}")

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        return f"<InteractionLog {self.name}: {len(self)} rows, {self.num_users} users, {self.num_items} items>"

    @property
    def users(self) -> Ints:
        """The user of each row, int64[N]; zeros in a userless log, whose tables of users have one row to read."""
        return np.zeros(len(self), np.int64) if self.user is None else self.user

    @cached_property
    def has_arms(self) -> bool:
        """Whether unexposed rows have outcomes: a propensity is then that of the treatment received."""
        return bool(((self.treatment == 0) & ~np.isnan(self.outcome)).any())

    @property
    def num_pairs(self) -> int:
        """Number of user-item pairs (of items, in a userless log)."""
        return max(self.num_users, 1) * self.num_items

    @property
    def population(self) -> float:
        """What the rows stand for: user-item pairs; in a userless log the sum of 1/p, as p is p(arm | round)."""
        if self.user is not None or self.propensity is None:
            return float(self.num_pairs)
        return float((1.0 / self.propensity.astype(np.float64)).sum())

    @property
    def codes(self) -> Ints:
        """One integer per row that names its (user, item) pair, row-major: `user * num_items + item`."""
        return self.item if self.user is None else self.user * self.num_items + self.item

    @cached_property
    def finder(self) -> PairFinder:
        """Finds the row of a pair by its code, built when first asked for."""
        return PairFinder(self.codes, self.num_pairs)

    def take(self, rows: Ints | Bools, name: str | None = None) -> InteractionLog:
        """Return the log of those rows (indices or a mask)."""
        labels = ("item", "treatment", "outcome", "user", "time", "position", "propensity", "context")
        columns = {label: getattr(self, label) for label in labels}
        taken: dict[str, Any] = {label: None if column is None else column[rows] for label, column in columns.items()}
        return replace(self, name=name or self.name, **taken)

    def with_propensity(self, propensity: Floats) -> InteractionLog:
        """Return the log with these propensities (float32[N], probabilities in (0, 1])."""
        return replace(self, propensity=propensity)

    def joined(self, other: InteractionLog) -> InteractionLog:
        """Return this log's rows followed by the other's (of the same columns)."""
        labels = ("item", "treatment", "outcome", "user", "time", "position", "propensity", "context")
        both = {label: (getattr(self, label), getattr(other, label)) for label in labels}
        rows: dict[str, Any] = {k: None if a is None else np.concatenate([a, b]) for k, (a, b) in both.items()}
        return replace(self, **rows)

    def without_repeats(self, rule: Literal["allowed", "error", "keep_last"]) -> InteractionLog:
        """Apply the card's rule to (user, item) pairs that occur more than once; raise DataError under `error`."""
        _, last_of_reversed, counts = np.unique(self.codes[::-1], return_index=True, return_counts=True)
        if rule == "allowed" or not (counts > 1).any():
            return self
        if rule == "error":
            code = int(self.codes[::-1][last_of_reversed[np.argmax(counts > 1)]])
            raise DataError(
                f"{self.name}: {int((counts > 1).sum())} duplicate interactions, first user {code // self.num_items}, "
                f"item {code % self.num_items}; remove them, or let the card say repeats=keep_last"
            )
        return self.take(np.sort(len(self) - 1 - last_of_reversed))


@dataclass(frozen=True)
class Oracle:
    """The truth of a semi-synthetic data set, kept apart from what a method may read (pitfalls: oracle leakage).

    `rate(user, item)` the true mean outcome under exposure, `propensity(user, item)` the true exposure probability,
    both float32 of the broadcast shape.
    """

    rate: Callable[[Ints, Ints], Floats]
    propensity: Callable[[Ints, Ints], Floats]


@dataclass(frozen=True)
class PotentialOutcomes:
    """What a simulation knows of every arm, kept apart from what a method may read.

    `means(user, item)` float32[...,A+1], the true mean outcome under treatments 0..A; `drawn(user, item)`, of the same
    shape, one drawn outcome under each, None where only means are known.
    """

    means: PairColumn
    drawn: PairColumn | None = None


@dataclass(frozen=True)
class PairFeature:
    """A numeric column of (user, item) pairs as a scaled product of factors: `scale * (user_part . item_part) + shift`.

    `user_part[U,D]`, `item_part[I,D]` float32: never a dense U x I array.
    """

    user_part: Floats
    item_part: Floats
    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, user: Ints, item: Ints) -> Floats:
        product = np.einsum("...d,...d->...", self.user_part[user], self.item_part[item])
        return np.asarray(product * self.scale + self.shift, np.float32)


@dataclass(frozen=True)
class PairTable:
    """A sparse numeric column of pairs: `values[M]` float32 at sorted `codes[M]` = user * num_items + item, else 0."""

    codes: Ints
    values: Floats
    num_items: int

    def __call__(self, user: Ints, item: Ints) -> Floats:
        if not len(self.codes):
            return np.zeros(np.broadcast(user, item).shape, np.float32)
        wanted = np.asarray(user) * self.num_items + np.asarray(item)
        place = np.minimum(np.searchsorted(self.codes, wanted), len(self.codes) - 1)
        return np.where(self.codes[place] == wanted, self.values[place], np.float32(0))


@dataclass(frozen=True)
class CausalDataset:
    """A loaded data set: the logged part, the randomised part where there is one, and the tables of its columns.

    `user_table` has U rows and `item_table` I rows, row = id; columns are named as graph nodes. `item_vectors`: float
    arrays [I,D] of the item columns of kind `vector` (`data/vectors.py`), which no table holds; a row of NaN or of
    zeros is missing. `potential`: of simulated effects. `raw_sha256` names the raw files as read. `user_ids[U]`,
    `item_ids[I]`: the ids of the raw files, any dtype, row = id of the log; None where the files name none.
    """

    card: DatasetCard
    logged: InteractionLog
    user_table: pl.DataFrame
    item_table: pl.DataFrame
    randomised: InteractionLog | None = None
    pair_features: Mapping[str, PairColumn] = field(default_factory=dict)
    item_vectors: Mapping[str, Vectors] = field(default_factory=dict)
    oracle: Oracle | None = None
    potential: PotentialOutcomes | None = None
    raw_sha256: Mapping[str, str] = field(default_factory=dict)
    user_ids: pl.Series | None = None
    item_ids: pl.Series | None = None

    def __post_init__(self) -> None:
        expected = (self.logged.num_users, self.logged.num_items)
        if (len(self.user_table), len(self.item_table)) != expected:
            raise DataError(
                f"{self.card.name}: tables have {len(self.user_table)} users and {len(self.item_table)} items, "
                f"the log {expected[0]} and {expected[1]}; give every id one row"
            )
        for name, vectors in self.item_vectors.items():
            if len(vectors) != expected[1]:
                raise DataError(
                    f"{self.card.name}: {name} has {len(vectors)} rows of vectors, but there are {expected[1]} items; "
                    f"give one row per item, in item order"
                )
        for of, ids, count in zip(("user", "item"), (self.user_ids, self.item_ids), expected, strict=True):
            if ids is not None:
                self._check_raw_ids(of, ids, count)

    def _check_raw_ids(self, of: str, ids: pl.Series, count: int) -> None:
        name = f"{self.card.name}: {of}_ids"
        if len(ids) != count:
            raise DataError(f"{name} has {len(ids)} raw ids, but there are {count} {of}s; give each {of} one, in order")
        if (odd := ids.is_null() | ids.is_duplicated()).any():
            row = int(odd.arg_max() or 0)
            raise DataError(f"{name}: row {row}: {ids[row]!r} is missing or not the only one; give each {of} its own")
