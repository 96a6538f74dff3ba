"""Recommendations of ML-100K's movies as rounds of a bandit whose true rates are known for every user and movie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import Field
from scipy.special import expit

from causalrec.data.bandit_rounds import by_user, draw_rounds, softmax_policy
from causalrec.data.card import DatasetCard
from causalrec.data.contexts import Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.ml100k_semisynthetic import outcome_score, shift_to_mean
from causalrec.data.datasets.simulated_ml100k import (
    LICENCE,
    SIMULATED_COLUMNS,
    URLS,
    AbstractSimulatedML100K,
    frozen_columns,
)
from causalrec.data.truth import Oracle
from causalrec.types import Count, Doubles, Seed, Share

SCORE_SEED: Final = 2  # of the stream of the logging policy's noise


@dataclass(frozen=True, kw_only=True)
class RatingBandit(AbstractSimulatedML100K):
    """Rounds in each of which a user of ML-100K is shown one movie: user and reward are drawn, titles are real.

    The true rate of a pair is that of `ml100k_semisynthetic` under `mechanism=features` (completed ratings, taste for
    genres and decades, popularity, affinity, activity). Users come evenly; the logging policy is
    `softmax((popularity_i + noise g_ui) / temperature)` over all movies, g ~ N(0, 1) fixed by `policy_seed`; a reward
    is 1 with probability of the rate. Popularity drives both, so the log's mean says little of another policy.
    `propensity` is p(movie | user, round), not that of a pair to be logged.

    Attributes:
        rounds: number of rows.
        temperature: of the logging policy; a high one is near to uniform.
        noise: standard deviation of what users add to a movie's standardised popularity.
        mean_rate: true mean reward over all pairs.
        policy_seed: draws that noise.
    """

    rounds: Count = 10_000
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    mean_rate: Share = 0.264
    policy_seed: Seed = 0

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="rating_bandit",
            domain="video",
            size=f"943 users, 1,682 movies, {self.rounds:,} rounds, every pair known",
            licence=LICENCE,
            urls=URLS,
            sha256=self.real.card.sha256,
            columns=SIMULATED_COLUMNS,
            outcome="click",
            feedback="exposure_logged",
            resampled_by=("draw",),
            logged_propensity=True,
            rounds=True,
            known_truth=True,
            repeats="allowed",
            unseen="keep",
            caveat="recommendations and rewards are simulated over real users and movies",
        )

    def load(self, root: Path) -> CausalDataset:
        real = self.real.load(root)
        users, items, affinity = frozen_columns(real)
        score = outcome_score(real, users, items, affinity)
        rate = np.asarray(expit(score + shift_to_mean(score, self.mean_rate)))
        noise = np.random.default_rng([self.policy_seed, SCORE_SEED]).normal(size=rate.shape)
        probability = softmax_policy(items["popularity"].to_numpy() + self.noise * noise, self.temperature)
        rng = np.random.default_rng([self.draw, 0])
        contexts = Contexts(
            count=self.rounds,
            num_actions=rate.shape[1],
            num_users=len(rate),
            user=rng.integers(len(rate), size=self.rounds),
        )
        rewards, policy = by_user(rate), by_user(probability)
        return CausalDataset(
            card=self.card,
            logged=draw_rounds(contexts, policy, rewards, rng, name="rating_bandit"),
            user_table=users,
            item_table=items,
            pair_features={"affinity": affinity},
            logging_policy=policy,
            context_oracle=rewards,
            oracle=Oracle(
                rate=lambda user, item: rate[user, item].astype(np.float32),
                propensity=lambda user, item: self._ever_shown(probability[user, item], len(rate)).astype(np.float32),
            ),
            raw_sha256=real.raw_sha256,
            user_ids=real.user_ids,
            item_ids=real.item_ids,
        )

    def _ever_shown(self, probability: Doubles, users: int) -> Doubles:
        """Return the probabilities of pairs to be in the log at all, from those of a movie in a round of its user."""
        return np.asarray(1 - (1 - probability / users) ** self.rounds)
