"""The best actions by score, ties split evenly."""

from __future__ import annotations

import numpy as np

from causalrec.types import Doubles


def best_shares(scores: Doubles, k: int) -> Doubles:
    """Return what share each action has of the k best of its row, float64[B,A]; each row sums to 1.

    An action above the k-th best score has 1/k. Those that tie at that score split what is left evenly, so that no
    order of ids decides.

    Args:
        scores: float64[B,A], finite.
        k: from 1 to A.

    >>> best_shares(np.array([[3.0, 1.0, 1.0, 0.0]]), 2).tolist()
    [[0.5, 0.25, 0.25, 0.0]]
    """
    threshold = np.partition(scores, -k, axis=1)[:, -k][:, None]
    above, tied = scores > threshold, scores == threshold
    left = k - above.sum(1, keepdims=True)
    shares: Doubles = (above + tied * (left / tied.sum(1, keepdims=True))) / k
    return shares
