"""Under y -> a y + b, a > 0, all that a learner from a table says of effects is a times as large."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.estimators.effect.base import AbstractFittedEffect, LearnerData
from causalrec.types import Doubles
from tests.estimators.test_effect_learners import PATHS, READ_BESIDE, learner, node, simulate

NAMES = [path.stem for path in PATHS]
SCALE, SHIFT, ROWS = 1000.0, 250.0, 400


@cache
def rows_of(name: str) -> LearnerData:
    """Confounded rows, with an instrument or a mediator for the learner that reads one."""
    rows, _ = simulate(ROWS)
    rng = np.random.default_rng(3)
    if name == "ortho_iv":
        coin = rng.integers(2, size=ROWS).astype(float)
        chance = 1 / (1 + np.exp(-rows.controls[:, 0] - 2 * (2 * coin - 1)))
        treatment = (rng.random(ROWS) < chance).astype(np.int64)
        return replace(rows, treatment=treatment, instruments_or_mediator=coin[:, None])
    if name in READ_BESIDE:
        seen = (rng.random(ROWS) < 0.25 + 0.5 * rows.treatment).astype(float)
        return replace(rows, instruments_or_mediator=seen[:, None])
    return rows


def small(name: str) -> dict[str, Any]:
    """Settings that make a learner quick: few trees and resamples."""
    settings = node(name)
    for models in ("models", "binary_models", "average"):
        for model in (settings.get(models) or {}).values():
            if isinstance(model, dict) and "Boosting" in model["estimator"]:
                model |= {"max_iter": 5, "min_samples_leaf": 20}
    if "n_estimators" in settings.get("arguments", {}):
        settings["arguments"] |= {"n_estimators": 8}
    if name.startswith("dowhy_") and name != "dowhy_matching":
        settings["replicates"] = 3
    return settings


def fit(name: str, scale: float, shift: float) -> AbstractFittedEffect:
    rows = rows_of(name)
    return learner(name, **small(name)).fit_rows(replace(rows, outcome=scale * rows.outcome + shift), 0)


def numbers(fitted: AbstractFittedEffect, rows: LearnerData) -> dict[str, Doubles]:
    """Return all that is said of the rows, in the outcome's unit."""
    average, interval = fitted.average(AverageRequest()), fitted.interval(rows.modifiers, rows.controls, 0.95)
    assert average is not None
    ends = {"value": average.value, "error": average.standard_error, "low": average.low, "high": average.high}
    values = {"effects": fitted.effects(rows.modifiers, rows.controls), **ends}
    return values if interval is None else {**values, "least": interval[0], "most": interval[1]}


@pytest.mark.parametrize("name", NAMES)
def test_effects_averages_and_intervals_follow_the_unit_of_the_outcome(name: str) -> None:
    """Boosted trees as well: they bin columns, not outcomes."""
    rows = rows_of(name)
    first, moved = (numbers(fit(name, *unit), rows) for unit in ((1.0, 0.0), (SCALE, SHIFT)))
    for what, value in first.items():
        size = np.abs(first["effects"]).max()
        np.testing.assert_allclose(moved[what] / SCALE, value, rtol=0, atol=1e-6 * size, err_msg=what)
