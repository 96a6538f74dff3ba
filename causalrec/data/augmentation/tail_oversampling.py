"""Rows of rarely logged items come more often in an epoch, and count less each time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.augmentation.base import AbstractAugmentation
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.types import Bools, Share


@dataclass(frozen=True, kw_only=True)
class TailOversampling(AbstractAugmentation):
    """Repeats each row of a tail item `factor` times, each copy of weight 1 / factor and of the row's propensity.

    The weighted loss is the log's in expectation; what changes is how often a step meets the tail, and so how noisy its
    gradient is there.

    Attributes:
        tail_share: items in falling order of their training rows (ties by id): those that begin in the last share of
            all rows are the tail (Abdollahpouri et al., UMAP 2021, at 0.2).
        factor: how often a row of the tail stands.
    """

    own_propensity: ClassVar[bool] = True
    training_outcomes: ClassVar[bool] = True

    tail_share: Share = 0.2
    factor: Annotated[int, Field(ge=2, le=1_000)] = 4

    def augment(self, train: InteractionLog, dataset: CausalDataset, seed: int) -> InteractionLog:
        tail = tail_items(train, self.tail_share)[train.item]
        copies = np.where(tail, self.factor, 1)
        rows = np.repeat(np.arange(len(train)), copies)
        weight = train.row_weights[rows] / copies[rows]
        return replace(train.take(rows), weight=weight.astype(np.float32))


def tail_items(log: InteractionLog, share: float) -> Bools:
    """Return which items begin in the last `share` of the log's rows, items in falling order of their rows, bool[I]."""
    counts = np.bincount(log.item, minlength=log.num_items)
    order = np.argsort(-counts, kind="stable")
    earlier = np.empty(log.num_items)
    earlier[order] = np.cumsum(counts[order]) - counts[order]
    tail: Bools = earlier >= (1 - share) * len(log)
    return tail
