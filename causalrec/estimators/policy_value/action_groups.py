"""The probability of a group of actions: that of the same categories, or of the same cluster."""

from __future__ import annotations

import numpy as np

from causalrec.estimators.policy_value.rounds import LoggedRounds, require
from causalrec.types import Doubles, Ints

GATHERED = 1 << 20  # probabilities gathered at a time


def group_of(categories: Ints) -> Ints:
    """Return a number for each combination of categories, int64[A], from 0.

    Args:
        categories: int64[A,C], levels from 0; C = 0 puts all actions in the same group.

    >>> group_of(np.array([[0, 1], [1, 1], [0, 1]])).tolist()
    [0, 1, 0]
    """
    group = np.zeros(len(categories), np.int64)
    for level in categories.T:
        _, group = np.unique(group * (int(level.max()) + 1) + level, return_inverse=True)
    return group


def group_weight(rounds: LoggedRounds, group: Ints) -> Doubles:
    """Return `pi(g|x) / pi0(g|x)`, g the group of the action taken, float64[B].

    Only the actions of that group are read: O(B A / groups).

    Args:
        rounds: with both policies' distributions.
        group: int64[A], of each action, from 0.
    """
    target = require(rounds.target_distribution, "target_distribution")
    logging = require(rounds.logging_distribution, "logging_distribution")
    members, size = np.argsort(group, kind="stable"), np.bincount(group)
    start, taken = np.cumsum(size) - size, group[rounds.action]
    weight = np.empty(len(rounds))
    step = max(1, GATHERED // int(size.max()))
    for at in range(0, len(rounds), step):
        count, first = size[taken[at : at + step]], start[taken[at : at + step]]
        end = np.cumsum(count)
        row = np.repeat(np.arange(at, at + len(count)), count)
        action = members[np.arange(end[-1]) + np.repeat(first - end + count, count)]
        weight[at : at + step] = np.add.reduceat(target[row, action], end - count) / np.add.reduceat(
            logging[row, action], end - count
        )
    return weight
