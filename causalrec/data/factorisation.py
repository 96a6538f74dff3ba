"""Matrix factorisation without biases by stochastic gradients, all cells of a tile of users and items at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import expit

from causalrec.types import Floats

TILE: Final = 32  # users, and items, of a step: few enough that the gradients of their cells may be summed


@dataclass(frozen=True, kw_only=True)
class Factorisation:
    """`P Q^T` fitted to the cells of a matrix.

    Minimises the sum over cells of `loss + decay / 2 * (|p_u|^2 + |q_i|^2)`, a squared error halved, so that the
    penalty of a user grows with the user's cells. A step adds the gradients of the cells of at most 32 random users
    and 32 random items, where one cell at a time would see each other's steps. Source: Koren, Bell & Volinsky (IEEE
    Computer 2009), equation 2.

    Attributes:
        width: D, factors of a user or an item.
        rate: A step adds `rate` times the gradient.
        decay: Weight of the squared factors.
        passes: How often all cells are gone through.
        link: `identity` fits by squared error, `logit` fits the log-odds of 0/1.
        start: Factors begin at N(0, `start`^2 / `width`).

    >>> stars = np.outer([1, 2, 1, 2], [1, 2, 2]).astype(np.float32)
    >>> fit = Factorisation(width=2, rate=0.05, decay=0.0, passes=400, link="identity")
    >>> fit(stars).round().tolist()
    [[1.0, 2.0, 2.0], [2.0, 4.0, 4.0], [1.0, 2.0, 2.0], [2.0, 4.0, 4.0]]
    """

    width: int
    rate: float
    decay: float
    passes: int
    link: Literal["identity", "logit"]
    start: float = 0.1

    def __call__(self, target: Floats, mask: Floats | None = None, seed: int = 0) -> Floats:
        """Return the predicted mean of every cell, float32[U,I], in the unit of `target` float32[U,I].

        `mask` float32[U,I] is 1 where a cell counts, else 0; None where all do.
        """
        rng = np.random.default_rng(seed)
        factors = rng.normal(scale=self.start / self.width**0.5, size=(sum(target.shape), self.width))
        left, right = np.split(factors.astype(np.float32), [len(target)])
        for _ in range(self.passes):
            users, items = (rng.permutation(size) for size in target.shape)
            cells = np.ix_(users, items)
            user_factors, item_factors = left[users], right[items]
            self._pass(user_factors, item_factors, target[cells], None if mask is None else mask[cells], rng)
            left[users], right[items] = user_factors, item_factors
        return self._mean(left @ right.T)

    def _pass(self, left: Floats, right: Floats, target: Floats, mask: Floats | None, rng: np.random.Generator) -> None:
        """Step over every tile once, in random order; the factors change in place."""
        corners = [(u, i) for u in range(0, len(left), TILE) for i in range(0, len(right), TILE)]
        for corner in rng.permutation(len(corners)):
            u, i = corners[corner]
            tile = slice(u, u + TILE), slice(i, i + TILE)
            p, q = left[tile[0]], right[tile[1]]
            error = target[tile] - self._mean(p @ q.T)
            tile_mask = np.ones_like(error) if mask is None else mask[tile]
            error *= tile_mask
            step = self.rate * (error @ q - self.decay * tile_mask.sum(1)[:, None] * p)
            q += self.rate * (error.T @ p - self.decay * tile_mask.sum(0)[:, None] * q)
            p += step

    def _mean(self, score: Floats) -> Floats:
        return score if self.link == "identity" else np.asarray(expit(score), np.float32)
