"""Designs of studies whose average effects are known for every target: what intervals must cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from causalrec.estimators.effect.base import LearnerData
from causalrec.types import Doubles, Ints

Targets = Mapping[str, Doubles]  # the true average of each arm, by target


@dataclass(frozen=True, kw_only=True)
class Design:
    """How rows come about.

    Attributes:
        name: for tables.
        rows: of one draw.
        arms: beside none.
        units: clusters along the axis by which columns (and treatment, where `by_unit`) are drawn; None: rows.
        others: clusters along a second axis, with an intercept of their own; None: there is none.
        by_unit: whether a unit has one treatment.
        hidden: whether treatment follows what no column holds, with propensities logged row by row.
        scale: of the outcome.
    """

    name: str
    rows: int = 1_000
    arms: int = 1
    units: int | None = None
    others: int | None = None
    by_unit: bool = False
    hidden: bool = False
    scale: float = 1.0

    def draw(self, seed: int) -> LearnerData:
        """Return the rows of a study; the name and the seed fix it."""
        rng = np.random.default_rng([*self.name.encode(), seed])
        unit = np.arange(self.rows) if self.units is None else np.arange(self.rows) % self.units
        other = None if self.others is None else rng.integers(self.others, size=self.rows)
        x, hidden = self._columns(rng, unit)
        chances = self._chances(x, hidden)
        treatment = _draw_arms(chances, rng, unit if self.by_unit else np.arange(self.rows))
        outcome = x[:, 0] + x[:, 1] / 2 + 2 * hidden + rng.normal(size=self.rows)
        outcome += np.take_along_axis(np.pad(self._effects(x), ((0, 0), (1, 0))), treatment[:, None], 1)[:, 0]
        axes = [axis for axis, count in ((unit, self.units), (other, self.others)) if count is not None]
        for axis in axes:
            outcome += rng.normal(size=self.rows)[axis]
        return LearnerData(
            x,
            np.zeros((self.rows, 0)),
            treatment,
            outcome * self.scale,
            arms=self.arms,
            binary=False,
            groups=None if self.units is None else unit,
            clusters=tuple(axis for axis in axes if axis is not None),
            probabilities=chances if self.hidden else None,
        )

    @property
    def truths(self) -> Targets:
        """The average effects of the population, by a million of its rows."""
        return _truths(self)

    def _columns(self, rng: np.random.Generator, unit: Ints) -> tuple[Doubles, Doubles]:
        """Return two columns, and what no column holds; where treatment is by unit, all are the unit's."""
        of_row, of_unit = rng.normal(size=(2, len(unit), 3))
        values = of_unit[unit] if self.by_unit else (of_row + of_unit[unit]) / np.sqrt(2)
        return values[:, :2], values[:, 2] * self.hidden

    def _chances(self, x: Doubles, hidden: Doubles) -> Doubles:
        odds = [np.exp(0.7 * (x[:, 0] + hidden) / arm) for arm in range(1, self.arms + 1)]
        chances = np.stack([np.ones(len(x)), *odds], 1)
        return np.asarray(chances / chances.sum(1, keepdims=True))

    def _effects(self, x: Doubles) -> Doubles:
        return np.stack([arm + x[:, 0] for arm in range(1, self.arms + 1)], 1)


@cache
def _truths(design: Design) -> Targets:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1_000_000, 3))
    x, hidden = values[:, :2], values[:, 2] * design.hidden
    chances, effects = design._chances(x, hidden), design._effects(x)
    arm, none = chances[:, 1:], chances[:, :1]
    weights = {"all": np.ones_like(arm), "treated": arm, "untreated": none + 0 * arm}
    weights["overlap"] = arm * none / (arm + none)
    return {name: design.scale * (w * effects).sum(0) / w.sum(0) for name, w in weights.items()}


def _draw_arms(chances: Doubles, rng: np.random.Generator, unit: Ints) -> Ints:
    """Return the arm of each row; rows of a unit share one."""
    thresholds = rng.random(len(chances))[unit]
    return np.asarray((thresholds[:, None] > chances.cumsum(1)).sum(1).clip(max=chances.shape[1] - 1), np.int64)


INDEPENDENT = Design(name="rows independent")
BY_USER = Design(name="treatment by user", rows=1_200, units=300, by_unit=True)
TWO_ARMS = Design(name="two arms", rows=1_500, arms=2)
DESIGNS = (
    INDEPENDENT,
    Design(name="repeated users", units=250),
    BY_USER,
    Design(name="treatment by item", rows=1_600, units=200, others=200, by_unit=True),
    TWO_ARMS,
    Design(name="propensity by row", hidden=True),
    Design(name="outcome x 1,000", scale=1_000.0),
)
