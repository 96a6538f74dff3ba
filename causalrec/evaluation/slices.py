"""The rows a model is scored on: the randomised test, the logged test, and all pairs where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.data.log import CausalDataset
from causalrec.data.splits import Splits
from causalrec.metrics.base import LabelKind
from causalrec.types import Floats, Ints


@dataclass(frozen=True)
class Slice:
    """Rows to score: ids int64[N], `label[N]` observed outcomes or (kind `rate`) the true mean outcomes."""

    name: str
    kind: LabelKind
    user: Ints
    item: Ints
    label: Floats
    num_users: int

    @property
    def cluster(self) -> Ints:
        """The resampling unit of each row: its user, or the row itself in userless logs."""
        return self.user if self.num_users else np.arange(len(self.item))

    @property
    def num_clusters(self) -> int:
        return self.num_users or len(self.item)


def slices(dataset: CausalDataset, splits: Splits) -> list[Slice]:
    """Return the test slice, then all pairs with their true rates where the data set knows them."""
    test = splits.test
    kind: LabelKind = "binary" if dataset.card.outcome == "click" else "graded"
    name = "randomised" if splits.test_is_randomised else "logged"
    user = test.user if test.user is not None else np.zeros(len(test), np.int64)
    found = [Slice(name, kind, user, test.item, test.outcome, test.num_users)]
    if dataset.oracle is not None:
        every = np.arange(test.num_pairs)
        user, item = every // test.num_items, every % test.num_items
        found.append(Slice("all_pairs", "rate", user, item, dataset.oracle.rate(user, item), test.num_users))
    return found
