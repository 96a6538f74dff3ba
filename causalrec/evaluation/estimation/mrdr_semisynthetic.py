"""Estimating the cross-entropy of a conversion model from self-selected rows (Guo et al., SIGIR 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from causalrec.data.completion import complete_matrix, promote, rank_into_levels
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.datasets.ml100k_mrdr import SHARES, exposure_probabilities
from causalrec.data.datasets.simulated_ml100k import LEVELS
from causalrec.estimators.doubly_robust import doubly_robust
from causalrec.estimators.objective.ips import ips
from causalrec.estimators.objective.naive import naive
from causalrec.estimators.objective.snips import snips
from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate, row_name, summarise_cell
from causalrec.types import Bools, Doubles, Ints, Share

TOP: Final = len(LEVELS) - 1
PAPER_P: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class MRDRSemisynthetic(AbstractEstimation):
    """Relative error of estimated cross-entropies of six prediction matrices on ML-100K.

    True rates are .1 .3 .5 .7 .9 by rank of the completed matrix. Exposure has the probability `p ** k`, k = 4, 4, 3,
    2, 1. Estimators are given `1 / p_hat = (1 - beta) / p + beta / (observed share)`. Each draw has fresh labels and
    exposure. Columns are `re/ESTIMATOR`, whose truth is 0, and `ce/ESTIMATOR` in nats, of `naive|eib|ips|snips|dr`;
    rows end in `@p=P` where p is not the paper's 0.5. MRDR changes how the imputation is learned; here it is fixed, so
    MRDR equals DR. The imputed label is the inverse-propensity-weighted mean of the observed labels.

    Attributes:
        draws: of labels and exposure.
        p: of the exposure.
        beta: weight of the observed share in the propensities.
        shares: of the five rates, those of the paper's text (53/24/14/6/3 %) or of its public code (53/24/14/7/2 %).
        legacy_public_code: repeat two faults of the public code: a single draw of labels for all draws, and a mean of
            the predictions as the imputed label.
    """

    title: ClassVar[str] = "semi-synthetic ML-100K: relative error of the estimated cross-entropy"
    source: ClassVar[str] = "Guo et al., SIGIR 2021, and its public code"

    draws: Annotated[int, Field(ge=2)] = 20
    p: Share = PAPER_P
    beta: Annotated[float, Field(ge=0, le=1)] = 0.5
    shares: Literal["text", "code"] = "text"
    legacy_public_code: bool = False

    @property
    def dataset(self) -> ML100K:
        return ML100K(threshold=None)

    def run(self, root: Path, cache: Path, seed: int) -> list[Estimate]:
        level = rank_into_levels(complete_matrix(self.dataset.load(root).logged, cache), SHARES[self.shares])
        rng = np.random.default_rng(seed)
        predicted = predictions(level, rng)
        draws: dict[str, list[Mapping[str, float]]] = {row: [] for row in predicted}
        label = draw_labels(level, rng)
        for _ in range(self.draws):
            label = label if self.legacy_public_code else draw_labels(level, rng)
            observed, propensity = exposure(level, self.p, self.beta, rng)
            for row, matrix in predicted.items():
                draws[row].append(self._estimate(label, matrix, observed, propensity))
        return [
            cell
            for row, estimates_by_draw in draws.items()
            for cell in _cells(row_name(row, "p", self.p, PAPER_P), estimates_by_draw)
        ]

    def _estimate(self, label: Bools, predicted: Doubles, observed: Bools, propensity: Doubles) -> Mapping[str, float]:
        """Return the true mean cross-entropy of one draw as `true`, and every estimate of it."""
        row = [
            torch.from_numpy(column.ravel().astype(np.float64)) for column in (label, predicted, observed, propensity)
        ]
        outcome, rate, seen, chance = row
        averaged = rate if self.legacy_public_code else outcome
        weighted, normaliser = snips(averaged, seen, chance)
        imputed = cross_entropy((weighted.sum() / normaliser.sum()).expand_as(rate), rate)
        error = cross_entropy(outcome, rate)
        return {"true": float(error.mean())} | estimates(error, imputed, seen, chance)


def _cells(row: str, draws: list[Mapping[str, float]]) -> list[Estimate]:
    truth = np.array([draw["true"] for draw in draws])
    cells = []
    for name in (name for name in draws[0] if name != "true"):
        estimated = np.array([draw[name] for draw in draws])
        cells.append(summarise_cell(row, f"re/{name}", 0.0, np.abs(estimated - truth) / truth))
        cells.append(summarise_cell(row, f"ce/{name}", float(truth.mean()), estimated))
    return cells


def predictions(level: Ints, rng: np.random.Generator) -> dict[str, Doubles]:
    """Return the six prediction matrices `[U,I]`, probabilities, from the levels 0..4 of the true rates.

    `one`, `three`, `five`: as many cells of rate .1, .3, .5 as there are of .9 are predicted .9; `rotate` (as in
    Schnabel et al.): one level below, .9 for the lowest; `skew`: normal about the rate, clipped to [.1, .9]; `crs`:
    .1 from a rate of .7 on, else .5.
    """
    rate = np.asarray(LEVELS)
    true = rate[level]
    return {
        "one": rate[promote(level, 0, rng)],
        "three": rate[promote(level, 1, rng)],
        "five": rate[promote(level, 2, rng)],
        "rotate": rate[level - 1],  # index -1 is the top level
        "skew": np.clip(rng.normal(true, (1 - true) / 2), LEVELS[0], LEVELS[-1]),
        "crs": np.where(level >= TOP - 1, 0.1, 0.5),
    }


def draw_labels(level: Ints, rng: np.random.Generator) -> Bools:
    """Draw a label for every cell from its true rate."""
    label: Bools = rng.random(level.shape) < np.asarray(LEVELS)[level]
    return label


def exposure(level: Ints, p: float, beta: float, rng: np.random.Generator) -> tuple[Bools, Doubles]:
    """Draw what is observed and return it with the propensities the estimators are given, each `[U,I]`.

    The inverse of a propensity is mixed with the inverse of the observed share.

    Args:
        level: int64[U,I], the level 0..4 of the true rate.
        p: the base of the probabilities.
        beta: weight of the observed share.
        rng: random numbers.
    """
    true = exposure_probabilities(level, p)
    observed = rng.random(level.shape) < true
    return observed, 1 / ((1 - beta) / true + beta / observed.mean())


def cross_entropy(label: Tensor, rate: Tensor) -> Tensor:
    """Return `-y log r - (1 - y) log(1 - r)` in nats, elementwise; `label` may be soft."""
    return -(label * rate.log() + (1 - label) * (1 - rate).log())


def estimates(error: Tensor, imputed: Tensor, observed: Tensor, propensity: Tensor) -> dict[str, float]:
    """Estimate the mean of errors over all cells from the observed ones, by name of the estimator.

    Args:
        error: `[N]`, errors.
        imputed: `[N]`, stands in for the errors that are not observed.
        observed: `[N]`, 1 where observed, else 0.
        propensity: `[N]`, the probability of being observed.
    """
    numerator, normaliser = snips(error, observed, propensity)
    return {
        "naive": float(naive(error, observed).sum() / observed.sum()),
        "eib": float((naive(error, observed) + naive(imputed, 1 - observed)).mean()),
        "ips": float(ips(error, observed, propensity).mean()),
        "snips": float(numerator.sum() / normaliser.sum()),
        "dr": float(doubly_robust(error, imputed, observed, propensity).mean()),
    }
