"""The rules that each row of the interactions must keep, applied to a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from causalrec.data.tabular.bad_rows import BadRows, Hint
from causalrec.data.tabular.numbers import number_hint
from causalrec.data.tabular.role_values import ABSENT, missing_mask
from causalrec.data.tabular.roles import Roles
from causalrec.data.tabular.times import time_hint
from causalrec.types import Bools

Arrays = dict[str, npt.NDArray[Any]]


def note_bad_rows(arrays: Arrays, roles: Roles, bad_rows: BadRows, offset: int) -> None:
    """Note every row of a batch that breaks a rule of its column, but where a missing cell is filled or dropped.

    Args:
        arrays: Values by role, and masks of missing cells.
        roles: Which column plays which role.
        bad_rows: Where they are noted.
        offset: The row of the table that the batch begins with.
    """
    blank = _blank_rows(arrays, roles)
    dropped = [arrays[missing_mask(role)] for role in ("user", "item") if role in roles.filled]
    bad_rows.add("a blank row; remove it", None, blank & ~np.any(dropped, axis=0) if dropped else blank, offset)

    def note(what: str, role: str, bad: Bools, hint: Hint | None = None) -> None:
        bad = bad & ~blank & ~arrays.get(missing_mask(role), np.zeros(len(bad), bool))
        bad_rows.add(what, roles.columns[role], bad, offset, hint=hint)

    for role in ("user", "item"):
        if role in roles.columns:
            note("no id", role, arrays[role] < 0)
    if "outcome" in arrays:
        _note_outcomes(arrays, roles, note)
    for role, what, hint in (("time", roles.time_format.description, time_hint), ("position", "a whole number", None)):
        if role in arrays:
            note(f"{{value}} is not {what}", role, arrays[role] == ABSENT, hint)
    if "treatment" in arrays:
        levels = f"none of dataset.exposure_levels ({', '.join(roles.exposure_levels)})"
        what = levels if roles.exposure_levels else "not an exposure: 0 = not exposed, 1.. = arms"
        note(
            f"{{value}} is {what}", "treatment", arrays["treatment"] < 0, None if roles.exposure_levels else _level_hint
        )
    if "propensity" in arrays:
        chance = arrays["propensity"].astype(np.float32)
        note("propensity {value} is outside (0, 1]", "propensity", ~((chance > 0) & (chance <= 1)))
    for role in roles.columns:
        if role.startswith("category"):
            note("no category", role, arrays[role] < 0, _category_hint)
        elif role.startswith(("number", "potential")):
            note("{value} is not a finite number", role, ~np.isfinite(arrays[role]), number_hint)
        elif role.startswith("arm_propensity"):
            note("propensity {value} is outside [0, 1]", role, ~((arrays[role] >= 0) & (arrays[role] <= 1)))
    if "randomised" in arrays:
        note("the flag {value} is neither 0 nor 1", "randomised", ~np.isin(arrays["randomised"], (0, 1)))


def _blank_rows(arrays: Arrays, roles: Roles) -> Bools:
    """Return which rows hold no id and no outcome at all."""
    ids = [role for role in ("item", "user") if role in roles.columns]
    blank = np.full(len(next(iter(arrays.values()))), bool(ids))
    for role in [*ids, *(["outcome"] if "outcome" in arrays else [])]:
        blank &= ~(arrays[role] >= 0)
    return blank


def _note_outcomes(arrays: Arrays, roles: Roles, note: Callable[..., None]) -> None:
    value, (low, high) = arrays["outcome"], roles.scale
    exposed = arrays["treatment"] > 0 if "treatment" in arrays else np.ones(len(value), bool)
    finite, inside = np.isfinite(value), (value >= low) & (value <= high)
    note("{value} is not a finite number", "outcome", ~finite & (exposed | np.isinf(value)), _outcome_hint)
    scale = "set dataset.scale: {range} if the file is right"
    note(f"{{value}} is outside the scale {low:g}..{high:g}; {scale}", "outcome", finite & ~inside)
    if roles.binary:
        fraction = inside & ~np.isin(value, (0.0, 1.0))
        note("{value} is no click: 0 or 1; set dataset.kind=watch_ratio, or dataset.threshold", "outcome", fraction)


def _outcome_hint(value: object, column: str | None) -> str:
    """As `number_hint`, but an outcome that is missing has no mean to take."""
    hint = number_hint(value, column)
    return f"; set dataset.fill: {{{column}: drop}} (or a number)" if "dataset.fill" in hint else hint


def _category_hint(value: object, column: str | None) -> str:
    return f"; set dataset.fill: {{{column}: unknown}} (or drop)"


def _level_hint(value: object, column: str | None) -> str:
    words = value not in (None, "") and not str(value).lstrip("-").isdigit()
    return "; name what the column holds, as dataset.exposure_levels: [control, treated]" if words else ""
