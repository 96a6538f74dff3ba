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

from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.datasets.ml100k_semisynthetic import LEVELS
from causalrec.estimators.imputation import doubly_robust
from causalrec.estimators.objective.ips import ips
from causalrec.estimators.objective.naive import naive
from causalrec.estimators.objective.snips import snips
from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate, labelled, summarised
from causalrec.evaluation.estimation.completion import completed, promoted, ranked
from causalrec.types import Bools, Doubles, Ints, Share

SHARES: Final = {"text": (0.53, 0.24, 0.14, 0.06, 0.03), "code": (0.53, 0.24, 0.14, 0.07, 0.02)}
EXPONENTS: Final = (4, 4, 3, 2, 1)  # of p, by true rate .1 .3 .5 .7 .9
TOP: Final = len(LEVELS) - 1
PAPER_P: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class MRDRSemisynthetic(AbstractEstimation):
    """Relative error of estimated cross-entropies of six prediction matrices on ML-100K, over `draws` draws.

    True rates .1 .3 .5 .7 .9 by rank of the completed matrix, in the `shares` of the paper's text (53/24/14/6/3 %) or
    of its public code (53/24/14/7/2 %); exposure with probability `p ** k`, k = 4, 4, 3, 2, 1. Estimators are given
    `1 / p_hat = (1 - beta) / p + beta / (observed share)`. Each draw has fresh labels and exposure. Columns are
    `re/ESTIMATOR`, whose truth is 0, and `ce/ESTIMATOR` in nats, of `naive|eib|ips|snips|dr`; rows end in `@p=P`
    where p is not the paper's 0.5. MRDR changes how the imputation is learned; this one is fixed, so MRDR equals DR.
    The imputed label is the inverse-propensity-weighted mean of the observed labels. `legacy_public_code` repeats two
    faults of the public code: one draw of labels for all draws, and a mean of the predictions as the imputed label.
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
        level = ranked(completed(self.dataset.load(root).logged, cache), SHARES[self.shares])
        rng = np.random.default_rng(seed)
        predicted = predictions(level, rng)
        draws: dict[str, list[Mapping[str, float]]] = {row: [] for row in predicted}
        label = labels(level, rng)
        for _ in range(self.draws):
            label = label if self.legacy_public_code else labels(level, rng)
            observed, propensity = exposure(level, self.p, self.beta, rng)
            for row, matrix in predicted.items():
                draws[row].append(self._estimated(label, matrix, observed, propensity))
        return [cell for row, found in draws.items() for cell in _cells(labelled(row, "p", self.p, PAPER_P), found)]

    def _estimated(self, label: Bools, predicted: Doubles, observed: Bools, propensity: Doubles) -> Mapping[str, float]:
        """Return the true mean cross-entropy of one draw as `true`, and every estimate of it."""
        row = [torch.from_numpy(part.ravel().astype(np.float64)) for part in (label, predicted, observed, propensity)]
        outcome, rate, seen, chance = row
        averaged = rate if self.legacy_public_code else outcome
        weighted, normaliser = snips(averaged, seen, chance)
        imputed = cross_entropy((weighted.sum() / normaliser.sum()).expand_as(rate), rate)
        error = cross_entropy(outcome, rate)
        return {"true": float(error.mean())} | estimates(error, imputed, seen, chance)


def _cells(row: str, found: list[Mapping[str, float]]) -> list[Estimate]:
    truth = np.array([one["true"] for one in found])
    cells = []
    for name in (name for name in found[0] if name != "true"):
        drawn = np.array([one[name] for one in found])
        cells.append(summarised(row, f"re/{name}", 0.0, np.abs(drawn - truth) / truth))
        cells.append(summarised(row, f"ce/{name}", float(truth.mean()), drawn))
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
        "one": rate[promoted(level, 0, rng)],
        "three": rate[promoted(level, 1, rng)],
        "five": rate[promoted(level, 2, rng)],
        "rotate": rate[level - 1],  # index -1 is the top level
        "skew": np.clip(rng.normal(true, (1 - true) / 2), LEVELS[0], LEVELS[-1]),
        "crs": np.where(level >= TOP - 1, 0.1, 0.5),
    }


def labels(level: Ints, rng: np.random.Generator) -> Bools:
    """Draw a label for every cell from its true rate."""
    drawn: Bools = rng.random(level.shape) < np.asarray(LEVELS)[level]
    return drawn


def exposure(level: Ints, p: float, beta: float, rng: np.random.Generator) -> tuple[Bools, Doubles]:
    """Draw what is observed and return it with the propensities the estimators are given, each `[U,I]`.

    The inverse of a propensity is mixed with the inverse of the observed share, whose weight is `beta`.
    """
    true = p ** np.asarray(EXPONENTS, np.float64)[level]
    observed = rng.random(level.shape) < true
    return observed, 1 / ((1 - beta) / true + beta / observed.mean())


def cross_entropy(label: Tensor, rate: Tensor) -> Tensor:
    """Return `-y log r - (1 - y) log(1 - r)` in nats, elementwise; `label` may be soft."""
    return -(label * rate.log() + (1 - label) * (1 - rate).log())


def estimates(error: Tensor, imputed: Tensor, observed: Tensor, propensity: Tensor) -> dict[str, float]:
    """Estimate the mean of `error[N]` over all cells from the observed ones; `imputed[N]` stands in for the others."""
    numerator, normaliser = snips(error, observed, propensity)
    return {
        "naive": float(naive(error, observed).sum() / observed.sum()),
        "eib": float((naive(error, observed) + naive(imputed, 1 - observed)).mean()),
        "ips": float(ips(error, observed, propensity).mean()),
        "snips": float(numerator.sum() / normaliser.sum()),
        "dr": float(doubly_robust(error, imputed, observed, propensity).mean()),
    }
