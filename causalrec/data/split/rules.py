"""The rules that every split keeps: rows set aside, repeated pairs, unseen users and items, scaled propensities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError, RequestError
from causalrec.types import Bools, Ints

Unseen = Literal["error", "drop", "keep"]
Duplicates = Literal["drop_train", "drop_test", "keep"]


@dataclass(frozen=True, kw_only=True)
class SplitRules:
    """What a split does besides choosing rows.

    Attributes:
        seed: draws the randomised rows that are set aside.
        propensity_sample: share of the randomised rows, drawn at random by row (by unit of assignment where they have
            one), that leaves the test (5 % in Schnabel et al. 2016).
        duplicates: a pair of the randomised test that stands in the log too leaves the training side, leaves the test,
            or stays on both.
        unseen: what to do with a test row whose user or item has no training row; None: as the card says.
    """

    seed: int
    propensity_sample: float
    duplicates: Duplicates
    unseen: Unseen | None


def sample_randomised(rules: SplitRules, dataset: CausalDataset) -> tuple[InteractionLog | None, InteractionLog | None]:
    """Return the randomised rows set aside, and those left for the test. Raises RequestError where there are none."""
    randomised, name = dataset.randomised, dataset.card.name
    if not rules.propensity_sample:
        return None, randomised
    if randomised is None:
        setting = f"split.propensity_sample={rules.propensity_sample:g}"
        raise RequestError(f"{setting}: {name} has no randomised rows; choose another data set, or set it to 0")
    size, rng = max(1, round(rules.propensity_sample * len(randomised))), np.random.default_rng([rules.seed, 1])
    if randomised.unit is None:
        order = rng.permutation(len(randomised))
        aside = np.isin(np.arange(len(randomised)), order[:size])
    else:
        aside = _units_up_to(randomised.unit, size, rng)
    return randomised.take(np.flatnonzero(aside), "randomised_sample"), randomised.take(np.flatnonzero(~aside))


def _units_up_to(unit: Ints, size: int, rng: np.random.Generator) -> Bools:
    """Return which rows are of units that, drawn at random, have at most `size` rows together, one unit at least."""
    _, row_unit, count = np.unique(unit, return_inverse=True, return_counts=True)
    order = rng.permutation(len(count))
    fits = np.cumsum(count[order]) <= size
    fits[0] = True
    inside = np.zeros(len(count), bool)
    inside[order[fits]] = True
    return inside[row_unit]


def remove_duplicates(
    rules: SplitRules, dataset: CausalDataset, randomised: InteractionLog | None
) -> tuple[InteractionLog, InteractionLog | None, int]:
    """Return the logged rows, the randomised test, and how many of its pairs are logged too."""
    logged = dataset.logged
    if randomised is None:
        return logged, None, 0
    repeated = np.isin(randomised.codes, logged.codes)
    # fresh test labels are new draws although the pair repeats; the arms of userless logs repeat by nature
    if not dataset.card.fresh_test_labels and randomised.user is not None:
        if rules.duplicates == "drop_train":
            logged = logged.take(~np.isin(logged.codes, randomised.codes))
        elif rules.duplicates == "drop_test":
            randomised = randomised.take(~repeated)
    return logged, replace(randomised, name="test"), int(repeated.sum())


def unseen_rows(test: InteractionLog, train: InteractionLog) -> Bools:
    """Return which test rows have a user or an item without a training row."""
    unseen = ~np.isin(test.item, train.item)
    if test.user is not None and train.user is not None:
        unseen |= ~np.isin(test.user, train.user)
    return unseen


def apply_unseen_rule(test: InteractionLog, unseen: Bools, rule: Unseen, name: str) -> InteractionLog:
    """Return the test rows that the rule leaves. Raises DataError under `error`, and where `drop` leaves none.

    Args:
        test: the test rows.
        unseen: [N] whether a test row's user or item has no training row.
        rule: what to do with these.
        name: of the data set, for the error.
    """
    if rule == "error" and unseen.any():
        row = int(np.argmax(unseen))
        user = "" if test.user is None else f"user {test.user[row]}, "
        raise DataError(
            f"{name}: {int(unseen.sum())} test rows have a user or item without a training row (first: {user}item "
            f"{test.item[row]}); set split.unseen=drop or split.unseen=keep"
        )
    if rule == "drop" and len(unseen) and unseen.all():
        raise DataError(
            f"{name}: the test split is empty: each of its {len(unseen):,} rows has a user or item without a training "
            f"row, so that split.unseen=drop leaves none; set split.unseen=keep"
        )
    return test.take(~unseen) if rule == "drop" else test


def take_rows(logged: InteractionLog, rows: Ints, name: str, logged_rows: int) -> InteractionLog:
    """Return rows of the log, their logged propensities scaled to the share of `logged_rows` that they are.

    Args:
        logged: the log.
        rows: row numbers.
        name: of the new log.
        logged_rows: number of rows of the log before repeated pairs left it.
    """
    log = logged.take(rows, name)
    if log.propensity is None or not log.propensity_follows_share or not len(log):
        return log
    return log.with_propensity(log.propensity * np.float32(len(log) / logged_rows))


def require_arms(train: InteractionLog, card: DatasetCard, held_out: str) -> None:
    """Raise DataError where an exposure that effects are asked of has no training row.

    Args:
        train: The training rows.
        card: Of the data set, with its arms.
        held_out: Which rows are held out, in words.
    """
    names = ("not exposed", *card.arms) if card.arms else ()
    missing = sorted(set(range(len(names))) - set(np.unique(train.treatment).tolist()))
    if missing:
        raise DataError(
            f"{card.name}: no training row has exposure {missing[0]} ({names[missing[0]]}), as the test holds "
            f"{held_out}; hold out others (split=random) or fewer, or leave the arm out of dataset.arms"
        )
