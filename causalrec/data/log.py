"""The canonical interaction log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from causalrec.data.pair_columns import PairFinder
from causalrec.data.pair_pool import PairPool
from causalrec.errors import DataError
from causalrec.types import Bools, Floats, Ints

RowValues = npt.NDArray[Any]  # one value a row: float numbers, or the levels of a category as integers or text
_BY_ROW = (
    *("item", "treatment", "outcome", "user", "time", "position"),
    *("propensity", "arm_probabilities", "weight", "unit"),
)
SUM_TOLERANCE = 1e-3  # of the probabilities of all arms, which files round


@dataclass(frozen=True, repr=False)
class InteractionLog:
    """Logged interactions, checked once when built.

    Attributes:
        item: [N] int64 (= the arm, where arms are items).
        treatment: [N] int64, 0 = not exposed, 1.. = arms.
        outcome: [N] float32, nan where unseen.
        num_items: Items of the data set; ids run from 0.
        user: [N] int64, absent in userless logs.
        num_users: Users of the data set, 0 in a userless log.
        time: [N] int64, seconds.
        position: [N] int64.
        propensity: [N] float32, a probability in (0, 1].
        arm_probabilities: [N,A+1] float32, those with which a row would have received each treatment, as logged; absent
            where the log does not say, or says it by `propensity` alone.
        weight: [N] float32, how much a row counts in training (above 0), absent where all count 1.
        unit: [N] int64, the unit of assignment, whose rows stay in one part; absent where each row is its own.
        columns: The row's own columns by name, [N] each: float numbers, or categories as integers or text (numpy `U`).
        name: How errors call it.
        unit_level: Whose `unit` is: `user`, `item` or a column; `row` where each row is its own, empty until judged.
        pool: Users and items whose pairs the rows stand for, all rows among them; None: all of the data set.
        of_rounds: Whether each row is a round of its user's, in which a policy took the item: `propensity` is then
            p(item | round), and the items of a round sum to 1. So it is in every log without users.

    Raises:
        DataError: Ids outside their range, ragged columns, a NaN outcome of an exposed row, a propensity outside
            (0, 1], probabilities of arms that do not sum to 1 or are 0 for the arm received, a weight that is not above
            0, a number of a row that is not finite.
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
    arm_probabilities: Floats | None = None
    weight: Floats | None = None
    unit: Ints | None = None
    columns: Mapping[str, RowValues] = field(default_factory=dict)
    name: str = "log"
    unit_level: str = ""
    pool: PairPool | None = None
    of_rounds: bool = False

    def __post_init__(self) -> None:
        for label, column in ({name: getattr(self, name) for name in _BY_ROW} | {**self.columns}).items():
            if column is not None and len(column) != len(self.item):
                raise DataError(f"{self.name}: {label} has {len(column)} rows, item has {len(self.item)}; align them")
        self._check_ids("item", self.item, self.num_items)
        if self.user is not None:
            self._check_ids("user", self.user, self.num_users)
        if (unseen := np.isnan(self.outcome)).any():  # most logs have none, and masks of 10^8 rows take seconds
            self._require(
                ~(unseen & (self.treatment > 0)), "outcome is NaN for an exposed row", "drop the row or set its outcome"
            )
        if len(self) and self.treatment.min() < 0:
            self._require(self.treatment >= 0, "treatment is negative", "0 = not exposed, 1.. = arms")
        if self.propensity is not None:
            fits = (self.propensity > 0) & (self.propensity <= 1)
            self._require(fits, "propensity is outside (0, 1]", "give the probability that the row was exposed")
        if self.arm_probabilities is not None:
            self._check_arm_probabilities(self.arm_probabilities)
        if self.weight is not None:
            counts = (self.weight > 0) & np.isfinite(self.weight)
            self._require(counts, "weight is not a number above 0", "leave out rows that shall not count")
        for label, column in self.columns.items():
            self._check_column(label, column)

    def _check_ids(self, label: str, ids: Ints, count: int) -> None:
        if len(ids) and (ids.min() < 0 or ids.max() >= count):
            self._require((ids >= 0) & (ids < count), f"{label} id is outside 0..{count - 1}", "map ids to 0..n-1")

    def _check_arm_probabilities(self, probabilities: Floats) -> None:
        fits: Bools = np.asarray(((probabilities >= 0) & (probabilities <= 1)).all(1))
        self._require(fits, "a logged propensity of an arm is outside [0, 1]", "give one probability for each arm")
        sums: Bools = np.asarray(np.abs(probabilities.sum(1, dtype=np.float64) - 1) <= SUM_TOLERANCE)
        self._require(
            sums, "the logged propensities of all arms do not sum to 1", "name one column for each arm, none included"
        )
        self._require(
            self.treatment < probabilities.shape[1], "has an arm without a logged propensity", "name its column"
        )
        received = np.take_along_axis(probabilities, self.treatment[:, None], 1)[:, 0] > 0
        self._require(received, "the logged propensity of the arm received is 0", "give the probability that was used")

    def _check_column(self, label: str, column: RowValues) -> None:
        if column.dtype.kind not in "fiuU":
            raise DataError(
                f"{self.name}: column {label} is of type {column.dtype}; give numbers, or categories as an array of str"
            )
        if column.dtype.kind == "f":
            self._require(np.isfinite(column), f"column {label} is not a finite number", "fill it or drop the row")

    def _require(self, fits: Bools, what: str, fix: str) -> None:
        if not fits.all():
            row = int(np.argmin(fits))
            raise DataError(f"{self.name}: row {row}: {what} ({int((~fits).sum())} such rows); {fix}")

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        return f"<InteractionLog {self.name}: {len(self)} rows, {self.num_users} users, {self.num_items} items>"

    @property
    def users(self) -> Ints:
        """The user of each row, int64[N]; zeros in a userless log, whose tables of users have one row to read."""
        return np.zeros(len(self), np.int64) if self.user is None else self.user

    @property
    def row_weights(self) -> Floats:
        """How much each row counts in training, float32[N]; ones where the log does not say."""
        return np.ones(len(self), np.float32) if self.weight is None else self.weight

    @cached_property
    def has_arms(self) -> bool:
        """Whether unexposed rows have outcomes: a propensity is then that of the treatment received."""
        return bool(((self.treatment == 0) & ~np.isnan(self.outcome)).any())

    @property
    def propensity_follows_share(self) -> bool:
        """Whether a part of the rows has a part of the propensity: that of a pair to be among the rows. That of the arm
        received, of a round or where unexposed rows are logged too, is the same in every part."""
        return self.user is not None and not self.of_rounds and not self.has_arms

    @property
    def num_codes(self) -> int:
        """Number of user-item pairs of the data set (of items, in a userless log): codes run from 0 to it."""
        return max(self.num_users, 1) * self.num_items

    @property
    def num_pairs(self) -> int:
        """Number of user-item pairs that the rows stand for: those of the pool, where there is one."""
        return self.num_codes if self.pool is None else self.pool.num_pairs

    def pair_codes(self, index: Ints) -> Ints:
        """Return the codes of pairs by their number among those that the rows stand for, from 0 to `num_pairs`."""
        return index if self.pool is None else self.pool.codes(index, self.num_items)

    @property
    def pool_users(self) -> Ints:
        """The users whose pairs the rows stand for, in increasing order."""
        return np.arange(max(self.num_users, 1)) if self.pool is None else self.pool.users

    @property
    def pool_items(self) -> Ints:
        """The items whose pairs the rows stand for, in increasing order."""
        return np.arange(self.num_items) if self.pool is None else self.pool.items

    @property
    def population(self) -> float:
        """What the rows stand for: user-item pairs; in a log of rounds the sum of 1/p, as p is p(arm | round)."""
        if (self.user is not None and not self.of_rounds) or self.propensity is None:
            return float(self.num_pairs)
        return float((1.0 / self.propensity.astype(np.float64)).sum())

    @property
    def codes(self) -> Ints:
        """One integer per row that names its (user, item) pair, row-major: `user * num_items + item`."""
        return self.item if self.user is None else self.user * self.num_items + self.item

    @cached_property
    def finder(self) -> PairFinder:
        """Finds the row of a pair by its code, built when first asked for."""
        return PairFinder(self.codes, self.num_codes)

    @cached_property
    def rows_by_pair(self) -> tuple[Ints, Ints]:
        """Row numbers in the order of their pairs' codes, int64[N], and those codes."""
        order = np.argsort(self.codes, kind="stable")
        return order, self.codes[order]

    @cached_property
    def pair_counts(self) -> Ints:
        """How many rows each row's pair has, int64[N]."""
        _, inverse, counts = np.unique(self.codes, return_inverse=True, return_counts=True)
        return counts[inverse]

    @cached_property
    def distinct_pairs(self) -> int:
        """How many pairs have a row."""
        ascending = np.sort(self.codes)  # np.unique, where it hashes, takes ten times as long
        return int(np.count_nonzero(np.diff(ascending))) + min(len(ascending), 1)

    @property
    def has_repeats(self) -> bool:
        """Whether a pair has several rows."""
        return self.distinct_pairs < len(self)

    def take(self, rows: Ints | Bools, name: str | None = None) -> InteractionLog:
        """Return the log of those rows (indices or a mask)."""
        by_row = {label: getattr(self, label) for label in _BY_ROW}
        taken: dict[str, Any] = {label: None if values is None else values[rows] for label, values in by_row.items()}
        columns = {label: values[rows] for label, values in self.columns.items()}
        return replace(self, name=name or self.name, columns=columns, **taken)

    def with_propensity(self, propensity: Floats) -> InteractionLog:
        """Return the log with these propensities (float32[N], probabilities in (0, 1])."""
        return replace(self, propensity=propensity)

    def concatenate(self, other: InteractionLog) -> InteractionLog:
        """Return this log's rows followed by the other's (of the same columns); DataError where one alone has units."""
        if (self.unit is None) != (other.unit is None):
            raise DataError(f"{self.name}: {other.name} has other units of assignment; mark the units of both first")
        both = {label: (getattr(self, label), getattr(other, label)) for label in _BY_ROW}
        if (self.weight is None) != (other.weight is None):
            both["weight"] = (self.row_weights, other.row_weights)
        rows: dict[str, Any] = {k: None if a is None else np.concatenate([a, b]) for k, (a, b) in both.items()}
        columns = {label: np.concatenate([values, other.columns[label]]) for label, values in self.columns.items()}
        return replace(self, columns=columns, **rows)

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
