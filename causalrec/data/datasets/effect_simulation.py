"""A simulation whose effects are known: what estimators of effects, their intervals and refuters are tried on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.data.truth import PotentialOutcomes
from causalrec.errors import RequestError
from causalrec.types import Count, Doubles, Floats, Ints, OutcomeKind

Strength = Annotated[float, Field(ge=0)]
WIDTH = 5
SEEN_PROBABILITIES = (0.2, 0.8)
NAMES = tuple(f"x{k}" for k in range(WIDTH))


@dataclass(frozen=True, kw_only=True)
class EffectSimulation(AbstractDataset):
    """Units with columns x0..x4 ~ N(0, 1), one item, and a treatment whose effects are known.

    With raw outcomes `r_0 = x0 + x1^2 / 2 - 1/2 + c h` and `r_a = r_0 + a effect + heterogeneity (x1 + |x2|)`, the mean
    outcome is `r` (`reward`, unit noise), `sigmoid(r - 1)` (`click`) or `exp(r / 3)` (`count`). Log-odds of arm a
    against none are `confounding (x0 + x1) / a + c h`, h ~ N(0, 1) unseen, c the `confounder_strength`. True means are
    of the unit, h included. `confounding=0, confounder_strength=0` is a randomised experiment.

    Further columns: z, `c h + x0 + noise`, no cause of anything: a negative control. nudge, a fair coin: an instrument.
    seen, 1 with probability 0.2 without treatment and 0.8 under arm 1: a mediator. moment ~ N(0, 1), of the row, where
    `moment_strength` is above 0. Raises RequestError on a mediated effect of more than one arm, and on several rows of
    a unit whose moments or mediators differ.

    Attributes:
        units: number of rows of the log.
        arms: number of treatments beside none.
        outcome: what kind of number the outcome is.
        effect: of arm 1, on the scale of r; that of arm a is a times it.
        heterogeneity: how much effects vary with x1 and x2.
        confounding: how much x0 and x1 drive the treatment.
        confounder_strength: c, how much h drives treatment and outcome; above 0 nothing observed identifies the effect.
        randomised: number of further units, whose treatment is drawn evenly.
        instrument_strength: what nudge adds to the log-odds of every arm, or takes away.
        mediated: whether outcomes follow seen as if it were the treatment (one arm): a front door.
        moment_strength: s, `s moment` is added to `r_0` and to the log-odds of every arm.
        rows_per_unit: rows of each unit, all of its one treatment; noise and click are drawn for each row.
        unit_spread: standard deviation of what a unit adds to the r of all its rows, whatever the treatment.
        seed: draws everything.
    """

    units: Count = 2000
    arms: Annotated[int, Field(ge=1, le=4)] = 1
    outcome: Literal["reward", "click", "count"] = "reward"
    effect: float = 1.0
    heterogeneity: float = 1.0
    confounding: Strength = 1.0
    confounder_strength: Strength = 0.0
    randomised: Annotated[int, Field(ge=0)] = 0
    instrument_strength: Strength = 0.0
    mediated: bool = False
    moment_strength: Strength = 0.0
    rows_per_unit: Count = 1
    unit_spread: Strength = 0.0
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def card(self) -> DatasetCard:
        kind: OutcomeKind = self.outcome
        return DatasetCard(
            name="effect_simulation",
            domain="simulation",
            licence="made here",
            urls=(),
            sha256={},
            columns=(
                *(Column(name, "user", "numeric") for name in (*NAMES, "z", "nudge", "seen")),
                *([Column("moment", "row", "numeric")] if self.moment_strength else []),
            ),
            outcome=kind,
            resampled_by=("seed",),
            feedback="exposure_logged",
            size=f"{self.units:,} units",
            scale=(float("-inf"), float("inf"))
            if kind == "reward"
            else (0.0, 1.0 if kind == "click" else float("inf")),
            arms=tuple(f"arm {arm}" for arm in range(1, self.arms + 1)),
            known_truth=True,
            randomised="further units, whose treatment is drawn evenly" if self.randomised else None,
            repeats="error" if self.rows_per_unit == 1 else "allowed",
            unseen="keep",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    def identity(self, root: Path) -> str:
        return repr(self)

    def load(self, root: Path) -> CausalDataset:
        if self.mediated and self.arms > 1:
            raise RequestError(
                f"dataset.mediated: is made for one arm, and dataset.arms={self.arms}; set dataset.arms=1"
            )
        if self.rows_per_unit > 1 and (self.moment_strength or self.mediated):
            raise RequestError(
                "dataset.rows_per_unit: is made for columns of units; set dataset.moment_strength=0 and "
                "dataset.mediated=false, or dataset.rows_per_unit=1"
            )
        rng, units = np.random.default_rng([self.seed, 17]), self.units + self.randomised
        added_rng = np.random.default_rng(
            [self.seed, 18]
        )  # of the columns added later, so that the others stay as they were
        nudge, seen = (
            added_rng.integers(2, size=units),
            (added_rng.random((units, 2)) < SEEN_PROBABILITIES).astype(np.int64),
        )
        x, hidden = rng.normal(size=(units, WIDTH)), rng.normal(size=units)
        moment = np.random.default_rng([self.seed, 19]).normal(size=units)
        cause = self.confounder_strength * hidden + self.moment_strength * moment
        means = self._means(x, cause, self.unit_spread * np.random.default_rng([self.seed, 20]).normal(size=units))
        treatment, outcomes = self._draw_treatment(x, cause, nudge, rng), self._draw_outcomes(means, rng)
        if self.mediated:
            outcomes = np.take_along_axis(outcomes, seen, 1)
            means = means[:, :1] + (means[:, 1:] - means[:, :1]) * np.array(SEEN_PROBABILITIES)
        if self.randomised:
            treatment[self.units :] = rng.integers(self.arms + 1, size=self.randomised)
        control = self.confounder_strength * hidden + x[:, 0] + rng.normal(size=units)
        every = np.arange(units)
        unit = np.tile(every, self.rows_per_unit)
        again = self._draw_outcomes(means[unit[units:]], np.random.default_rng([self.seed, 21]))
        log = InteractionLog(
            item=np.zeros(len(unit), np.int64),
            treatment=treatment[unit],
            outcome=np.concatenate([outcomes, again])[np.arange(len(unit)), treatment[unit]].astype(np.float32),
            num_items=1,
            user=unit,
            num_users=units,
            columns={"moment": moment} if self.moment_strength else {},
            name="effect_simulation",
        )
        columns = {name: x[:, k] for k, name in enumerate(NAMES)} | {"z": control, "nudge": nudge}
        columns["seen"] = seen[every, np.minimum(treatment, 1)]
        realised = ByUser(outcomes.astype(np.float32)) if self.rows_per_unit == 1 else None
        return CausalDataset(
            card=self.card,
            logged=log.take(unit < self.units),
            randomised=log.take(unit >= self.units, "randomised") if self.randomised else None,
            user_table=pl.DataFrame(columns),
            item_table=pl.DataFrame({"item": ["the one"]}),
            potential=PotentialOutcomes(ByUser(means.astype(np.float32)), realised),
        )

    def _means(self, x: Doubles, cause: Doubles, intercept: Doubles) -> Doubles:
        control = x[:, 0] + x[:, 1] ** 2 / 2 - 0.5 + cause + intercept
        gain = self.heterogeneity * (x[:, 1] + np.abs(x[:, 2]))
        raw = np.stack([control, *(control + arm * self.effect + gain for arm in range(1, self.arms + 1))], 1)
        if self.outcome == "click":
            return np.asarray(1 / (1 + np.exp(1 - raw)))
        return np.exp(raw / 3) if self.outcome == "count" else raw

    def _draw_treatment(self, x: Doubles, cause: Doubles, nudge: Ints, rng: np.random.Generator) -> Ints:
        pushed = cause + self.instrument_strength * (2 * nudge - 1)
        odds = [np.zeros(len(x))]
        odds += [self.confounding * (x[:, 0] + x[:, 1]) / arm + pushed for arm in range(1, self.arms + 1)]
        utility = np.stack(odds, 1) + rng.gumbel(size=(len(x), self.arms + 1))
        return np.asarray(utility.argmax(1), np.int64)

    def _draw_outcomes(self, means: Doubles, rng: np.random.Generator) -> Doubles:
        if self.outcome == "click":
            return (rng.random(means.shape) < means).astype(np.float64)
        if self.outcome == "count":
            return rng.poisson(means).astype(np.float64)
        return means + rng.normal(size=means.shape)


@dataclass(frozen=True)
class ByUser:
    """A row of numbers for each user, whatever the item: `table[U,A+1]` float32."""

    table: Floats

    def __call__(self, user: Ints, item: Ints) -> Floats:
        return self.table[user]
