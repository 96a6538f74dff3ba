"""MovieLens-100K with real users, items and text, and a known truth for every pair.

Generator in the spirit of Schnabel et al. (ICML 2016, sections 3.4 and 6.2): complete the rating matrix, then redraw
exposure and outcome from known probabilities. The columns that drive exposure are frozen functions of the *original*
log: computed from the redrawn one they would descend from exposure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import polars as pl
from scipy.special import expit, logit

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.datasets.simulated_ml100k import (
    LEVELS,
    LICENCE,
    SIMULATED_COLUMNS,
    URLS,
    AbstractSimulatedML100K,
    frozen_columns,
    genre_matrix,
    standardise,
)
from causalrec.data.knowledge_files import KNOWLEDGE_COLUMN
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairFeature
from causalrec.errors import RequestError
from causalrec.types import Count, Doubles, Share

MARGINAL: Final = (0.52624, 0.24193, 0.14389, 0.06243, 0.02552)  # of ratings 1..5: Marlin & Zemel, as Schnabel uses it
EXPOSURE: Final = {"popularity": 1.2, "affinity": 0.8, "activity": 0.6}  # log-odds per standard deviation
OUTCOME: Final = {"taste": 0.7, "text": 0.7, "popularity": 0.35, "affinity": 0.25, "activity": 0.15}
AGE_BANDS: Final = (25, 35, 50)


@dataclass(frozen=True, kw_only=True)
class ML100KSemisynthetic(AbstractSimulatedML100K):
    """Clicks redrawn over the users and movies of ML-100K, with the truth in `oracle`.

    The true log-odds add a genre / year term that a text can tell to a factorisation, lest the truth favour `mf`.

    Attributes:
        mechanism: what drives exposure. `features`: popularity, genre affinity and user activity drive exposure and
            outcome, so adjusting for the three identifies the effect and leaving one out does not. `rating`: exposure
            follows the completed rating itself (`p = k * alpha ** max(0, 4 - r)`), which no backdoor set identifies.
        exposed: share of pairs exposed.
        alpha: how much rarer exposure is with each rating point below 4 (rating only).
        mean_rate: true mean outcome over all pairs (features only).
        test_items: uniformly drawn items per user whose outcomes are drawn afresh as the randomised test.
        knowledge: read the graph of ML-100K's wheel too (`ml100k`); no truth is made of it.
    """

    mechanism: Literal["features", "rating"] = "features"
    exposed: Share = 0.05
    alpha: Share = 0.25
    mean_rate: Share = 0.264
    test_items: Count = 100
    knowledge: bool = False

    @property
    def real(self) -> ML100K:
        return ML100K(threshold=None, knowledge=self.knowledge)

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="ml100k_semisynthetic",
            domain="video",
            size="943 users, 1,682 movies, every pair known",
            licence=LICENCE,
            urls=URLS,
            sha256=self.real.card.sha256,
            columns=(*SIMULATED_COLUMNS, *((KNOWLEDGE_COLUMN,) if self.knowledge else ())),
            outcome="click",
            feedback="explicit",
            randomised="items drawn uniformly per user, outcomes drawn afresh from the true rate",
            logged_propensity=True,
            known_truth=True,
            fresh_test_labels=True,
            unseen="keep",
            self_selected=self.mechanism == "rating",
            resampled_by=("draw",),
        )

    def load(self, root: Path) -> CausalDataset:
        real = self.real.load(root)
        users, items, affinity = frozen_columns(real)
        score = outcome_score(real, users, items, affinity)
        if self.mechanism == "features":
            rate = expit(score + shift_to_mean(score, self.mean_rate))
            push = exposure_score(users, items, affinity)
            propensity = expit(push + shift_to_mean(push, self.exposed))
        else:
            rate, propensity = self_selection(score, self.exposed, self.alpha)
        columns = users, items, affinity
        return self.draw_dataset(real, columns, rate, propensity, self.test_items)


def _pairwise_columns(users: pl.DataFrame, items: pl.DataFrame, affinity: PairFeature) -> dict[str, Doubles]:
    """Spread the three frozen columns over all pairs, each broadcastable to [U,I]."""
    product = affinity.user_part.astype(np.float64) @ affinity.item_part.T.astype(np.float64)
    return {
        "popularity": items["popularity"].to_numpy()[None, :],
        "activity": users["activity"].to_numpy()[:, None],
        "affinity": product * affinity.scale + affinity.shift,
    }


def exposure_score(users: pl.DataFrame, items: pl.DataFrame, affinity: PairFeature) -> Doubles:
    """Return the exposure log-odds [U,I], up to a constant."""
    columns = _pairwise_columns(users, items, affinity)
    return sum((weight * columns[name] for name, weight in EXPOSURE.items()), np.zeros((len(users), len(items))))


def outcome_score(real: CausalDataset, users: pl.DataFrame, items: pl.DataFrame, affinity: PairFeature) -> Doubles:
    """Return the true outcome log-odds [U,I], up to a constant: taste + text + the three confounders.

    Args:
        real: the ML-100K ratings, which taste completes.
        users: [U] rows with gender, age and activity.
        items: [I] rows with genre, year and popularity.
        affinity: of each pair, for the user's genres.
    """
    columns = {
        **_pairwise_columns(users, items, affinity),
        "taste": complete_ratings(real.logged),
        "text": text_term(users, items),
    }
    return sum((weight * columns[name] for name, weight in OUTCOME.items()), np.zeros((len(users), len(items))))


def self_selection(score: Doubles, exposed: float, alpha: float) -> tuple[Doubles, Doubles]:
    """Rank the completed matrix into ratings 1..5 and return (true rate, propensity), each [U,I].

    `P(exposed | r) = k * alpha ** max(0, 4 - r)`, with k so that the mean is `exposed` (Schnabel et al., section 6.2).
    """
    order = np.empty(score.size)
    order[np.argsort(score, axis=None, kind="stable")] = (np.arange(score.size) + 0.5) / score.size
    rating = 1 + np.digitize(order.reshape(score.shape), np.cumsum(MARGINAL)[:-1])
    shape = alpha ** np.maximum(0, 4 - rating)
    if exposed > shape.mean():  # k > 1: the best rated pairs would need a probability above 1
        raise RequestError(f"dataset.exposed={exposed}: with alpha={alpha} at most {shape.mean():.3f} can be exposed")
    return np.asarray(LEVELS)[rating - 1], shape * (exposed / shape.mean())


def complete_ratings(log: InteractionLog, rank: int = 8, ridge: float = 8.0, sweeps: int = 15) -> Doubles:
    """Complete the rating matrix by alternating least squares on centred ratings; standardised, [U,I].

    Args:
        log: the ratings.
        rank: number of factors, the first of which is 1 for every user at the start.
        ridge: penalty on each factor's square.
        sweeps: times that items and users are solved for in turn.
    """
    assert log.user is not None
    seen = np.zeros((log.num_users, log.num_items))
    rating = np.zeros_like(seen)
    seen[log.user, log.item] = 1
    rating[log.user, log.item] = log.outcome - log.outcome.mean()
    left = np.random.default_rng(0).normal(scale=0.1, size=(log.num_users, rank))
    left[:, 0] = 1.0
    for _ in range(sweeps):
        right = _least_squares(seen.T, rating.T, left, ridge)
        left = _least_squares(seen, rating, right, ridge)
    return standardise(left @ right.T)


def _least_squares(seen: Doubles, rating: Doubles, factors: Doubles, ridge: float) -> Doubles:
    rank = factors.shape[1]
    outer = (factors[:, :, None] * factors[:, None, :]).reshape(len(factors), rank * rank)
    gram = (seen @ outer).reshape(-1, rank, rank) + ridge * np.eye(rank)
    return np.asarray(np.linalg.solve(gram, (rating @ factors)[..., None])[..., 0], dtype=np.float64)


def text_term(users: pl.DataFrame, items: pl.DataFrame) -> Doubles:
    """Return what the item's text says: tastes of each gender and age band for genres and decades; standardised."""
    decade = np.clip((items["year"].to_numpy() // 10 - 193).astype(int), 0, 6)
    text_features = np.hstack([genre_matrix(items), np.eye(7)[decade]])
    band = np.digitize(users["age"].to_numpy(), AGE_BANDS) * 2 + (users["gender"] == "F").to_numpy()
    rng = np.random.default_rng(0)
    shared = rng.normal(size=text_features.shape[1])
    tastes = shared + 0.7 * rng.normal(size=(2 * (len(AGE_BANDS) + 1), text_features.shape[1]))
    return standardise((tastes @ text_features.T)[band])


def shift_to_mean(score: Doubles, mean: float) -> float:
    """Return the constant that makes `expit(score + constant)` average to `mean` (Newton on a monotone function)."""
    shift = float(logit(mean))
    for _ in range(50):
        probability = expit(score + shift)
        step = float((probability.mean() - mean) / (probability * (1 - probability)).mean())
        shift -= step
        if abs(step) < 1e-14:  # rounding is all that is left
            break
    return shift
