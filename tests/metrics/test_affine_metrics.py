"""How every metric of `conf/metric` moves where outcomes become a y + b, as it declares."""

from __future__ import annotations

import dataclasses
import math
from typing import get_args

import numpy as np
import pytest
import torch

from causalrec.metrics.base import Scored, UnderAffine
from causalrec.types import LabelKind
from tests.metrics.test_metric_contract import CASES, METRICS, USERS, rows, value

SCALE, SHIFT = 2.5, -1.25  # not to a sum of 1: what is divided by the best outcome, 1, would seem to shift


def moved_value(declared: UnderAffine, before: float) -> float:
    """Return what a value becomes, by the declaration."""
    return {
        "invariant": before,
        "scales": SCALE * before,
        "squares": SCALE**2 * before,
        "shifts": SCALE * before + SHIFT,
    }[declared]


def is_normalised(name: str) -> bool:
    """Whether it is a share of the best order's, which outcomes of 0 and 1 alone have."""
    return bool(getattr(METRICS[name].build(1), "normalise", False))


def balanced_rows() -> Scored:
    """Rows of numeric outcomes; of each user and prediction one is treated and one is not, with probability 1/2."""
    rng = np.random.default_rng(4)
    user = np.repeat(np.arange(USERS), 8)
    effect = (rng.permutation(np.arange(len(user))) - len(user) // 3) / len(user)
    user, effect, treatment = np.repeat(user, 2), np.repeat(effect, 2), np.tile([0, 1], len(user))
    outcome = 3 + rng.normal(size=len(user)) + treatment * (effect + 0.2)
    half = torch.full((len(user),), 0.5)
    columns = (torch.from_numpy(column) for column in (effect, outcome, user))
    return Scored(*columns, 0.0, treatment=torch.from_numpy(treatment), propensity=half)


def rows_of(kind: LabelKind) -> Scored:
    scored = balanced_rows() if kind == "uplift" else rows(kind)
    tensors = {name: column for name, column in vars(scored).items() if isinstance(column, torch.Tensor)}
    return dataclasses.replace(
        scored, **{name: column.double() for name, column in tensors.items() if column.is_floating_point()}
    )


def move(scored: Scored, kind: LabelKind) -> Scored:
    """Return the rows of the outcome a y + b; an effect is a difference."""
    shift = 0.0 if kind == "effect" else SHIFT
    predicted_shift = 0.0 if kind in ("effect", "uplift") else SHIFT
    drawn_effect = None if scored.drawn_effect is None else SCALE * scored.drawn_effect
    return dataclasses.replace(
        scored,
        prediction=SCALE * scored.prediction + predicted_shift,
        label=SCALE * scored.label + shift,
        constant=SCALE * scored.constant + SHIFT,
        drawn_effect=drawn_effect,
    )


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_declares_how_it_moves(name: str) -> None:
    assert METRICS[name].target.under_affine in get_args(UnderAffine)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_metric_moves_as_it_declares(name: str, kind: LabelKind) -> None:
    declared, scored = METRICS[name].target.under_affine, rows_of(kind)
    before, after = value(name, scored), value(name, move(scored, kind))
    if declared == "undefined":
        others = [moved_value(other, before) for other in get_args(UnderAffine) if other != "undefined"]
        assert math.isnan(after) or all(after != pytest.approx(other, rel=1e-6) for other in others), "say how it moves"
    else:
        assert after == pytest.approx(moved_value(declared, before), rel=1e-9, abs=1e-12, nan_ok=is_normalised(name))


def test_what_is_normalised_is_for_outcomes_of_0_and_1_alone() -> None:
    normalised = [name for name in METRICS if is_normalised(name)]
    assert normalised and all(math.isnan(value(name, balanced_rows())) for name in normalised)
