"""Does a part that is called randomised look random? Its items (users) against popularity (activity) elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from causalrec.data.table_problems import Problem
from causalrec.data.tabular.request import Request
from causalrec.types import Ints

BINS = 10
LARGEST = 0.1  # a standardised difference above it is called imbalance (Austin, Statistics in Medicine 2009)
LEVEL = 1e-3


@dataclass(frozen=True)
class RandomisationBalance:
    """How far the ids of randomised rows follow the counts of ids elsewhere.

    Attributes:
        difference: Mean log-count of the drawn ids minus that of all, in standard deviations.
        p_value: Of the chi-square test that bins of ids by their count elsewhere are drawn in proportion to their size.
    """

    difference: float
    p_value: float

    @property
    def random(self) -> bool:
        """Whether both say that the draw ignored the counts (large logs make any p-value small)."""
        return abs(self.difference) <= LARGEST or self.p_value >= LEVEL

    @property
    def follows(self) -> bool:
        """Whether the draw went by the counts. One that shuns them alone is that of rows assigned to either part whole,
        as persons are: who is drawn has fewer rows left elsewhere.
        """
        return not self.random and self.difference > 0


def randomisation_balance(randomised_ids: Ints, elsewhere: Ints, count: int) -> RandomisationBalance:
    """Compare the ids of the randomised part with how often each id occurs elsewhere.

    Args:
        randomised_ids: Ids of the randomised rows, int64[N].
        elsewhere: Ids of the other rows, int64[M].
        count: How many ids there are.

    Assumption: a random part draws ids uniformly from a pool; the ids it holds are the pool where it draws each often
    (five times or more on average), else all are. An id of one row in all could not stand in both parts: it is left
    out.

    >>> elsewhere = np.repeat(np.arange(10), np.arange(10))
    >>> randomisation_balance(np.arange(1000) % 10, elsewhere, 10).random
    True
    >>> randomisation_balance(np.repeat(np.arange(10), 100 * np.arange(10)), elsewhere, 10).random
    False
    """
    from scipy.stats import chi2

    times, seen = np.bincount(randomised_ids, minlength=count), np.bincount(elsewhere, minlength=count)
    times, seen = times[times + seen != 1], seen[times + seen != 1]
    if times.sum() >= 5 * (times > 0).sum():
        times, seen = times[times > 0], seen[times > 0]
    logs = np.log1p(seen)
    spread = float(logs.std()) if len(logs) else 0.0
    if len(times) < 2 or not times.any() or spread == 0:
        return RandomisationBalance(0.0, 1.0)
    difference = float((times @ logs / times.sum() - logs.mean()) / spread)
    bins = [ids for ids in np.array_split(np.argsort(seen, kind="stable"), min(BINS, len(seen))) if len(ids)]
    expected = np.array([len(ids) for ids in bins]) * times.sum() / len(times)
    observed = np.array([times[ids].sum() for ids in bins])
    statistic = float(((observed - expected) ** 2 / expected).sum())
    return RandomisationBalance(difference, float(chi2.sf(statistic, len(bins) - 1)))


def imbalance_problems(request: Request, stored_array: Callable[[str, str], npt.NDArray[Any]]) -> list[Problem]:
    """Warn where the part called randomised follows item popularity or user activity.

    Args:
        request: What was built.
        stored_array: (part, role) -> its array.
    """
    raw, column, problems = request.randomised or request.interactions[0], request.roles.randomised, []
    for entity, what in (("item", "popularity of items"), ("user", "activity of users")):
        if entity not in request.roles.columns:
            continue
        randomised_ids, logged_ids = (stored_array(folder, entity) for folder in ("randomised", "logged"))
        count = int(max(randomised_ids.max(), logged_ids.max())) + 1
        comparison = randomisation_balance(randomised_ids, logged_ids, count)
        if comparison.follows if entity == "user" else not comparison.random:
            message = (
                f"the randomised rows follow the {what} in the log (standardised difference "
                f"{comparison.difference:.2f}, chi-square p {comparison.p_value:.1g}): is this part random?"
            )
            problems.append(Problem("warning", str(raw.path), None, column, message))
    return problems
