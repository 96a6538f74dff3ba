"""Splits: training and validation from the logged part, the test from the randomised part where there is one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from causalrec.data.log import CausalDataset, InteractionLog
from causalrec.errors import DataError
from causalrec.types import Bools, Share

Unseen = Literal["error", "drop", "keep"]
Duplicates = Literal["drop_train", "drop_test", "keep"]


@dataclass(frozen=True)
class Splits:
    """Three disjoint logs, and what had to be settled to get them.

    A logged propensity is scaled by the share of the logged part that a split holds (Schnabel et al. 2016, section 5.2:
    (k-1)/k for the training folds), so that the sum of 1/p over a split still estimates the number of pairs.
    """

    train: InteractionLog
    validation: InteractionLog
    test: InteractionLog
    test_is_randomised: bool
    duplicates: int
    unseen: int

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of each split's pairs and outcomes, in row order."""
        return {name: _hash(getattr(self, name)) for name in ("train", "validation", "test")}


@dataclass(frozen=True, kw_only=True)
class Splitter:
    """Draws the splits from `seed` alone, the same for every row of a table.

    `validation`, `test`: shares of the logged part (the latter only without a randomised part). `duplicates`: a pair
    of the randomised test that stands in the log too is dropped from the training side by default, which leaves the
    test uniform and, the test being random, takes training rows at random. `unseen`: what to do with a test row whose
    user or item has no training row (None: as the card says).
    """

    validation: Share = 0.1
    test: Share = 0.1
    seed: Annotated[int, Field(ge=0)] = 0
    duplicates: Duplicates = "drop_train"
    unseen: Unseen | None = None

    def __call__(self, dataset: CausalDataset) -> Splits:
        logged, test, repeated = self._separate(dataset)
        chance = np.random.default_rng(self.seed).permutation(len(logged)) / max(len(logged), 1)
        held = self.validation if dataset.randomised is not None else self.validation + self.test
        whole = len(dataset.logged)
        train = _part(logged, chance >= held, "train", whole)
        validation = _part(logged, chance < self.validation, "validation", whole)
        if dataset.randomised is None:
            test = _part(logged, (chance >= self.validation) & (chance < held), "test", whole)
        new = _unseen(test, train)
        test = _settle(test, new, self.unseen or dataset.card.unseen, dataset.card.name)
        for part in (train, validation, test):
            if not len(part):
                raise DataError(f"{dataset.card.name}: the {part.name} split is empty; change split.* or the threshold")
        return Splits(train, validation, test, dataset.randomised is not None, repeated, int(new.sum()))

    def _separate(self, dataset: CausalDataset) -> tuple[InteractionLog, InteractionLog, int]:
        logged, test = dataset.logged, dataset.randomised
        if test is None:
            return logged, logged, 0
        repeated = np.isin(test.codes, logged.codes)
        # fresh test labels are new draws although the pair repeats; the arms of userless logs repeat by nature
        if not dataset.card.fresh_test_labels and test.user is not None:
            if self.duplicates == "drop_train":
                logged = logged.take(~np.isin(logged.codes, test.codes))
            elif self.duplicates == "drop_test":
                test = test.take(~repeated)
        return logged, replace(test, name="test"), int(repeated.sum())


def _settle(test: InteractionLog, new: Bools, rule: Unseen, name: str) -> InteractionLog:
    if rule == "error" and new.any():
        row = int(np.argmax(new))
        who = "" if test.user is None else f"user {test.user[row]}, "
        raise DataError(
            f"{name}: {int(new.sum())} test rows have a user or item without a training row (first: {who}item "
            f"{test.item[row]}); set split.unseen=drop or split.unseen=keep"
        )
    return test.take(~new) if rule == "drop" else test


def _part(logged: InteractionLog, chosen: Bools, name: str, whole: int) -> InteractionLog:
    part = logged.take(np.flatnonzero(chosen), name)
    if part.propensity is None or not len(part):
        return part
    return part.with_propensity(part.propensity * np.float32(len(part) / whole))


def _unseen(test: InteractionLog, train: InteractionLog) -> Bools:
    new = ~np.isin(test.item, train.item)
    if test.user is not None and train.user is not None:
        new |= ~np.isin(test.user, train.user)
    return new


def _hash(log: InteractionLog) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(log.codes.astype(np.int64)).tobytes())
    digest.update(np.ascontiguousarray(log.outcome).tobytes())
    return digest.hexdigest()
