"""What a split gives: training, validation and test rows, and what was counted on the way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from causalrec.data.log import InteractionLog

LOGS = ("train", "validation", "test", "randomised_sample", "context", "drawn_from")


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Three disjoint logs, the rows that are read besides them, and what had to be settled.

    A logged propensity is scaled by the share of the logged part that a split holds (Schnabel et al. 2016, section 5.2:
    (k-1)/k for the training folds), so that the sum of 1/p over a split still estimates the number of pairs; that of
    the arm received (of a round, or where unexposed rows are logged too) stays.

    Attributes:
        train: rows to learn from.
        validation: rows that early stopping and selection read.
        test: rows that are scored.
        test_is_randomised: whether the test is the randomised part.
        test_at_random: whether the test is a random draw of logged rows, each as probable as any other.
        duplicates: test pairs that also stand in the logged part, before the rule for them.
        unseen: test rows whose user or item has no training row, before the rule for them.
        randomised_sample: randomised rows that left the test for propensities or selection; None for none.
        context: rows that histories may read besides the training rows, never trained on; None for none.
        drawn_from: the rows that few-shot training rows were drawn from; None where all were taken.
    """

    train: InteractionLog
    validation: InteractionLog
    test: InteractionLog
    test_is_randomised: bool
    duplicates: int
    unseen: int
    test_at_random: bool = False
    randomised_sample: InteractionLog | None = None
    context: InteractionLog | None = None
    drawn_from: InteractionLog | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of each split's pairs and outcomes, in row order; of the others where there are."""
        return {name: _hash(log) for name in LOGS if (log := getattr(self, name)) is not None}

    def pool(self, logged_rows: int) -> InteractionLog:
        """Return training and validation rows together, logged propensities scaled to their share of `logged_rows`."""
        pool = self.train.concatenate(self.validation)
        if self.train.propensity is None or self.validation.propensity is None or not pool.propensity_follows_share:
            return pool
        logs = (self.train, self.validation)
        logged = [log.propensity * np.float32(logged_rows / len(log)) for log in logs if log.propensity is not None]
        return pool.with_propensity(np.minimum(np.concatenate(logged), 1) * np.float32(len(pool) / logged_rows))


def _hash(log: InteractionLog) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(log.codes.astype(np.int64)).tobytes())
    digest.update(np.ascontiguousarray(log.outcome).tobytes())
    return digest.hexdigest()
