"""Checks of a fitted propensity that need no truth: do its sums over users and items foretell held-out rows?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log
from causalrec.solvers.fit_report import Slope
from causalrec.types import Doubles, Floats, Ints

MAX_IDS, COUNTERPARTS = 20_000, 100  # users (items) that are compared, items (users) that stand for all of theirs
OVERDISPERSED = 2.0  # variance of numbers of rows over their mean; 1 of Poisson counts


def held_out_slopes(
    held_out: InteractionLog, log: InteractionLog, predict: Callable[[InteractionLog], Doubles]
) -> tuple[Slope | None, Slope | None]:
    """Return the slopes over users and over items of held-out rows on the probability summed over all their pairs.

    The sum runs over `COUNTERPARTS` items of a user (users of an item), drawn half uniformly and half by their rows
    and weighted accordingly, the same for all; sums are scaled to the number of held-out rows.

    Args:
        held_out: rows that the fit did not read.
        log: all rows.
        predict: returns the probability of pairs, float64[N].
    """
    rng = np.random.default_rng(0)
    sides = ((held_out.users, log.users, log.num_users), (held_out.item, log.item, log.num_items))
    slopes: list[Slope | None] = []
    for (held, own_rows, count), (_, rows, others_count), is_user in zip(
        sides, sides[::-1], (True, False), strict=True
    ):
        if not _differ(np.bincount(own_rows, minlength=count)):
            slopes.append(None)
            continue
        ids = rng.permutation(count)[:MAX_IDS]
        share = np.bincount(rows, minlength=others_count) / len(rows)
        probability = 0.5 / others_count + 0.5 * share
        others = rng.choice(others_count, COUNTERPARTS, p=probability)
        first, second = np.repeat(ids, COUNTERPARTS), np.tile(others, len(ids))
        pairs = pairs_log(first, second, log) if is_user else pairs_log(second, first, log)
        total = predict(pairs).reshape(len(ids), COUNTERPARTS) @ (1 / probability[others])
        slopes.append(_slope(np.bincount(held, minlength=count)[ids].astype(np.float64), total))
    return slopes[0], slopes[1]


def _differ(counts: Ints) -> bool:
    """Say whether numbers of rows differ by more than chance.

    Where they do not, one with fewer rows to train on has more held out, and the slope would tell that alone.
    """
    return bool(counts.var() > OVERDISPERSED * counts.mean())


def _slope(rows: Doubles, total: Doubles) -> Slope | None:
    """Return the slope of rows on totals scaled to the same sum; None where no total differs."""
    if total.sum() <= 0 or rows.sum() == 0:
        return None
    predicted = total * (rows.sum() / total.sum())
    deviation = predicted - predicted.mean()
    size = float(deviation @ deviation)
    if size <= 1e-12 or len(rows) < 3:
        return None
    slope = float(deviation @ (rows - rows.mean()) / size)
    residual = rows - rows.mean() - slope * deviation
    return Slope(slope, float(np.sqrt((deviation**2) @ (residual**2)) / size))


def log_spread(log: InteractionLog, propensity: Floats) -> tuple[float, float]:
    """Return the standard deviations over the rows of log p, and of the log of their items' numbers of rows.

    The latter is without what chance adds, about `1 / n` to the variance of the log of a Poisson count n.
    """
    counts = np.bincount(log.item)[log.item]
    excess = np.log(counts).var() - np.mean(1 / counts)
    return float(np.log(propensity).std()), float(np.sqrt(max(excess, 0.0)))
