"""The columns of the outcome view as a regression reads them: numbers, levels, and a 0/1 column for each id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from causalrec.config.schema import ExperimentConfig
from causalrec.encoders.representation import represent_columns
from causalrec.errors import DataError
from causalrec.features.feature_matrix import FeatureMatrix
from causalrec.features.row_columns import RowsWithColumns
from causalrec.features.views import feature_matrix
from causalrec.learners.table_columns import DENSE_COPIES, frozen_text_encoder, log_to_fit
from causalrec.memory import free_memory, gigabytes
from causalrec.prepared import PreparedData
from causalrec.types import Doubles, Ints

Matrix = Doubles | sparse.csr_matrix


@dataclass(frozen=True)
class OutcomeColumns:
    """Reads rows as numbers, float64[N,P]: the columns of the view, then `user = u` and `item = i` where it has ids.

    Attributes:
        features: the view's columns but ids, texts and vectors as components.
        users: how many users have a column; 0: the view has no user id.
        items: likewise of items.
    """

    features: FeatureMatrix
    users: int
    items: int

    @classmethod
    def from_view(cls, config: ExperimentConfig, prepared: PreparedData) -> OutcomeColumns:
        """Expand the outcome view of a job."""
        view, dataset, log = prepared.plan.views.outcome, prepared.dataset, log_to_fit(prepared)
        components = config.run.representation.components
        numbers = represent_columns(dataset, view, frozen_text_encoder(config), components, log)
        features = feature_matrix(dataset, view, numbers)
        counts = {"user": log.num_users, "item": log.num_items}
        return cls(features, *(counts[side] if side in features.ids else 0 for side in ("user", "item")))

    def __len__(self) -> int:
        return len(self.features) + self.users + self.items

    def read(self, user: Ints, item: Ints, rows: RowsWithColumns) -> sparse.csr_matrix:
        """Return the numbers of these pairs, and of the columns of these rows, float64[N,P]."""
        numbers = self.features.matrix(user, item, self.features.row_block(rows))
        ids = [_one_hot(side, count) for side, count in ((user, self.users), (item, self.items)) if count]
        return sparse.csr_matrix(sparse.hstack([sparse.csr_matrix(numbers), *ids]), dtype=np.float64)

    def require_memory(self, rows: int, reader: str) -> None:
        """Raise DataError, with the arithmetic, where so many rows written out do not fit; `reader`: the learner."""
        needed, free = 8.0 * DENSE_COPIES * rows * len(self), free_memory()
        if needed > free:
            raise DataError(
                f"{reader}: {rows:,} rows x {len(self):,} columns x 8 bytes x {DENSE_COPIES} copies are "
                f"{gigabytes(needed)}, and {gigabytes(free)} are free here; leave ids out of the graph, or set "
                f"learner=network"
            )


def _one_hot(ids: Ints, count: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(ids)), ids, np.arange(len(ids) + 1)), shape=(len(ids), count))
