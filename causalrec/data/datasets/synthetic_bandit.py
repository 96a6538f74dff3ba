"""A synthetic bandit whose mean rewards and logging policy are known in every context.

The law is that of Open Bandit Pipeline's simulations, and of the categories of MIPS, written from what the papers say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import polars as pl
from pydantic import Field
from scipy.special import expit

from causalrec.data.bandit_rounds import draw_rounds, softmax_policy
from causalrec.data.card import Column, DatasetCard
from causalrec.data.contexts import Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.sources import Source
from causalrec.errors import RequestError
from causalrec.types import Count, Doubles, Ints, Seed

AtLeastNone = Annotated[int, Field(ge=0)]
REFERENCE_ROUNDS: Final = 10_000  # contexts over which the law's score is standardised
VECTOR: Final = "embedding"


@dataclass(frozen=True)
class BanditLaw:
    """What does not change between draws.

    Attributes:
        context: float64[D], what each number of the context adds to the score of all actions.
        action: float64[A], what each action adds in all contexts.
        interaction: float64[D,A], what it adds for each number of the context.
        centre: mean of the score over contexts and actions.
        spread: its standard deviation.
        levels: int64[A,C], the level of each category of an action.
        vectors: float64[A,V], the embedding of each action.
        deficient: int64, actions that the logging policy never takes.
    """

    context: Doubles
    action: Doubles
    interaction: Doubles
    centre: float
    spread: float
    levels: Ints
    vectors: Doubles
    deficient: Ints

    def score(self, x: Doubles) -> Doubles:
        """Return the standardised score of each action in contexts float64[B,D], float64[B,A]."""
        raw = (x @ self.context)[:, None] + self.action + x @ self.interaction
        return np.asarray((raw - self.centre) / self.spread)


@dataclass(frozen=True, kw_only=True)
class SyntheticBandit(AbstractDataset):
    """Rounds with contexts x ~ N(0, I), a softmax logging policy and known mean rewards; no users.

    The score of action a is `s(x, a) = x.u + z_a.v + x.M z_a`, standardised, with u, v, M uniform on [-1, 1]; the mean
    reward q is `sigmoid(s)` (`click`) or s (`reward`, normal noise). z_a stands for the action: its categories, one-hot
    and each times its importance (Dirichlet), its vector, or, without both, the action itself. The reward thus depends
    on an action through categories and vectors alone; where some categories are hidden, it depends on more than is
    seen. The logging policy is `(1 - epsilon) softmax(beta q) + epsilon / A`, without the deficient actions; a large
    beta and an epsilon make it epsilon-greedy. True means and policy stand in `context_oracle` and `logging_policy`.

    Departures from the sources: an action has one level of each category (MIPS draws levels anew each round), deficient
    actions are the same in all contexts, the score is standardised over contexts of the law's own, so that the truth of
    a context does not change with the rounds drawn. Sources: Saito et al., NeurIPS D&B 2021; Saito & Joachims, ICML
    2022, section 4.1 (its study: context_dim=10, actions=1000, categories=3, levels=10, outcome=reward, reward_sd=2.5,
    beta=-1). Raises RequestError on settings that contradict each other.

    Attributes:
        rounds: number of rows.
        actions: A.
        context_dim: D, row columns x0, x1, ...
        outcome: what kind of number a reward is.
        reward_sd: of the noise of `reward`; null: 1. A click has none.
        beta: of the logging policy's softmax of q; below 0 it prefers bad actions (-3 in the README of the pipeline).
        epsilon: share of the logging policy that is uniform.
        deficient: actions without support, drawn once by `law`.
        categories: number of categories of an action, item columns category0, category1, ...
        levels: of each category; null: 10. Without categories none are there.
        hidden_categories: of these, the last ones that no column holds.
        vector_dim: width of the action's vector ~ N(0, I / width), item column embedding; 0: none.
        law: seed of coefficients, categories, vectors and deficient actions.
        draw: seed of contexts, actions and rewards.
    """

    rounds: Count = 10_000
    actions: Annotated[int, Field(ge=2)] = 30
    context_dim: Count = 5
    outcome: Literal["click", "reward"] = "click"
    reward_sd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    beta: Annotated[float, Field(allow_inf_nan=False)] = -3.0
    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.0
    deficient: AtLeastNone = 0
    categories: AtLeastNone = 0
    levels: Annotated[int, Field(ge=2)] | None = None
    hidden_categories: AtLeastNone = 0
    vector_dim: AtLeastNone = 0
    law: Seed = 0
    draw: Seed = 0

    def __post_init__(self) -> None:
        if self.deficient >= self.actions:
            raise RequestError(
                f"dataset.deficient={self.deficient}: leaves none of {self.actions} actions to the logging policy; "
                f"take fewer"
            )
        if self.outcome == "click" and self.reward_sd is not None:
            raise RequestError("dataset.reward_sd: a click has no noise; set dataset.outcome=reward, or leave it out")
        if not self.categories and self.levels is not None:
            raise RequestError("dataset.levels: are those of categories, and there are none; set dataset.categories")
        if self.hidden_categories > self.categories:
            raise RequestError(
                f"dataset.hidden_categories={self.hidden_categories}: there are {self.categories}; take at most as many"
            )

    @property
    def card(self) -> DatasetCard:
        shown = self.categories - self.hidden_categories
        return DatasetCard(
            name="synthetic_bandit",
            domain="simulation",
            size=f"{self.actions:,} actions, {self.rounds:,} rounds",
            licence="made here",
            urls=(),
            sha256={},
            columns=(
                Column("item", "item", "id"),
                *(Column(f"category{k}", "item", "category") for k in range(shown)),
                *([Column(VECTOR, "item", "vector")] if self.vector_dim else []),
                *(Column(f"x{k}", "row", "numeric") for k in range(self.context_dim)),
            ),
            outcome=self.outcome,
            scale=(0.0, 1.0) if self.outcome == "click" else (float("-inf"), float("inf")),
            feedback="exposure_logged",
            resampled_by=("draw",),
            logged_propensity=True,
            rounds=True,
            repeats="allowed",
            unseen="keep",
            caveat="rounds are simulated: what is found holds for this law",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    def load(self, root: Path) -> CausalDataset:
        law, rng = self._law(), np.random.default_rng([self.draw, 0])
        x = rng.normal(size=(self.rounds, self.context_dim))
        contexts = Contexts(
            count=self.rounds,
            num_actions=self.actions,
            columns={f"x{k}": values for k, values in enumerate(np.ascontiguousarray(x.T))},
        )
        policy, rewards = partial(self._policy, law), partial(self._rewards, law)
        sd = None if self.outcome == "click" else self.reward_sd or 1.0
        shown = self.categories - self.hidden_categories
        names = pl.DataFrame({f"category{k}": [f"c{level}" for level in law.levels[:, k]] for k in range(shown)})
        ids = pl.Series("item", [f"a{action}" for action in range(self.actions)])
        return CausalDataset(
            card=self.card,
            logged=draw_rounds(contexts, policy, rewards, rng, reward_sd=sd, name="synthetic_bandit"),
            user_table=pl.DataFrame(),
            item_table=names if shown else ids.to_frame(),
            item_vectors={VECTOR: law.vectors} if self.vector_dim else {},
            logging_policy=policy,
            context_oracle=rewards,
            item_ids=ids,
        )

    def _rewards(self, law: BanditLaw, contexts: Contexts) -> Doubles:
        x = np.stack([contexts.columns[f"x{k}"] for k in range(self.context_dim)], 1)
        score = law.score(x)
        return np.asarray(expit(score)) if self.outcome == "click" else score

    def _policy(self, law: BanditLaw, contexts: Contexts) -> Doubles:
        score = self.beta * self._rewards(law, contexts)
        score[:, law.deficient] = -np.inf
        even = np.ones(self.actions)
        even[law.deficient] = 0
        return np.asarray((1 - self.epsilon) * softmax_policy(score, 1.0) + self.epsilon * even / even.sum())

    def _law(self) -> BanditLaw:
        rng = np.random.default_rng([self.law, 1])
        levels = rng.integers(self.levels or 10, size=(self.actions, self.categories))
        vectors = rng.normal(scale=max(self.vector_dim, 1) ** -0.5, size=(self.actions, self.vector_dim))
        z = self._stand_ins(levels, vectors, rng)
        u, v, m = (rng.uniform(-1, 1, size) for size in (self.context_dim, z.shape[1], (self.context_dim, z.shape[1])))
        deficient = rng.permutation(self.actions)[: self.deficient]
        law = BanditLaw(u, z @ v, m @ z.T, 0.0, 1.0, levels, vectors, deficient)
        centre, spread = _moments(law, rng.normal(size=(REFERENCE_ROUNDS, self.context_dim)))
        return replace(law, centre=centre, spread=spread)

    def _stand_ins(self, levels: Ints, vectors: Doubles, rng: np.random.Generator) -> Doubles:
        """Return z, float64[A,Z]: what the reward reads of each action."""
        if not self.categories and not self.vector_dim:
            return np.eye(self.actions)
        importance = rng.dirichlet(np.ones(self.categories)) if self.categories else np.zeros(0)
        one_hot = [share * np.eye(self.levels or 10)[level] for share, level in zip(importance, levels.T, strict=True)]
        return np.hstack([*one_hot, vectors])


def _moments(law: BanditLaw, x: Doubles) -> tuple[float, float]:
    """Return mean and standard deviation of the raw score over contexts and actions, a block of contexts at a time."""
    sums = np.zeros(2)
    for block in np.array_split(x, max(1, len(x) * len(law.action) >> 22)):
        raw = law.score(block)
        sums += raw.sum(), (raw**2).sum()
    mean, square = sums / (len(x) * len(law.action))
    return float(mean), float(np.sqrt(square - mean**2))
