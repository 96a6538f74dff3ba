"""The card that says what a data set is, known before any file is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from causalrec.errors import DataError, RequestError
from causalrec.types import Feedback, OutcomeKind

ColumnEntity = Literal["user", "item", "pair", "row"]  # row: of the moment (hour, store and week, request)
ColumnKind = Literal["id", "numeric", "category", "multi_hot", "text", "vector", "knowledge"]
CODED_COLUMN_KINDS: tuple[ColumnKind, ...] = ("category", "numeric")  # one number or level code a row


@dataclass(frozen=True)
class Column:
    """An observed column, named as its node in the causal graph: whose it is, and how a model may read it.

    A column of a row holds numbers or categories; DataError otherwise.
    """

    name: str
    entity: ColumnEntity
    kind: ColumnKind

    def __post_init__(self) -> None:
        if self.entity == "row" and self.kind not in ("numeric", "category"):
            raise DataError(f"column {self.name}: a column of a row is numeric or category, not {self.kind}")


@dataclass(frozen=True)
class DatasetCard:
    """What a data set is, known before any file is read.

    Attributes:
        name: As on the command line.
        domain: What the data are about, in a word or two.
        licence: Under which terms they may be used.
        urls: Where they come from.
        sha256: Of each raw file, by name.
        columns: The observed columns.
        outcome: What kind of number the outcome is.
        feedback: What a row that is not there means.
        size: Users, items and rows, in words.
        scale: Bounds of the raw outcome, both ends included.
        threshold: The outcome is 1 from this raw value on; None keeps it.
        bin_edges: A class outcome is how many of them the raw one reaches, so that there are one more classes.
        arms: What treatments 1, 2 and so on are, where rows under treatment 0 have an outcome too, so that effects can
            be learnt.
        resampled_by: Keywords of the data set that draw rows or outcomes anew of the same users and items: jobs that
            differ in them are replicates of one row, and may train side by side.
        randomised: How the randomised part was drawn, None without one.
        unbiased: Whether the part apart from the log was drawn at random, or is a block whose every pair was observed
            (no random draw: it is unbiased for that block alone).
        strata: Columns within whose levels the treatment of the randomised part was drawn at random; none: in all rows
            alike.
        randomised_training: Treatment was drawn at random in the logged part too.
        logged_propensity: Rows hold the probability that the logging policy used.
        rounds: Each row is a round in which a policy took one item: its propensity is p(item | round), not that of a
            pair to be logged.
        known_truth: A simulation knows the true outcomes.
        fresh_test_labels: A test pair that is also logged has an outcome drawn anew.
        self_selected: Users are known to choose by how they would rate, so exposure and outcome share a cause that no
            column holds.
        repeats: Whether one (user, item) pair may occur twice in one log.
        unseen: What a split does by default with a test row whose user or item has no training row.
        times_compare: Whether the times of two users stand on one clock; else a time is a place in its user's sequence.
        caveat: What must be read with any result on it, without a full stop; each table and report repeats it.

    Raises RequestError on a threshold outside the scale.
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
    bin_edges: tuple[float, ...] = ()
    arms: tuple[str, ...] = ()
    resampled_by: tuple[str, ...] = ()
    randomised: str | None = None
    unbiased: Literal["randomised", "fully_observed"] = "randomised"
    strata: tuple[str, ...] = ()
    randomised_training: bool = False
    logged_propensity: bool = False
    rounds: bool = False
    known_truth: bool = False
    fresh_test_labels: bool = False
    self_selected: bool = False
    repeats: Literal["allowed", "error", "keep_last"] = "error"
    unseen: Literal["error", "drop", "keep"] = "error"
    times_compare: bool = True
    caveat: str | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not self.scale[0] < self.threshold <= self.scale[1]:
            low, high = self.scale
            raise RequestError(
                f"dataset.threshold={self.threshold:g}: outside the scale {low:g}..{high:g} of {self.name}, so that "
                f"every label is {int(self.threshold <= low)}; choose above {low:g} and up to {high:g}"
            )

    def require_feedback(self, choice: str, feedback_types: frozenset[str]) -> None:
        """Raise RequestError where an objective, `choice`, is not defined for these data's feedback."""
        if self.feedback not in feedback_types:
            raise RequestError(
                f"{choice}: undefined for the {self.feedback} feedback of {self.name}; "
                f"it is defined for {', '.join(sorted(feedback_types))}"
            )

    def column(self, name: str) -> Column:
        """Return the column of that name (KeyError where the card has none)."""
        return {column.name: column for column in self.columns}[name]

    @property
    def row_columns(self) -> tuple[Column, ...]:
        """The columns of a row: covariates of the moment, which pairs that were never logged do not have."""
        return tuple(column for column in self.columns if column.entity == "row")
