"""A data set: each round shows one item to a user at some hour, drawn from a known policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source

USERS, ITEMS = 40, 12


@dataclass(frozen=True, kw_only=True)
class Rounds(AbstractDataset):
    """Clicks on items that a popular-first policy shows; the hour of a round is a column of the row.

    Args:
        per_user: logged rounds of each user, each with another item.
    """

    per_user: Annotated[int, Field(gt=1, lt=ITEMS)] = 6

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="rounds",
            domain="simulation",
            licence="none needed",
            urls=(),
            sha256={},
            columns=(
                Column("user", "user", "id"),
                Column("item", "item", "id"),
                Column("gender", "user", "category"),
                Column("hour", "row", "numeric"),
            ),
            outcome="click",
            feedback="exposure_logged",
            randomised="uniform items",
            logged_propensity=True,
            unseen="keep",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    def load(self, root: Path) -> CausalDataset:
        rng = np.random.default_rng(7)
        pull = np.exp(-np.arange(ITEMS) / 4)
        policy = pull / pull.sum()
        women = rng.integers(2, size=USERS)
        return CausalDataset(
            card=self.card,
            logged=_log(rng, policy, self.per_user, women, "log"),
            user_table=pl.DataFrame({"gender": np.where(women, "woman", "man")}),
            item_table=pl.DataFrame({"item": np.arange(ITEMS)}),
            randomised=_log(rng, np.full(ITEMS, 1 / ITEMS), 3, women, "randomised"),
            user_ids=pl.Series([f"u{k}" for k in range(USERS)]),
            item_ids=pl.Series([f"i{k}" for k in range(ITEMS)]),
        )


def _log(rng: np.random.Generator, policy: np.ndarray, rounds: int, women: np.ndarray, name: str) -> InteractionLog:
    user = np.repeat(np.arange(USERS), rounds)
    item = np.concatenate([rng.choice(ITEMS, rounds, replace=False, p=policy) for _ in range(USERS)])
    hour = rng.uniform(0, 24, len(user)).astype(np.float32)
    chance = 0.2 + 0.4 * (item % 3 == 0) + 0.2 * women[user] + 0.1 * (hour > 12)
    return InteractionLog(
        user=user,
        item=item,
        treatment=np.ones(len(user), np.int64),
        outcome=(rng.random(len(user)) < chance).astype(np.float32),
        propensity=policy[item].astype(np.float32),
        num_users=USERS,
        num_items=ITEMS,
        columns={"hour": hour},
        name=name,
    )
