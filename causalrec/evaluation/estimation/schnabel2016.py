"""Estimating a recommender's error from self-selected ratings (Schnabel et al., ICML 2016, sections 3.4 and 6.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from causalrec.data.completion import complete_matrix, promote, rank_into_levels
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.datasets.ml100k_semisynthetic import MARGINAL
from causalrec.errors import DataError
from causalrec.estimators.objective.ips import ips
from causalrec.estimators.objective.naive import naive
from causalrec.estimators.objective.snips import snips
from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate, exposure_scale, row_name, summarise_cell
from causalrec.types import Count, Doubles, Floats, Ints, Share

GRADES: Final = len(MARGINAL)
REDRAWS: Final = 5  # of the random predictions, for the spread of the truth
JITTER: Final = 1e-6  # rating points, parts equal predictions
HIGHEST_SKEWED: Final = 6.0
PAPER_ALPHA: Final = 0.25  # closest to what ML-100K shows of itself


@dataclass(frozen=True, kw_only=True)
class Schnabel2016(AbstractEstimation):
    """MAE, MSE and DCG of five prediction matrices on ML-100K, estimated from draws of exposure.

    The completed matrix is ranked into the Marlin-Zemel marginal; `P(seen | r) = k * alpha ** max(0, 4 - r)`, with k
    from `exposed`. Predictions and truth are fixed, exposure is drawn afresh. Columns are `mae|mse|dcg@CUTOFF` /
    `true|naive|ips|snips|ips_nb`: `true` is the truth over redrawn predictions; `ips_nb` uses naive Bayes propensities.
    Rows end in `@alpha=ALPHA` where it is not the paper's 0.25.

    Attributes:
        draws: of exposure.
        alpha: how much less likely low ratings are seen; 1: missing completely at random.
        exposed: the share of all cells that is seen.
        cutoff: of the DCG.
        sampled: the share of all cells, drawn uniformly in each draw, in which naive Bayes counts `P(r)`.
    """

    title: ClassVar[str] = "Recommendations as Treatments, Table 1 and Figure 3: estimating errors under self-selection"
    source: ClassVar[str] = "Schnabel et al., ICML 2016, sections 3.4 and 6.2"

    draws: Annotated[int, Field(ge=2)] = 50
    alpha: Annotated[float, Field(gt=0, le=1)] = PAPER_ALPHA
    exposed: Share = 0.05
    cutoff: Count = 50
    sampled: Share = 0.005

    @property
    def dataset(self) -> ML100K:
        return ML100K(threshold=None)

    def run(self, root: Path, cache: Path, seed: int) -> list[Estimate]:
        propensity_of = propensities(self.alpha, self.exposed)
        rating = 1 + rank_into_levels(complete_matrix(self.dataset.load(root).logged, cache), MARGINAL)
        rng = np.random.default_rng(seed)
        predicted = predictions(rating, rng)
        losses = losses_of(rating, predicted, self.cutoff, rng)
        names = [(row, loss) for loss in ("mae", "mse", f"dcg@{self.cutoff}") for row in predicted]
        draws = [self._draw(rating.ravel(), losses, propensity_of, rng) for _ in range(self.draws)]
        truth = losses.mean(axis=1, dtype=np.float64)
        columns = {"true": self._truths(rating, rng)}
        columns |= {name: np.stack([draw[name] for draw in draws], axis=1) for name in draws[0]}
        return [
            summarise_cell(
                row_name(row, "alpha", self.alpha, PAPER_ALPHA), f"{loss}/{column}", float(truth[k]), values[k]
            )
            for k, (row, loss) in enumerate(names)
            for column, values in columns.items()
        ]

    def _truths(self, rating: Ints, rng: np.random.Generator) -> Doubles:
        """Return the true losses `[L,R]` of predictions drawn anew: how far the random predictions move the truth."""
        redrawn_losses = [losses_of(rating, predictions(rating, rng), self.cutoff, rng) for _ in range(REDRAWS)]
        return np.stack([losses.mean(axis=1, dtype=np.float64) for losses in redrawn_losses], axis=1)

    def _draw(
        self, rating: Ints, losses: Floats, propensity_of: Doubles, rng: np.random.Generator
    ) -> Mapping[str, Doubles]:
        """Draw exposure once and estimate the mean of every loss `[L,U*I]`."""
        grade = rating - 1
        seen = np.flatnonzero(rng.random(len(rating)) < propensity_of[grade])
        sample = grade[rng.integers(len(grade), size=round(self.sampled * len(grade)))]
        estimated = naive_bayes(grade[seen], sample, len(grade))
        error = torch.from_numpy(losses[:, seen].astype(np.float64))
        return estimates(
            error, torch.from_numpy(propensity_of[grade[seen]]), torch.from_numpy(estimated[grade[seen]]), len(grade)
        )


def propensities(alpha: float, exposed: float) -> Doubles:
    """Return `P(seen | r)` for r = 1..5, so that the share `exposed` is seen under the Marlin-Zemel marginal.

    >>> propensities(0.25, 0.05).round(3)
    array([0.005, 0.021, 0.085, 0.34 , 0.34 ])
    """
    shape = alpha ** np.maximum(0, 4 - np.arange(1, GRADES + 1)).astype(np.float64)
    share = np.asarray(MARGINAL)
    return shape * exposure_scale(shape, share, exposed, "estimation.exposed")


def predictions(rating: Ints, rng: np.random.Generator) -> dict[str, Doubles]:
    """Return the five prediction matrices `[U,I]` of section 6.2, in rating points, from the true ratings 1..5."""
    skewed = rng.normal(rating, (HIGHEST_SKEWED - rating) / 2)
    matrices: dict[str, Ints | Doubles] = {
        "rec_ones": promote(rating, 1, rng),
        "rec_fours": promote(rating, 4, rng),
        "rotate": np.where(rating == 1, GRADES, rating - 1),
        "skewed": np.clip(skewed, 0.0, HIGHEST_SKEWED),
        "coarsened": np.where(rating <= 3, 3, 4),
    }
    return {name: matrix.astype(np.float64) for name, matrix in matrices.items()}


def losses_of(rating: Ints, predicted: Mapping[str, Doubles], cutoff: int, rng: np.random.Generator) -> Floats:
    """Return float32 `[3*P,U*I]`: absolute error, squared error and DCG term of each of P predictions.

    The DCG term is `I / log2(1 + rank) * rating` up to rank `cutoff` among all items of the user, 0 below; its mean
    over all cells is the mean DCG of a user. Equal predictions are ranked at random, once.

    Args:
        rating: int64[U,I], true ratings.
        predicted: float64[U,I] each, by name.
        cutoff: of the DCG.
        rng: random numbers.
    """
    gap = [np.abs(rating - matrix) for matrix in predicted.values()]
    gain = [_discount(matrix, cutoff, rng) * rating for matrix in predicted.values()]
    return np.stack([loss.ravel().astype(np.float32) for loss in (*gap, *(g**2 for g in gap), *gain)])


def _discount(predicted: Doubles, cutoff: int, rng: np.random.Generator) -> Doubles:
    key = JITTER * rng.random(predicted.shape) - predicted
    depth = min(cutoff, key.shape[1])
    best = np.argpartition(key, depth - 1, axis=1)[:, :depth]
    order = np.take_along_axis(best, np.take_along_axis(key, best, axis=1).argsort(axis=1), axis=1)
    weight = predicted.shape[1] / np.log2(2 + np.arange(depth))
    discount = np.zeros(predicted.shape)
    np.put_along_axis(discount, order, np.broadcast_to(weight, order.shape), axis=1)
    return discount


def naive_bayes(seen: Ints, sample: Ints, cells: int) -> Doubles:
    """Return `P(seen | r) = P(r | seen) P(seen) / P(r)`, at most 1, by grade 0..4 (section 5.1).

    `seen[N]`: grades of the seen cells; `sample[M]`: grades of cells drawn uniformly; raises DataError where a grade
    is missing in either.
    """
    shown, uniform = np.bincount(seen, minlength=GRADES), np.bincount(sample, minlength=GRADES)
    if not shown.all() or not uniform.all():
        raise DataError(f"a rating never occurs (seen {shown}, sampled {uniform}); set a larger estimation.sampled")
    return np.minimum(shown / cells / (uniform / len(sample)), 1.0)


def estimates(error: Tensor, propensity: Tensor, estimated: Tensor, cells: int) -> dict[str, Doubles]:
    """Estimate the means of errors over all cells from the seen ones, `[L]` by name of the estimator.

    Args:
        error: `[L,N]`, L errors of each of the N seen cells.
        propensity: `[N]`, the true probability of being seen.
        estimated: `[N]`, its estimate by naive Bayes.
        cells: number of all cells.
    """
    observed = torch.ones_like(propensity)
    numerator, normaliser = snips(error, observed, propensity)
    estimate_by_name = {
        "naive": naive(error, observed).sum(1) / observed.sum(),
        "ips": ips(error, observed, propensity).sum(1) / cells,
        "snips": numerator.sum(1) / normaliser.sum(),
        "ips_nb": ips(error, observed, estimated).sum(1) / cells,
    }
    return {name: value.numpy() for name, value in estimate_by_name.items()}
