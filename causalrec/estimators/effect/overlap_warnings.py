"""Whether the rows of an average's target have rows like them under the other arm: what is warned of beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from causalrec.estimators.effect.averages import target_weights
from causalrec.types import Bools, Doubles, EffectTarget, Ints

FIGURES = re.compile(r"[\d.,]+")
MOST_UNLIKE = 0.01  # share of the target's rows that may have none like them
CLIPPED = "are clipped"
MOST_CLIPPED = 0.05  # share of an arm's own rows that may be
LEAST_EFFECTIVE: Mapping[EffectTarget, float] = {  # effective rows, as a share of the rows of an arm
    "all": 0.2,
    "treated": 0.5,  # of rows that stand for others than themselves
    "untreated": 0.5,
    "overlap": 0.2,
}
NEEDED: Mapping[EffectTarget, tuple[str, ...]] = {  # of whom a target's rows need rows like them
    "all": ("arm", "none"),
    "treated": ("none",),
    "untreated": ("arm",),
    "overlap": (),
}


def overlap_warnings(treatment: Ints, probabilities: Doubles, target: EffectTarget, *, clip: float) -> tuple[str, ...]:
    """Return a line for each arm, or none, that the target's rows lack: rows whose probability of it is below `clip`
    (or, where these are few, many of the arm's own), and effective rows `(sum w)^2 / sum w^2` of its weights that are
    few of its rows.

    Args:
        treatment: int64[N], T in 0..A.
        probabilities: float64[N,A+1], of each arm.
        target: the rows that the effect is averaged over.
        clip: the least probability divided by.

    >>> chance = np.array([[0.001, 0.999]] * 2 + [[0.5, 0.5]] * 2)
    >>> overlap_warnings(np.array([1, 1, 0, 1]), chance, "treated", clip=0.01)
    ('2 of 3 treated rows have no like controls: their propensity of none is below 0.01',)
    """
    arms = probabilities.shape[1] - 1
    lines = [line for arm in range(1, arms + 1) for line in _of_arm(treatment, probabilities, arm, target, clip)]
    return tuple(dict.fromkeys(lines))


def warn_once(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Return what rows warn of before some are left out and after, a line that differs in figures alone only once.

    The figures are then those of the rows that are left, of which the average is.

    >>> warn_once(["little overlap: 1,990 controls"], ["few clusters", "little overlap: 900 controls"])
    ('few clusters', 'little overlap: 900 controls')
    """
    said = {FIGURES.sub("#", line) for line in after}
    return (*(line for line in before if FIGURES.sub("#", line) not in said), *after)


def target_members(treatment: Ints, target: EffectTarget, arm: int | None = None) -> Bools:
    """Return which rows the effect of an arm (None: of any) on the target is averaged over, bool[N].

    >>> [target_members(np.array([0, 1, 2]), "treated", arm).tolist() for arm in (None, 2)]
    [[False, True, True], [False, False, True]]
    """
    if target == "treated":
        return treatment > 0 if arm is None else treatment == arm
    return treatment == 0 if target == "untreated" else np.ones(len(treatment), bool)


def effective_rows(weights: Doubles) -> float:
    """Return `(sum w)^2 / sum w^2`, 0 without a weight.

    >>> effective_rows(np.array([1.0, 1.0, 0.0]))
    2.0
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def _of_arm(treatment: Ints, probabilities: Doubles, arm: int, target: EffectTarget, clip: float) -> Iterator[str]:
    named = "" if probabilities.shape[1] == 2 else f" (arm {arm})"
    sides = {"arm": (arm, f"treated rows{named}"), "none": (0, "controls")}
    members = target_members(treatment, target, arm)
    who = f"{target} rows" if target in ("treated", "untreated") else "rows"
    for side in NEEDED[target]:
        which, like = sides[side]
        below, stand = probabilities[:, which] < clip, treatment == which
        unlike, clipped = int((members & below).sum()), int((stand & below).sum())
        of = f"their propensity of {'none' if which == 0 else 'the arm'} is below {clip:g}"
        if unlike > MOST_UNLIKE * members.sum():
            yield f"{unlike:,} of {int(members.sum()):,} {who} have no like {like}: {of}"
        elif clipped > MOST_CLIPPED * stand.sum():  # few of all rows may be most of a rare arm's
            yield f"{clipped:,} of {int(stand.sum()):,} {like}, which stand for others, {CLIPPED}: {of}"
    weights = target_weights(treatment, probabilities, arm, target, clip=clip)
    for which, like in sides.values():
        side_rows = treatment == which
        count, effective = int(side_rows.sum()), effective_rows(weights[side_rows])
        if count > 0 and effective < LEAST_EFFECTIVE[target] * count:
            yield (
                f"little overlap: {count:,} {like} weigh as much as {effective:,.0f} that were alike to those the "
                f"average is of"
            )
