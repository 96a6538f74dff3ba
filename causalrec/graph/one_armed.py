"""Strata of a column in which an arm was never received: there the column says the treatment, and none can be compared.

No model of the treatment is needed to see it, so that a propensity of the wrong form does not hide it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from causalrec.types import Bools, Floats, Ints

STRATA = 20  # at most, of a column of more values, equally filled
ROWS = 50  # of a stratum: in fewer an arm is soon missing by chance
CHANCE = 1e-3  # that anything is named where treatment follows no column
LEAST_SHARE = 0.05  # of the rows, from which on a column is named
MOST_ROWS = 50_000  # drawn of more
NAMED = 3  # columns in a line


def one_armed_shares(
    treatment: Ints,
    columns: Floats,
    names: Sequence[str],
    unit: Ints | None = None,
    levels: Mapping[str, Ints] | None = None,
) -> dict[str, float]:
    """Return the share of rows in strata that lack an arm, by column, where it is 5 % or more; the largest first.

    A stratum of n units of assignment lacks an arm of share s by chance with probability (1 - s)^n: it counts where
    that, times the number of strata and arms, is below 0.001.

    Args:
        treatment: int64[N], T in 0..A.
        columns: float32[N,F]; of one with many values the strata are equal parts of the rows, at most 20, of 50 rows.
        names: [F].
        unit: int64[N], of assignment; None: each row is its own.
        levels: int64[N] by name, further columns whose levels are the strata.

    >>> age = np.arange(200, dtype=np.float32)
    >>> one_armed_shares((age >= 100).astype(int), age[:, None], ["age"])
    {'age': 1.0}
    """
    if len(treatment) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(len(treatment), MOST_ROWS, replace=False))
        treatment, columns, unit = treatment[rows], columns[rows], None if unit is None else unit[rows]
        levels = {name: level[rows] for name, level in (levels or {}).items()}
    strata = {name: _strata(columns[:, k]) for k, name in enumerate(names)}
    strata |= {name: np.unique(level, return_inverse=True)[1] for name, level in (levels or {}).items()}
    tests = sum(int(stratum.max()) + 1 for stratum in strata.values()) * (int(treatment.max()) + 1)
    shares = {
        name: float(_lacks_arm(treatment, stratum, unit, CHANCE / tests)[stratum].mean())
        for name, stratum in strata.items()
    }
    order = sorted(shares, key=lambda name: -shares[name])
    return {name: shares[name] for name in order if shares[name] >= LEAST_SHARE}


def one_armed_line(shares: Mapping[str, float]) -> str:
    """Say what the shares mean, naming three columns at most.

    >>> one_armed_line({"age": 0.9, "income": 0.1}).split(":")[0]
    'treatment follows age (90%), income (10%)'
    """
    names = [f"{name} ({share:.0%})" if len(shares) > 1 else name for name, share in [*shares.items()][:NAMED]]
    more = f" and {len(shares) - NAMED} more" if len(shares) > NAMED else ""
    rows = f"{max(shares.values()):.0%} of the rows have" if len(shares) == 1 else "that share of the rows has"
    return (
        f"treatment follows {', '.join(names)}{more}: {rows} a value of it at which some arm was never received, so "
        f"that the effect on them is extrapolated"
    )


def _strata(column: Floats) -> Ints:
    """Return the stratum of each row: its value where there are few, else the part of the order it lies in."""
    values, level = np.unique(column, return_inverse=True)
    count = min(max(len(column) // ROWS, 2), STRATA)
    if len(values) <= count:
        return np.asarray(level, np.int64)
    edges = np.unique(np.quantile(column, np.arange(1, count) / count))
    return np.asarray(np.unique(np.searchsorted(edges, column, side="right"), return_inverse=True)[1], np.int64)


def _lacks_arm(treatment: Ints, stratum: Ints, unit: Ints | None, chance: float) -> Bools:
    """Return which strata lack an arm that chance would have given them, bool[S]."""
    of_unit = np.arange(len(treatment)) if unit is None else unit
    first = np.unique(np.stack([of_unit, stratum]), axis=1, return_index=True)[1]
    units = np.bincount(stratum[first])
    lacks = np.zeros(len(units), bool)
    for arm in np.flatnonzero(np.bincount(treatment)):
        received = np.bincount(stratum, weights=treatment == arm)
        share = float((treatment[first] == arm).mean())
        lacks |= (received == 0) & (np.log1p(-share) * units < np.log(chance))
    return lacks
