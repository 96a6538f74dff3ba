"""Training rows of a draw of the users and items, beside the test of another split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.pair_pool import PairPool
from causalrec.data.split.base import RowAssignment
from causalrec.data.split.of_base import AbstractOfBase
from causalrec.data.split.row_order import ids_of
from causalrec.data.split.splits import Splits
from causalrec.errors import DataError, RequestError
from causalrec.types import Entity, Ints

ShareOfIds = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class SampledIds(AbstractOfBase):
    """Of the split `base`, the training and validation rows whose user and item are both in a draw of the ids.

    The test is that of the base, so that part of it is of users or items without a training row: the audit says how
    much. What is averaged over "all pairs" in training, and what a propensity is a share of, are the pairs of the
    drawn users and items alone: other pairs have no rows by design. A smaller draw of the same `subsample_seed` is
    among a larger one. Source: SuperDR (NeurIPS 2025) samples half of the users and items for training and keeps the
    whole randomised test. Raises DataError on a userless log,
    and where no row is left.

    Attributes:
        base: the split that rows are taken of; the test is its test.
        user_share: share of the users that are drawn.
        item_share: share of the items that are drawn.
        subsample_seed: of the draw; jobs that differ in it are replicates.
    """

    user_share: ShareOfIds = 0.5
    item_share: ShareOfIds = 0.5

    def __post_init__(self) -> None:
        if self.user_share == self.item_share == 1:
            raise RequestError("split.user_share=1 with split.item_share=1: leaves no id out; choose split=random")

    @property
    def description(self) -> str:
        return f"{self.base.description}, trained on a draw of the users and items"

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        rows, user = self.base.assign(logged, randomised), ids_of(logged, "user")
        pool = PairPool(
            _sample(logged.num_users, self.user_share, [self.subsample_seed, 5]),
            _sample(logged.num_items, self.item_share, [self.subsample_seed, 6]),
        )
        inside = pool.holds(user, logged.item)
        train, validation = (side[inside[side]] for side in (rows.train, rows.validation))
        if not (len(train) and len(validation)):
            raise DataError(
                f"{logged.name}: no {'validation' if len(train) else 'training'} row has a drawn user and item, of "
                f"{len(pool.users)} users and {len(pool.items)} items; raise split.user_share or split.item_share"
            )
        context = None if rows.context is None else rows.context[inside[rows.context]]
        return replace(rows, train=train, validation=validation, context=context, pool=pool)

    def footnotes(self, dataset: CausalDataset, splits: Splits) -> Iterable[str]:
        pool, test = splits.train.pool, splits.test
        assert pool is not None and test.user is not None
        outside = int((~pool.holds(test.user, test.item)).sum())
        yield (
            f"trained on {len(splits.train):,} rows of {len(pool.users):,} of {test.num_users:,} users and "
            f"{len(pool.items):,} of {test.num_items:,} items, drawn at random; {outside:,} of {len(test):,} test rows "
            f"({outside / len(test):.1%}) have a user or an item outside"
        )
        sides: tuple[tuple[Entity, Ints], ...] = (("user", pool.users), ("item", pool.items))
        for side, ids in sides:
            for name, vectors in dataset.vectors_of(side).items():
                others = np.setdiff1d(np.arange(len(vectors)), ids)
                there = int(np.isfinite(np.asarray(vectors)[others]).all(1).sum())
                rest = "; the others are unseen" if there < len(others) else ""
                yield f"{there:,} of {len(others):,} {side}s outside have a {name} of a run that saw them{rest}"


def _sample(count: int, share: float, seed: list[int]) -> Ints:
    """Return a share of the ids 0 .. count - 1, one at least, in increasing order."""
    chosen: Ints = np.sort(np.random.default_rng(seed).permutation(count)[: max(1, round(share * count))])
    return chosen
