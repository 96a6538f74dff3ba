"""Effects learnt from rows: what is read, and what was learnt, whoever wrote the learner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from causalrec.errors import DataError
from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest
from causalrec.estimators.effect.simultaneous import (
    SimultaneousInterval,
    describe_candidates,
    largest_t_level,
    sidak_level,
)
from causalrec.types import Bools, Doubles, Ints

Design = Literal["adjustment", "instrument", "front-door"]
LEAST_ROWS = 10  # of an arm: below it no fold can be held out
MOST_AXES = 2


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
        groups: int64[N], the unit of assignment of each row, else its user, all of whose rows stay in one fold; None:
            every row is a user.
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
        self._check_probabilities()
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
        """No two rows are of one cluster."""
        return all(len(np.unique(axis)) == len(self) for axis in self.dependence)

    @property
    def dependence(self) -> tuple[Ints, ...]:
        """The axes along which rows depend on each other: the clusters; where none are named, the groups."""
        if self.clusters or self.groups is None:
            return self.clusters
        return (self.groups,)

    def take(self, rows: Bools | Ints) -> LearnerData:
        """Return those rows (a mask, or indices)."""
        return replace(
            self,
            modifiers=self.modifiers[rows],
            controls=self.controls[rows],
            treatment=self.treatment[rows],
            outcome=self.outcome[rows],
            groups=None if self.groups is None else self.groups[rows],
            clusters=tuple(axis[rows] for axis in self.clusters),
            probabilities=None if self.probabilities is None else self.probabilities[rows],
            instruments_or_mediator=None
            if self.instruments_or_mediator is None
            else self.instruments_or_mediator[rows],
        )

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

    def check_folds(self, folds: int) -> None:
        """Raise DataError where the rows have fewer groups, each whole in a fold, than cross-fitting has folds."""
        count = folds if self.groups is None else len(np.unique(self.groups))
        if count < folds:
            units = "all rows are of 1 user" if count == 1 else f"the rows are of {count} users"
            raise DataError(
                f"effect: {units} (or unit of assignment), and cross-fitting keeps each whole in one of {folds} folds; "
                f"log more of them, or set dataset.user=null where each row is a person"
            )

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
        if len(self.clusters) > MOST_AXES:
            raise DataError(f"effect: {len(self.clusters)} axes of clusters; rows may depend along {MOST_AXES} at most")
        by_row = [("treatment", self.treatment), ("groups", self.groups)]
        for what, column in (*by_row, *(("clusters", axis) for axis in self.clusters)):
            if column is not None and (column.shape != (rows,) or column.dtype.kind != "i"):
                raise DataError(f"effect: {what} is {column.dtype}{column.shape}; expected int64 of shape ({rows},)")

    def _check_probabilities(self) -> None:
        probabilities, shape = self.probabilities, (len(self), self.arms + 1)
        if probabilities is None:
            return
        if probabilities.shape != shape:
            raise DataError(f"effect: probabilities have shape {probabilities.shape}; expected {shape}")
        check_finite("probabilities", probabilities, ())
        outside = ((probabilities < 0) | (probabilities > 1)).any(axis=1)
        if outside.any():
            raise DataError(f"effect: a probability of row {int(np.argmax(outside))} is outside 0 to 1")

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


class AbstractFittedEffect(ABC):
    """Effects learned from rows; every method takes the columns of rows that need not be those fitted on."""

    @abstractmethod
    def effects(self, modifiers: Doubles, controls: Doubles) -> Doubles:
        """Return E[Y(a) - Y(0) | x], float64[N,A], in the outcome's unit."""

    @abstractmethod
    def interval(self, modifiers: Doubles, controls: Doubles, level: float) -> tuple[Doubles, Doubles] | None:
        """Return the pointwise confidence interval (low, high), float64[N,A] each; None where it has none."""

    @property
    def lacks_independence(self) -> bool:
        """Whether it has no interval only because rows it was fitted on depend on each other."""
        return False

    def columns_read(self, modifiers: Doubles, controls: Doubles) -> Doubles:
        """Return the columns by which its effects may differ, float64[N,D]: rows that are alike in them have one."""
        return np.hstack([modifiers, controls])

    def covariance_root(self, modifiers: Doubles, controls: Doubles, arm: int) -> Doubles | None:
        """Return float64[N,F], rows whose products are the covariances of the effects of an arm, F far below N.

        None where nothing but the error of each effect is known.
        """
        return None

    def simultaneous_interval(
        self, modifiers: Doubles, controls: Doubles, arm: int, level: float
    ) -> SimultaneousInterval | None:
        """Return intervals of the effects of an arm that hold for all these rows at once; None where it has none.

        By the largest |t| of the joint covariance, where it is known; else by Sidak's level of their number. Rows that
        have one effect count once.

        Args:
            modifiers: float64[N,Dx].
            controls: float64[N,Dw].
            arm: from 1.
            level: at which all hold, a probability.
        """
        _, first, group = np.unique(
            self.columns_read(modifiers, controls), axis=0, return_index=True, return_inverse=True
        )
        candidates = modifiers[first], controls[first]
        root = self.covariance_root(*candidates, arm) if len(first) > 1 else None
        each = sidak_level(level, len(first)) if root is None else largest_t_level(root, level)
        ends = self.interval(*candidates, each)
        if ends is None:
            return None
        low, high = (end[group.reshape(-1), arm - 1] for end in ends)
        note = describe_candidates(len(modifiers), len(first), level, jointly=root is not None)
        return SimultaneousInterval(low, high, note)

    def adjusted_rows(self, request: AverageRequest) -> AdjustedRows | None:
        """Return the rows it was fitted on (those `included`) with nuisances that have not learnt from them.

        What average effects of any target and group are made of; None where it has no such nuisances.
        """
        return None

    def average(self, request: AverageRequest) -> AverageEffect | None:
        """Return the average effect over the population of which the rows it was fitted on are a sample.

        None where it has none; a learner says in `targets` on whom it can average.
        """
        rows = self.adjusted_rows(request)
        return None if rows is None else rows.average(request)

    def outcome_means(self, modifiers: Doubles, controls: Doubles) -> Doubles | None:
        """Return the mean outcome under each arm of other rows, float64[N,A+1], for the average effect on test rows;
        None where it has none.
        """
        return None

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
