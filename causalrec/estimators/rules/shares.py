"""How much a user dislikes a group of items, by training rows alone: shares shrunk to the group's (empirical Bayes)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from causalrec.data.log import InteractionLog
from causalrec.types import Doubles

LEAST, MOST = 0.01, 0.99  # correlation of two rows of a user and a group


def disliked_shares(log: InteractionLog, groups: Doubles, threshold: float) -> Doubles:
    """Return the share of outcomes below the threshold of each user in each group, float64[U,G], shrunk.

    `(k + s m_g) / (n + s)` of k disliked among n rows, where m_g is the share of the group among all users and s, as
    many rows as the prior counts for, is `1/rho - 1`: rho is the correlation of two rows of one user and group, by the
    moments of the beta-binomial, `sum (k - n m)^2 - n m (1-m)` over `sum n (n-1) m (1-m)`, held within .01 and .99.

    Args:
        log: training rows.
        groups: float64[I,G], 1 where an item is of a group.
        threshold: of the outcome.

    Assumption: within a user and group the rows that were logged are like those that were not. Source: Kleinman (JASA
    1973) for the moments.
    """
    seen = np.isfinite(log.outcome)
    user, item, disliked = log.users[seen], log.item[seen], (log.outcome[seen] < threshold).astype(np.float64)
    shape = log.num_users, log.num_items
    count = sparse.csr_matrix((np.ones(len(user)), (user, item)), shape=shape) @ groups
    below = sparse.csr_matrix((disliked, (user, item)), shape=shape) @ groups
    overall = float(disliked.mean()) if len(disliked) else 0.5
    rows = count.sum(0)
    mean = np.where(rows > 0, below.sum(0) / np.maximum(rows, 1), overall)
    prior = _prior_rows(count, below, mean)
    shares: Doubles = (below + prior * mean) / (count + prior)
    return shares


def _prior_rows(count: Doubles, below: Doubles, mean: Doubles) -> float:
    spread = mean * (1 - mean)
    pairs = float((count * (count - 1) * spread).sum())
    excess = float(((below - count * mean) ** 2 - count * spread).sum())
    correlation = float(np.clip(excess / pairs if pairs > 0 else 0.0, LEAST, MOST))
    return 1 / correlation - 1
