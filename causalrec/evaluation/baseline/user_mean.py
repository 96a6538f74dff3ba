"""User mean: the mean outcome of a user's rows, shrunk to the overall mean."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.types import Doubles, Floats, Ints


@dataclass(kw_only=True)
class UserMean(AbstractBaseline):
    """`(sum of outcomes + prior * mean) / (n + prior)`: the user's own liked share; `prior` in rows.

    Over the user's training rows; where the split has a context and the row a time, over what a history may read: the
    exposed training and context rows strictly older than the row. `mean` is that of the training rows alone.
    """

    tells_items_apart: ClassVar[bool] = False
    prior: Annotated[float, Field(ge=0)] = 5.0
    _overall: float = field(init=False, repr=False, default=0.0)
    _all: tuple[Doubles, Doubles] = field(init=False, repr=False)
    _past: "_UserHistory | None" = field(init=False, repr=False, default=None)

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        self._overall = float(log.outcome.mean(dtype=np.float64))
        user = np.zeros(0, np.int64) if log.user is None else log.user
        total = np.bincount(user, weights=log.outcome[: len(user)], minlength=log.num_users)
        self._all = total.astype(np.float64), np.bincount(user, minlength=log.num_users).astype(np.float64)
        timed = context is not None and log.user is not None and log.time is not None
        self._past = _UserHistory.from_logs(log, context) if timed and context is not None else None

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        if not len(self._all[0]):
            return np.full(len(item), self._overall, np.float32)
        if self._past is None or time is None:
            total, count = self._all[0][user], self._all[1][user]
        else:
            total, count = self._past.older_sum_and_count(user, time)
        shrunk = (total + self.prior * self._overall) / np.maximum(count + self.prior, 1e-9)
        return np.where(count + self.prior > 0, shrunk, self._overall).astype(np.float32)


@dataclass(frozen=True)
class _UserHistory:
    """Running sums of exposed rows by user, then time: `keys[M]` = user * times + rank of the time, `sums[M+1]`."""

    times: Ints
    keys: Ints
    sums: Doubles

    @classmethod
    def from_logs(cls, log: InteractionLog, context: InteractionLog) -> "_UserHistory":
        logs = [rows.take(rows.treatment > 0) for rows in (log, context)]
        user = np.concatenate([rows.user for rows in logs if rows.user is not None])
        outcome = np.concatenate([rows.outcome for rows in logs])
        times, rank = np.unique(np.concatenate([p.time for p in logs if p.time is not None]), return_inverse=True)
        keys = user * max(len(times), 1) + rank
        order = np.argsort(keys, kind="stable")
        return cls(times, keys[order], np.concatenate([[0.0], np.cumsum(outcome[order], dtype=np.float64)]))

    def older_sum_and_count(self, user: Ints, time: Ints) -> tuple[Doubles, Doubles]:
        """Return the sum and the count of the user's rows strictly older than each row."""
        start = user * max(len(self.times), 1)
        first = np.searchsorted(self.keys, start)
        last = np.searchsorted(self.keys, start + np.searchsorted(self.times, time))
        return self.sums[last] - self.sums[first], (last - first).astype(np.float64)
