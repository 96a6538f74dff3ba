"""MovieLens-100K with the effect of a recommendation simulated for every pair (Sato et al., RecSys 2020).

Two factorisations of the real log give the chance of a view with and without a recommendation; whoever profits most
from either is recommended most, so that exposure depends on what no column holds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import Field
from scipy.special import expit

from causalrec.data.card import DatasetCard
from causalrec.data.checked_file import load_or_make
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.ml100k import OFFICIAL
from causalrec.data.datasets.simulated_ml100k import (
    LICENCE,
    SIMULATED_COLUMNS,
    URLS,
    AbstractSimulatedML100K,
    frozen_columns,
)
from causalrec.data.factorisation import Factorisation
from causalrec.data.log import InteractionLog
from causalrec.data.tabular.store import store_folder
from causalrec.data.truth import Oracle, PotentialOutcomes
from causalrec.errors import DataError, RequestError
from causalrec.types import Bools, Count, Floats

RATING_FACTORISATION: Final = Factorisation(width=100, rate=0.01, decay=0.03, passes=20, link="identity")
WATCH_FACTORISATION: Final = Factorisation(width=100, rate=0.01, decay=0.001, passes=27, link="logit")
MIN_EXPOSURE: Final = 1e-6  # exposure is never certain, nor impossible
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True)
class ML100KUplift(AbstractSimulatedML100K):
    """Views of all 943 x 1,682 pairs, each recommended or not, with both probabilities of a view.

    `P(Y(1) = 1) = sigmoid(R - rating_offset)` of predicted ratings R, `P(Y(0) = 1) = W ** watch_power` of the predicted
    probability W that the pair was rated. Exposure falls with the rank of their mean s within the user: `min(1, c rank
    ** -rank_power)` where c makes it sum to `recommendations` per user. Y(0), Y(1) and exposure are drawn
    independently, once for the log, which holds treatment and outcome alone, and once more for `potential.realised`.
    The third draw of the source, for validation, is rows of the log here, as any split makes them. R (2M steps in the
    source) and W (43M) are fitted by 20 and 27 passes of the same gradients, rates and penalties, without replacement
    and tile by tile (`data/factorisation.py`), and stored in a file. Source: the ML-100K generator of the code
    published with Sato et al. (RecSys 2020). Raises RequestError on as many recommendations as items.

    Attributes:
        recommendations: expected number of items recommended to each user.
        rating_offset: subtracted from predicted ratings, in rating points.
        watch_power: power of W.
        rank_power: how fast exposure falls with the rank.
    """

    recommendations: Count = 100
    rating_offset: float = 5.0
    watch_power: Positive = 1.0
    rank_power: Positive = 1.0

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="ml100k_uplift",
            domain="video",
            size="943 users, 1,682 movies, every pair with and without a recommendation",
            licence=LICENCE,
            urls=URLS,
            sha256=self.real.card.sha256,
            columns=SIMULATED_COLUMNS,
            outcome="click",
            feedback="exposure_logged",
            arms=("recommended",),
            known_truth=True,
            self_selected=True,
            unseen="keep",
        )

    def load(self, root: Path) -> CausalDataset:
        real = self.real.load(root)
        if self.recommendations >= real.logged.num_items:
            setting, most = f"dataset.recommendations={self.recommendations}", real.logged.num_items
            raise RequestError(f"{setting}: there are {most} movies, and some must be left out; take fewer")
        rating, watched = predict_or_load(real.logged, store_folder(root / OFFICIAL.folder, root))
        means = np.stack([watched**self.watch_power, expit(rating - np.float32(self.rating_offset))], axis=-1)
        propensity = exposure_probabilities(means.mean(axis=-1), self.recommendations, self.rank_power)
        users, items, affinity = frozen_columns(real)
        views = np.random.default_rng([self.draw, 1]).random(means.shape, np.float32) < means
        return CausalDataset(
            card=self.card,
            logged=self._log(means, propensity),
            user_table=users,
            item_table=items,
            pair_features={"affinity": affinity},
            oracle=Oracle(rate=lambda u, i: means[u, i, 1], propensity=lambda u, i: propensity[u, i]),
            potential=PotentialOutcomes(
                means=lambda u, i: means[u, i], realised=lambda u, i: views[u, i].astype(np.float32)
            ),
            raw_sha256=real.raw_sha256,
            user_ids=real.user_ids,
            item_ids=real.item_ids,
        )

    def _log(self, means: Floats, propensity: Floats) -> InteractionLog:
        rng = np.random.default_rng([self.draw, 0])
        exposed: Bools = rng.random(propensity.shape, np.float32) < propensity
        views: Bools = rng.random(means.shape, np.float32) < means
        user, item = np.divmod(np.arange(exposed.size), exposed.shape[1])
        return InteractionLog(
            user=user,
            item=item,
            treatment=exposed.ravel().astype(np.int64),
            outcome=np.where(exposed, views[..., 1], views[..., 0]).ravel().astype(np.float32),
            num_users=exposed.shape[0],
            num_items=exposed.shape[1],
            name="ml100k_uplift",
        )


def exposure_probabilities(score: Floats, recommendations: int, power: float) -> Floats:
    """Return `min(1, c rank ** -power)`, float32[U,I], of the rank of a pair's `score[U,I]` within its user.

    The best has rank 1, equal scores are ranked in item order. c makes the probabilities of a user sum to
    `recommendations`, before they are clipped to 1e-6 and 1 - 1e-6. Here they are c/4, 1, c/2, c/3 with c = 24/13:

    >>> print(exposure_probabilities(np.array([[0.1, 0.9, 0.5, 0.2]]), 3, 1.0).round(3))
    [[0.462 1.    0.923 0.615]]
    """
    weight = np.arange(1, score.shape[1] + 1, dtype=np.float64) ** -power
    constants = (recommendations - np.arange(len(weight))) / weight[::-1].cumsum()[::-1]
    certain = int(np.argmax(constants * weight <= 1))  # the first ranks, at 1
    probability = np.clip(constants[certain] * weight, MIN_EXPOSURE, 1 - MIN_EXPOSURE).astype(np.float32)
    placed = np.empty(score.shape, np.float32)
    np.put_along_axis(placed, np.argsort(-score, axis=1, kind="stable"), probability[None, :], axis=1)
    return placed


def predict_or_load(log: InteractionLog, folder: Path) -> tuple[Floats, Floats]:
    """Return predicted ratings (points) and probabilities of being rated, float32[U,I] each, from the file in `folder`
    that is named by the ratings and the settings; fit and write it first where there is none.
    """
    assert log.user is not None
    rating = np.zeros((log.num_users, log.num_items), np.float32)
    seen = np.zeros_like(rating)
    rating[log.user, log.item], seen[log.user, log.item] = log.outcome, 1
    digest = hashlib.sha256(repr([RATING_FACTORISATION, WATCH_FACTORISATION, rating.shape]).encode())
    digest.update(rating.tobytes())

    def fit() -> bytes:
        both = [RATING_FACTORISATION(rating, seen), WATCH_FACTORISATION(seen)]
        return np.stack(both).astype(np.float32).tobytes()

    def parse(content: bytes) -> Floats:
        return np.frombuffer(content, np.float32).reshape(2, *rating.shape).copy()

    try:
        predictions = load_or_make(folder / f"uplift-{digest.hexdigest()[:16]}.arrays", fit, parse)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror}); set CAUSALREC_CACHE") from error
    return predictions[0], predictions[1]
