"""Whether the rows ranked first rest on enough rows of both arms for an interval of a curve."""

from __future__ import annotations

import numpy as np

from causalrec.estimators.effect.overlap_warnings import effective_rows
from causalrec.metrics.base import Scored
from causalrec.types import Doubles, Ints

FIRST = 0.1  # of the rows: what curves by rank weigh most
LEAST = 12.0  # effective clusters of an arm, below which intervals of 95 % held AUTOC's truth in .85 to .90 of draws
CLIP = 0.01  # of propensities, as metrics have it


def effective_first(scored: Scored, cluster: Ints) -> tuple[float, float]:
    """Return how many clusters, `(sum w)^2 / sum w^2`, the arm and none have among the tenth of rows ranked first.

    Rows that tie with the last of the tenth count too.

    Args:
        scored: the rows, with treatment and propensity; w is the sum of a cluster's inverse propensities.
        cluster: int64[N], rows of one depend on each other.
    """
    assert scored.treatment is not None and scored.propensity is not None
    prediction = scored.prediction.numpy().astype(np.float64)
    chance = np.clip(scored.propensity.numpy().astype(np.float64), CLIP, 1 - CLIP)
    weight: Doubles = 1 / np.where(scored.treatment.numpy() == 1, chance, 1 - chance)
    if scored.weight is not None:
        weight = weight * scored.weight.numpy()
    last = max(int(np.ceil(FIRST * len(prediction))) - 1, 0)
    first = prediction >= -np.partition(-prediction, last)[last]
    treated = scored.treatment.numpy() == 1
    total = [np.bincount(cluster, weight * (first & side)).astype(np.float64) for side in (treated, ~treated)]
    return effective_rows(total[0]), effective_rows(total[1])


def few_ranked_first(scored: Scored, cluster: Ints) -> tuple[str, ...]:
    """Return a line where few clusters of an arm, or of none, stand for the rows ranked first; else none.

    Args:
        scored: the rows.
        cluster: int64[N], rows of one depend on each other.
    """
    if not len(scored.prediction):
        return ()
    treated, untreated = effective_first(scored, cluster)
    few, which = min((treated, "under the arm"), (untreated, "without treatment"))
    if few >= LEAST:
        return ()
    if few < 1:
        return (
            f"no row {which} is in the tenth ranked first: nothing is compared there, and intervals do not know it",
        )
    return (
        f"few like rows are ranked first: those {which} in the first tenth weigh as much as {few:.0f} alike, too few "
        f"for intervals to hold the truth as often as they say",
    )
