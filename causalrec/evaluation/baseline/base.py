"""The contract of a baseline: fitted on the training log alone, beside every model in every table."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.solvers.convergence import Convergence
from causalrec.types import Estimand, Floats, Ints


class AbstractBaseline(ABC):
    """A trivial predictor. Constructor keywords are its YAML keys; concrete classes are final.

    Attributes:
        estimand: it predicts the mean outcome under exposure, or the effect of each arm.
        tells_items_apart: two items of one user may have other predictions.
        tells_users_apart: one item of two users may have other predictions.
        in_outcome_unit: it predicts a mean outcome, not a score that only ranks.
    """

    estimand: ClassVar[Estimand] = "exposed_mean"
    tells_items_apart: ClassVar[bool] = True
    tells_users_apart: ClassVar[bool] = True
    in_outcome_unit: ClassVar[bool] = True

    @abstractmethod
    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        """Learn from the training log (a biased one, where exposure was).

        `context`: rows that only the history of a later row may read (`Splits.context`); most baselines read none.
        """

    @abstractmethod
    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        """Return predicted mean outcomes float32[N], or effects float32[N,A]; `time` of each row, where it has one."""

    def predict_catalogue(self, users: Ints, num_items: int) -> Floats | None:
        """Return predictions of all items for users int64[B], float32[B,I] or [B,I,A], where that is cheaper than pair
        by pair; it may be a view that repeats a row. None: pair by pair.
        """
        if not self.tells_users_apart:
            items = np.arange(num_items)
            of_items = self.predict(np.zeros_like(items), items)
            return np.broadcast_to(of_items, (len(users), *of_items.shape))
        if not self.tells_items_apart:
            of_users = self.predict(users, np.zeros_like(users))
            return np.broadcast_to(of_users[:, None], (len(users), num_items, *of_users.shape[1:]))
        return None

    @property
    def fits(self) -> tuple[Convergence, ...]:
        """How its iterative fits ended; none where it has a formula."""
        return ()
