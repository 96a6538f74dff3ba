"""Splits: training and validation from the logged part, the test from the randomised part where there is one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from causalrec.data.draws import Side, cold_ids, cut, few, ids_of, latest_rows, random_rows, window_rows
from causalrec.data.log import CausalDataset, InteractionLog
from causalrec.errors import DataError, RequestError
from causalrec.types import Bools, Count, Ints, Share

Unseen = Literal["error", "drop", "keep"]
Duplicates = Literal["drop_train", "drop_test", "keep"]
LEAST_HELD = 16  # validation rows of a few-shot split


@dataclass(frozen=True)
class Splits:
    """Three disjoint logs, the randomised rows set aside for the propensity (`mar`), and what had to be settled.

    A logged propensity is scaled by the share of the logged part that a split holds (Schnabel et al. 2016, section 5.2:
    (k-1)/k for the training folds), so that the sum of 1/p over a split still estimates the number of pairs; that of
    the arm received (of a round, or where unexposed rows are logged too) stays.
    `context`: rows that histories may read beside the training rows, never trained on; None for none. `drawn_from`:
    the rows that few-shot training rows were drawn from, None where all were taken.
    """

    train: InteractionLog
    validation: InteractionLog
    test: InteractionLog
    test_is_randomised: bool
    duplicates: int
    unseen: int
    mar: InteractionLog | None = None
    context: InteractionLog | None = None
    drawn_from: InteractionLog | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of each split's pairs and outcomes, in row order; of the others where there are."""
        names = ("train", "validation", "test", "mar", "context", "drawn_from")
        return {name: _hash(log) for name in names if (log := getattr(self, name)) is not None}

    def pooled(self, whole: int) -> InteractionLog:
        """Return training and validation rows together, logged propensities scaled to their share of `whole` rows."""
        pool = self.train.joined(self.validation)
        if self.train.propensity is None or self.validation.propensity is None or pool.has_arms:
            return pool
        parts = (self.train, self.validation)
        logged = [part.propensity * np.float32(whole / len(part)) for part in parts if part.propensity is not None]
        return pool.with_propensity(np.minimum(np.concatenate(logged), 1) * np.float32(len(pool) / whole))


@dataclass(frozen=True, kw_only=True)
class Splitter:
    """Draws the splits from `seed` (and `draw`) alone, the same for every row of a table.

    `validation`, `test`: shares of the logged part (the latter only without a randomised part). `order`: `random`;
    `time`: of each user's rows (of all rows in a userless log) the latest are the test, those before the validation,
    at least one each where there are three rows or more; users with fewer stay in training, ties go by row order; or
    `windows`: the rows with `before` earlier ones of their user, users in the order of their first row, of which the
    last `windows` are cut into training, validation and test by place (TALLRec, Bao et al., RecSys 2023).
    `cold`: the shares are of items (users), all of whose rows move, so that none of the test's has a training row; of a
    randomised part, only the rows of a share `test` of its items (users) are the test, and all rows of those without a
    logged row.
    `shots`: few-shot, so many rows of what would be training, drawn by `draw` and so that fewer shots are a part of
    more; the validation keeps as many, but 16 at least (all it has, where that is fewer). `context`: what histories may
    read beside training rows: `rest`, the training rows that `shots` left out, or `all` logged rows, of the test too;
    only rows strictly older than the one predicted are read (`encoders/history.py`).
    `propensity_sample`: share of the randomised rows, drawn at random by row, that leaves the test as the split `mar`
    (5 % in Schnabel et al. 2016). `duplicates`: a pair of the randomised test that stands in the log too is
    dropped from the training side by default, which leaves the test uniform and, the test being random, takes training
    rows at random. `unseen`: what to do with a test row whose user or item has no training row (None: as the card
    says). Raises DataError on an empty split or a log without times, RequestError without randomised rows to draw, on
    more shots than rows, and on parts that do not go together.
    """

    validation: Share = 0.1
    test: Share = 0.1
    seed: Annotated[int, Field(ge=0)] = 0
    order: Literal["random", "time", "windows"] = "random"
    windows: Count = 10_000
    before: Annotated[int, Field(ge=0)] = 10
    cold: Side | None = None
    shots: Count | None = None
    draw: Annotated[int, Field(ge=0)] = 0
    context: Literal["none", "rest", "all"] = "none"
    propensity_sample: Annotated[float, Field(ge=0, lt=1)] = 0.0
    duplicates: Duplicates = "drop_train"
    unseen: Unseen | None = None

    def __post_init__(self) -> None:
        if self.cold and self.order != "random":
            raise RequestError(f"split.cold={self.cold}: moves whole {self.cold}s at random; set split.order=random")
        if self.context == "rest" and self.shots is None:
            raise RequestError("split.context=rest: is what split.shots left out; set split.shots, or context=all")

    def __call__(self, dataset: CausalDataset) -> Splits:
        mar, randomised = self._set_aside(dataset)
        logged, test, repeated = self._separate(dataset, randomised)
        if self.cold:
            pool, reserve, in_test, test = self._cold(logged, test, randomised is None)
        else:
            pool, reserve, in_test = self._ordered(logged, self.test if randomised is None else 0.0)
        whole = len(dataset.logged)
        rows = np.flatnonzero(pool)
        kept, held = self._drawn(rows, np.flatnonzero(reserve))
        train, validation = _part(logged, kept, "train", whole), _part(logged, held, "validation", whole)
        if randomised is None:
            test = _part(logged, np.flatnonzero(in_test), "test", whole)
        new = _unseen(test, train)
        test = _settle(test, new, self.unseen or dataset.card.unseen, dataset.card.name)
        for part in (train, validation, test):
            if not len(part):
                raise DataError(f"{dataset.card.name}: the {part.name} split is empty; change split.* or the threshold")
        context = self._context(logged, rows, kept)
        source = None if self.shots is None else _part(logged, rows, "drawn_from", whole)
        unbiased = randomised is not None
        return Splits(train, validation, test, unbiased, repeated, int(new.sum()), mar, context, source)

    def _ordered(self, logged: InteractionLog, last: float) -> tuple[Bools, Bools, Bools]:
        """Return which logged rows may be trained on, which are for the validation, and which for the test."""
        if self.order == "windows":
            return cut(window_rows(logged, self.before, self.windows), self.validation, last, len(logged))
        if self.order == "time":
            held, tested = latest_rows(logged, self.validation, last)
        else:
            held, tested = random_rows(logged, self.validation, last, self.seed)
        return ~(held | tested), held, tested

    def _cold(
        self, logged: InteractionLog, test: InteractionLog, from_log: bool
    ) -> tuple[Bools, Bools, Bools, InteractionLog]:
        """Return the same of whole items (users), and what of a randomised test belongs to them."""
        assert self.cold is not None
        ids = ids_of(logged, self.cold)
        new = np.zeros(len(test), bool) if from_log else ~np.isin(ids_of(test, self.cold), ids)
        apart = not from_log and bool(new.all())
        logs, last = ([logged], 0.0) if apart else ([logged, test], self.test)
        held, tested = cold_ids(logs, self.cold, self.validation, last, self.seed)
        test = test if from_log else test.take(new | tested[ids_of(test, self.cold)])
        return ~(held | tested)[ids], held[ids], tested[ids], test

    def _drawn(self, pool: Ints, reserve: Ints) -> tuple[Ints, Ints]:
        if self.shots is None:
            return pool, reserve
        few_held = min(max(self.shots, LEAST_HELD), len(reserve))
        return few(pool, self.shots, [self.draw, 2]), few(reserve, few_held, [self.draw, 3])

    def _context(self, logged: InteractionLog, pool: Ints, kept: Ints) -> InteractionLog | None:
        if self.context == "none":
            return None
        if self.context == "all" and logged.time is None:
            raise DataError(f"{logged.name}: split.context=all needs the time of each row and it has none; leave it")
        read = np.ones(len(logged), bool) if self.context == "all" else np.isin(np.arange(len(logged)), pool)
        read[kept] = False
        return logged.take(np.flatnonzero(read), "context")

    def _set_aside(self, dataset: CausalDataset) -> tuple[InteractionLog | None, InteractionLog | None]:
        """Return the randomised rows for the propensity, and those left for the test."""
        randomised, name = dataset.randomised, dataset.card.name
        if not self.propensity_sample:
            return None, randomised
        if randomised is None:
            asked = f"split.propensity_sample={self.propensity_sample:g}"
            raise RequestError(f"{asked}: {name} has no randomised rows; choose another data set, or set it to 0")
        size = max(1, round(self.propensity_sample * len(randomised)))
        order = np.random.default_rng([self.seed, 1]).permutation(len(randomised))
        return randomised.take(np.sort(order[:size]), "mar"), randomised.take(np.sort(order[size:]))

    def _separate(
        self, dataset: CausalDataset, test: InteractionLog | None
    ) -> tuple[InteractionLog, InteractionLog, int]:
        logged = dataset.logged
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


def _part(logged: InteractionLog, rows: Ints, name: str, whole: int) -> InteractionLog:
    part = logged.take(rows, name)
    if part.propensity is None or part.user is None or part.has_arms or not len(part):  # p(arm | row) stays
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
