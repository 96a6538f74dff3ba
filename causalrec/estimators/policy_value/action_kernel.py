"""The probability of actions near the one taken: a Gaussian kernel over principal components of action vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds, require
from causalrec.types import Doubles

NEIGHBOUR = 10  # whose distance is the unit of bandwidths
GATHERED = 1 << 17  # kernel values gathered at a time: they stay in the processor's cache


@dataclass(frozen=True)
class ActionSpace:
    """Where actions stand.

    Attributes:
        points: float64[A,P], principal components.
        unit: the median distance of an action to its tenth neighbour (to its farthest where there are fewer).
    """

    points: Doubles
    unit: float


@lru_cache(maxsize=4)
def action_space(actions: ActionFeatures, components: int) -> ActionSpace:
    """Return the first principal components of action vectors (all, where they have fewer), made once for all blocks.

    >>> line = ActionFeatures(categories=np.zeros((3, 0), int), vectors=np.array([[0.0, 0], [3, 4], [6, 8]]))
    >>> np.abs(action_space(line, 1).points[:, 0]).round(9).tolist(), round(action_space(line, 1).unit, 9)
    ([5.0, 0.0, 5.0], 10.0)
    """
    centred = actions.vectors - actions.vectors.mean(0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.ascontiguousarray(left[:, :components] * scale[:components])
    neighbours = min(NEIGHBOUR, len(points) - 1)
    distance, _ = cKDTree(points).query(points, k=[neighbours + 1])
    return ActionSpace(points, float(np.median(distance)))


def kernel_weight(rounds: LoggedRounds, components: int, bandwidth: float) -> Doubles:
    """Return `sum_a' pi(a'|x) K(a',a) / sum_a' pi0(a'|x) K(a',a)`, a the action taken, float64[B].

    `K(a',a) = exp(-|s_a' - s_a|^2 / 2 h^2)` over principal components s, with h the bandwidth times the median distance
    to the tenth neighbour. Kernels of the actions taken alone are worked out.

    Args:
        rounds: with both policies' distributions and action vectors.
        components: how many.
        bandwidth: a multiple of the median distance to the tenth neighbour.
    """
    target = require(rounds.target_distribution, "target_distribution")
    logging = require(rounds.logging_distribution, "logging_distribution")
    space = action_space(require(rounds.actions, "vectors"), components)
    logged, which = np.unique(rounds.action, return_inverse=True)
    kernel = cdist(space.points[logged], space.points, "sqeuclidean")
    kernel *= -0.5 / (bandwidth * space.unit) ** 2
    np.exp(kernel, out=kernel)
    weight = np.empty(len(rounds))
    step = max(1, GATHERED // len(space.points))
    for at in range(0, len(rounds), step):
        rows = slice(at, at + step)
        near = kernel[which[rows]]
        weight[rows] = np.einsum("ba,ba->b", target[rows], near) / np.einsum("ba,ba->b", logging[rows], near)
    return weight
