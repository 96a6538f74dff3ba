"""Effects learnt from rows: what is read, and what was learnt, whoever wrote the learner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from causalrec.errors import DataError
from causalrec.types import Doubles, Ints

Design = Literal["adjustment", "instrument", "front-door"]
LEAST_ROWS = 10  # of an arm: below it no fold can be held out


@dataclass(frozen=True)
class LearnerData:
    """What a learner of effects reads, one row per logged treatment.

    Attributes:
        modifiers: X, float64[N,Dx], by which the effect may vary.
        controls: W, float64[N,Dw], the adjustment set where it is not in X; Dw may be 0.
        treatment: int64[N] in 0..A, 0 = none, every arm present.
        outcome: float64[N], in its own unit.
        arms: A.
        binary: whether the outcome is 0 or 1.
        groups: int64[N], the user of each row, all of whose rows stay in one fold; None: every row is a user.
        clusters: int64[N] each, at most two axes along which rows depend on each other; none: each row is by itself.
        probabilities: float64[N,A+1], those of each arm where they are logged, so that nobody estimates them; None:
            they are fitted.
        modifier_names: of the columns of X, for messages.
        control_names: of the columns of W, for messages.
        instruments_or_mediator: float64[N,D], the instruments (Z) or the mediator, where a learner's `design` reads
            them.

    Raises DataError where the rows do not hold what they must.
    """

    modifiers: Doubles
    controls: Doubles
    treatment: Ints
    outcome: Doubles
    arms: int
    binary: bool
    groups: Ints | None = None
    clusters: tuple[Ints, ...] = ()
    probabilities: Doubles | None = None
    modifier_names: tuple[str, ...] = ()
    control_names: tuple[str, ...] = ()
    instruments_or_mediator: Doubles | None = None

    def __post_init__(self) -> None:
        self._check_shapes()
        check_finite("modifiers", self.modifiers, self.modifier_names)
        check_finite("controls", self.controls, self.control_names)
        if self.instruments_or_mediator is not None:
            check_finite("instruments or mediator", self.instruments_or_mediator, ())
        self._check_outcome()
        self._check_arms()

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def features(self) -> Doubles:
        """The columns of X, then those of W, float64[N,Dx+Dw]: what nuisance models read."""
        return np.hstack([self.modifiers, self.controls])

    @property
    def independent(self) -> bool:
        """No user has two rows."""
        return self.groups is None or len(np.unique(self.groups)) == len(self)

    def holds(self, modifiers: Doubles, controls: Doubles) -> bool:
        """Whether these are the columns of the rows themselves."""
        return np.array_equal(modifiers, self.modifiers) and np.array_equal(controls, self.controls)

    def check_width(self, modifiers: Doubles, controls: Doubles) -> None:
        """Raise DataError unless other rows have the same columns, all finite."""
        for what, given, fitted in (("modifiers", modifiers, self.modifiers), ("controls", controls, self.controls)):
            if given.shape != (len(modifiers), fitted.shape[1]):
                raise DataError(
                    f"effect: {what} have shape {given.shape}, not ({len(modifiers)}, {fitted.shape[1]}) as those "
                    f"fitted on; hand over the same columns"
                )
        check_finite("modifiers", modifiers, self.modifier_names)
        check_finite("controls", controls, self.control_names)

    def _check_shapes(self) -> None:
        rows = len(self)
        for what, columns, names in (
            ("modifiers", self.modifiers, self.modifier_names),
            ("controls", self.controls, self.control_names),
        ):
            if columns.ndim != 2 or len(columns) != rows:
                raise DataError(f"effect: {what} have shape {columns.shape}; expected ({rows}, columns)")
            if names and len(names) != columns.shape[1]:
                raise DataError(f"effect: {what} have {columns.shape[1]} columns and {len(names)} names; name each one")
        for what, column in (("treatment", self.treatment), ("groups", self.groups)):
            if column is not None and (column.shape != (rows,) or column.dtype.kind != "i"):
                raise DataError(f"effect: {what} is {column.dtype}{column.shape}; expected int64 of shape ({rows},)")

    def _check_outcome(self) -> None:
        check_finite("outcome", self.outcome[:, None], ("outcome",))
        if len(np.unique(self.outcome)) < 2:
            raise DataError(f"effect: outcome is constant in all {len(self)} rows; there is no effect to learn from")
        if self.binary and not np.isin(self.outcome, (0.0, 1.0)).all():
            row = int(np.argmin(np.isin(self.outcome, (0.0, 1.0))))
            raise DataError(f"effect: outcome of row {row} is {self.outcome[row]:g}, not 0 or 1; set binary to False")

    def _check_arms(self) -> None:
        if self.arms < 1:
            raise DataError(f"effect: arms={self.arms}; an effect needs at least one arm beside none")
        outside = (self.treatment < 0) | (self.treatment > self.arms)
        if outside.any():
            row = int(np.argmax(outside))
            raise DataError(f"effect: treatment of row {row} is {self.treatment[row]}, outside 0..{self.arms}")
        for arm, count in enumerate(np.bincount(self.treatment, minlength=self.arms + 1)):
            if count < LEAST_ROWS:
                who = f"arm {arm}" if arm else "arm 0 (not treated)"
                raise DataError(f"effect: {who} has {count} rows, fewer than {LEAST_ROWS}; leave it out or log more")


@dataclass(frozen=True)
class AverageEffect:
    """The average effect of each arm.

    Attributes:
        value: float64[A], in the outcome's unit.
        standard_error: float64[A], of the value; nan where no error is known, as the ends.
        low: float64[A], lower end of its interval.
        high: float64[A], upper end.
    """

    value: Doubles
    standard_error: Doubles
    low: Doubles
    high: Doubles


class AbstractFittedEffect(ABC):
    """Effects learned from rows; every method takes the columns of rows that need not be those fitted on."""

    @abstractmethod
    def effects(self, modifiers: Doubles, controls: Doubles) -> Doubles:
        """Return E[Y(a) - Y(0) | x], float64[N,A], in the outcome's unit."""

    @abstractmethod
    def interval(self, modifiers: Doubles, controls: Doubles, level: float) -> tuple[Doubles, Doubles] | None:
        """Return the pointwise confidence interval (low, high), float64[N,A] each; None where it has none."""

    @abstractmethod
    def average(self, modifiers: Doubles, controls: Doubles, level: float) -> AverageEffect | None:
        """Return the average effect over the population these rows are a sample of; None where it has none."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be read beside its numbers so far, a line each: fits that did not converge."""
        return ()


FitEffect = Callable[[LearnerData, int], AbstractFittedEffect]  # rows, seed -> what was learnt of them


def check_finite(what: str, columns: Doubles, names: tuple[str, ...]) -> None:
    """Raise DataError, naming row and column, where a value is nan or infinite."""
    bad = ~np.isfinite(columns)
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        name = names[column] if names else f"column {column}"
        raise DataError(f"effect: {what}: {name} is {columns[row, column]} in row {row}; fill it in or drop the row")
