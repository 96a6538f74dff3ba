"""The contract of splits: training and validation from the logged part, the test from the randomised one if any."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import numpy as np
from pydantic import Field

from causalrec.data.assignment_unit import mark_units
from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.pair_pool import PairPool
from causalrec.data.split.empty import require_rows
from causalrec.data.split.rules import (
    Duplicates,
    SplitRules,
    Unseen,
    apply_unseen_rule,
    remove_duplicates,
    require_arms,
    sample_randomised,
    take_rows,
    unseen_rows,
)
from causalrec.data.split.splits import Splits
from causalrec.types import Bools, Ints


@dataclass(frozen=True, kw_only=True)
class RowAssignment:
    """Which rows a split gives to whom, as row numbers in increasing order.

    Attributes:
        train: rows of the log.
        validation: rows of the log.
        test: rows of the randomised part where there is one (None: all of it), else rows of the log.
        context: rows of the log that histories may read besides the training rows; None for none.
        drawn_from: rows of the log that the training rows are a draw of; None where all were taken.
        pool: users and items whose pairs training and validation rows stand for; None for all.
    """

    train: Ints
    validation: Ints
    test: Ints | None
    context: Ints | None = None
    drawn_from: Ints | None = None
    pool: PairPool | None = None


class AbstractSplit(ABC):
    """Cuts a data set into training, validation and test rows, the same for every row of a table.

    A component gives `assign`, which chooses rows, and `rules`, which hold for all splits alike. `resampled_by`: its
    settings that only draw rows of the same users and items anew, so that jobs that differ in them are replicates of
    one row and may train side by side. `no_folds`: why folds of the training side cannot stand in for its validation
    rows, a clause; None where they can.
    """

    resampled_by: ClassVar[frozenset[str]] = frozenset()
    no_folds: ClassVar[str | None] = None

    @property
    @abstractmethod
    def description(self) -> str:
        """Which rows are held out, a few words for titles and the audit ("each user's latest rows")."""

    @property
    @abstractmethod
    def rules(self) -> SplitRules:
        """What it does with randomised rows, repeated pairs and unseen ids."""

    @abstractmethod
    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        """Choose rows of the log, of which repeated pairs are gone, and of the randomised part where there is one."""

    def check(self, card: DatasetCard) -> None:
        """Raise RequestError where such data cannot be split so; no file is read."""
        return

    def bind(self, dataset: CausalDataset) -> AbstractSplit:
        """Return the split with what it reads of the data set's tables: itself, unless it reads some."""
        return self

    def choose(self, logged: InteractionLog, randomised: InteractionLog | None) -> AbstractSplit:
        """Return the split that is made of these rows: this one, unless it is one that picks another."""
        return self

    def choice_note(self, logged: InteractionLog, randomised: InteractionLog | None) -> str:
        """Say what picked this split for these rows, and why; empty where nothing was picked."""
        return ""

    def empty_note(self, logged: InteractionLog) -> str:
        """Say why it can hold out no row of these, and what to set, a clause; empty where it could."""
        return ""

    def footnotes(self, dataset: CausalDataset, splits: Splits) -> Iterable[str]:
        """Yield what must be read with any number of these splits, beside what every split is judged by."""
        return ()

    @property
    def goes_by_time(self) -> bool:
        """Whether the test holds the latest rows, of each user or of all, or ids that time has no part in."""
        return False

    @property
    def draws_test_at_random(self) -> bool:
        """Whether a test of logged rows is a random draw of them, each as probable as any other."""
        return False

    @property
    def history_reads_test(self) -> bool:
        """Whether the history of a test row may hold earlier test rows."""
        return False

    @property
    def randomised_share(self) -> float:
        """Share of the randomised rows that leaves the test."""
        return self.rules.propensity_sample

    @final
    def __call__(self, dataset: CausalDataset) -> Splits:
        """Split the data, whose units of assignment are judged first unless they were marked.

        Raises DataError on an empty split, RequestError without randomised rows to set aside.
        """
        dataset = mark_units(dataset)
        chosen = self.bind(dataset).choose(dataset.logged, dataset.randomised)
        rules, name, size = chosen.rules, dataset.card.name, len(dataset.logged)
        sample, randomised = sample_randomised(rules, dataset)
        logged, randomised, duplicates = remove_duplicates(rules, dataset, randomised)
        rows = chosen.assign(logged, randomised)
        pooled, pool_size = replace(logged, pool=rows.pool), size
        if rows.pool is not None:
            pool_size = int(rows.pool.holds(dataset.logged.users, dataset.logged.item).sum())
        train = take_rows(pooled, rows.train, "train", pool_size)
        validation = take_rows(pooled, rows.validation, "validation", pool_size)
        test = _test_log(logged, randomised, rows.test, size)
        sampled, note = 0 if sample is None else len(sample), chosen.empty_note(logged)
        require_rows((train, validation, test), dataset, logged, randomised, sampled, note)
        unseen = unseen_rows(test, train)
        test = apply_unseen_rule(test, unseen, rules.unseen or dataset.card.unseen, name)
        require_arms(train, dataset.card, chosen.description)
        return Splits(
            train=train,
            validation=validation,
            test=test,
            test_is_randomised=randomised is not None,
            duplicates=duplicates,
            unseen=int(unseen.sum()),
            test_at_random=randomised is None and chosen.draws_test_at_random,
            randomised_sample=sample,
            context=None if rows.context is None else logged.take(rows.context, "context"),
            drawn_from=None if rows.drawn_from is None else take_rows(logged, rows.drawn_from, "drawn_from", size),
        )


@dataclass(frozen=True, kw_only=True)
class AbstractLogSplit(AbstractSplit):
    """A split that chooses among all rows of the log, with the rules that all of these have as settings.

    Repeated pairs leave the training side by default, which leaves the test uniform and, the test being random, takes
    training rows at random.

    Attributes:
        seed: every draw follows it alone.
        propensity_sample: share of the randomised rows, drawn at random by row, that leaves the test.
        duplicates: which side loses a pair of the randomised test that is logged too.
        unseen: what to do with a test row whose user or item has no training row (None: as the card says).
    """

    seed: Annotated[int, Field(ge=0)] = 0
    propensity_sample: Annotated[float, Field(ge=0, lt=1)] = 0.0
    duplicates: Duplicates = "drop_train"
    unseen: Unseen | None = None

    @property
    def rules(self) -> SplitRules:
        return SplitRules(
            seed=self.seed,
            propensity_sample=self.propensity_sample,
            duplicates=self.duplicates,
            unseen=self.unseen,
        )


def assignment(validation: Bools, test: Bools, randomised: InteractionLog | None) -> RowAssignment:
    """Return the assignment of masks over log rows: the rest is trained on; a randomised part is all test."""
    tested = np.flatnonzero(test) if randomised is None else None
    return RowAssignment(train=np.flatnonzero(~(validation | test)), validation=np.flatnonzero(validation), test=tested)


def _test_log(
    logged: InteractionLog, randomised: InteractionLog | None, rows: Ints | None, logged_rows: int
) -> InteractionLog:
    if randomised is None:
        assert rows is not None, "without a randomised part the test is rows of the log"
        return take_rows(logged, rows, "test", logged_rows)
    return randomised if rows is None else randomised.take(rows)
