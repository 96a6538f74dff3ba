"""The audit: what could make a number untrue, counted on the splits as they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from causalrec.data.assignment_unit import mark_units
from causalrec.data.clusters import ROW
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractSplit
from causalrec.data.split.row_order import can_go_by_time
from causalrec.data.split.splits import Splits
from causalrec.data.time_warnings import time_warnings
from causalrec.data.torn_units import unit_warnings
from causalrec.types import Entity, Ints

SHARE_WITH_VECTORS = 0.5  # of the ids of training rows, below which it is warned
FEW_USERS = 30  # of a test, below which it is said


@dataclass(frozen=True)
class Audit:
    """One data set's splits, as the record keeps them.

    Attributes:
        rows: Number of rows, by split: train, validation, test, and randomised_sample where there is one.
        mean_outcome: Mean outcome, by split.
        hashes: Hash of the rows, by split.
        threshold: The card's: the outcome is 1 from this raw value on; None keeps it.
        bin_edges: The card's: raw outcomes where a class begins.
        split: Which rows are held out, in words.
        test: How the test rows came about, in words.
        duplicates: Test pairs that also stand in the logged part, before `duplicate_rule`.
        duplicate_rule: What the split does with them, in words.
        leaked_rows: Test rows whose pair also stands in training or validation, after `duplicate_rule`.
        unseen_rows: Test rows whose user or item has no training row, before `unseen_rule`.
        unseen_rule: What the split does with them.
        candidates_per_user: Test rows of a test user, on average; None in a userless log.
        positives_per_user: Test rows with outcome 1 of a test user, on average; None in a userless log, and where
            outcomes are not 0 and 1 alone.
        users_without_positive: Test users without such a row; None as that.
        future_rows: Test rows older than the newest training row; None without times that compare between users.
        randomised_rows_used: Rows of the randomised part that anything but the test reads: those set aside for
            propensities or selection, and any that stand in training or validation.
        with_duplicates: Rows and mean outcome of the randomised test and of the logged part.
        without_duplicates: The same without the pairs that stand in both.
        users: Number of users with a row, by split; empty in a userless log.
        items: Number of items with a row, by split.
        positives: Rows of the outcome's upper class, by split; empty unless the outcome is a click.
        cold_users: Test rows whose user has no training row.
        cold_items: Test rows whose item has no training row.
        context_rows: Rows that only histories read.
        drawn_from: Rows that few-shot training rows were drawn from; None without few-shot.
        augmented_rows: Rows that networks train on where an augmentation changed them; None without one.
        resampled_by: Settings that only draw rows or outcomes anew, as `group.key`.
        assignment_unit: Level within which treatment is constant: `user`, `item` or a column; `row` where none is.
        cluster_axes: Along which rows of an effect depend; `row` where each is by itself.
        warnings: One line each.
    """

    rows: dict[str, int]
    mean_outcome: dict[str, float]
    hashes: dict[str, str]
    threshold: float | None
    bin_edges: tuple[float, ...]
    split: str
    test: str
    duplicates: int
    duplicate_rule: str
    leaked_rows: int
    unseen_rows: int
    unseen_rule: str
    candidates_per_user: float | None
    positives_per_user: float | None
    users_without_positive: int | None
    future_rows: int | None
    randomised_rows_used: int
    with_duplicates: dict[str, float]
    without_duplicates: dict[str, float]
    users: dict[str, int]
    items: dict[str, int]
    positives: dict[str, int]
    cold_users: int
    cold_items: int
    context_rows: int
    drawn_from: int | None
    augmented_rows: int | None
    resampled_by: tuple[str, ...]
    assignment_unit: str
    cluster_axes: tuple[str, ...]
    warnings: tuple[str, ...]


def audit(
    dataset: CausalDataset,
    splits: Splits,
    split: AbstractSplit,
    augmented: InteractionLog | None = None,
    cluster_axes: tuple[str, ...] = (ROW,),
    training_outcomes: bool = False,
) -> Audit:
    """Count what the protocol must show.

    Args:
        dataset: The loaded data set.
        splits: Its rows as they are used.
        split: The component that made them.
        augmented: The rows trained on, where they are not the training split.
        cluster_axes: Along which rows of an effect depend.
        training_outcomes: Whether all augmented rows have outcomes of training rows, so that their pairs are no leak.
    """
    dataset = mark_units(dataset)
    logs = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    logs |= {} if splits.randomised_sample is None else {"randomised_sample": splits.randomised_sample}
    candidates, positives, without = _counts_per_user(splits.test)
    fresh, chosen = dataset.card.fresh_test_labels, split.choose(dataset.logged, dataset.randomised)
    return Audit(
        rows={name: len(log) for name, log in logs.items()},
        mean_outcome={name: float(log.outcome.mean(dtype=np.float64)) for name, log in logs.items()},
        hashes=splits.hashes,
        threshold=dataset.card.threshold,
        bin_edges=dataset.card.bin_edges,
        split=_describe_split(dataset, split, chosen),
        test=_describe_test(dataset, splits),
        duplicates=splits.duplicates,
        duplicate_rule="kept: the test outcomes are fresh draws" if fresh else split.rules.duplicates,
        leaked_rows=0 if fresh else _leaked_pairs(splits, None if training_outcomes else augmented),
        unseen_rows=splits.unseen,
        unseen_rule=chosen.rules.unseen or dataset.card.unseen,
        candidates_per_user=candidates,
        positives_per_user=positives,
        users_without_positive=without,
        future_rows=_future_rows(splits) if dataset.card.times_compare else None,
        randomised_rows_used=_randomised_rows_used(dataset, splits),
        with_duplicates=_duplicate_counts(dataset, keep=True),
        without_duplicates=_duplicate_counts(dataset, keep=False),
        users={name: len(np.unique(log.user)) for name, log in logs.items() if log.user is not None},
        items={name: len(np.unique(log.item)) for name, log in logs.items()},
        positives=_positives(dataset, logs),
        cold_users=_unseen_rows(splits.test.user, splits.train.user),
        cold_items=_unseen_rows(splits.test.item, splits.train.item),
        context_rows=0 if splits.context is None else len(splits.context),
        drawn_from=None if splits.drawn_from is None else len(splits.drawn_from),
        augmented_rows=None if augmented is None else len(augmented),
        resampled_by=_resampling_settings(dataset, split),
        assignment_unit=splits.train.unit_level or ROW,
        cluster_axes=cluster_axes,
        warnings=tuple(_warnings(dataset, splits, chosen, augmented)),
    )


def _describe_split(dataset: CausalDataset, split: AbstractSplit, chosen: AbstractSplit) -> str:
    userless_by_time = dataset.logged.user is None and chosen.goes_by_time
    words = "the latest rows of all" if userless_by_time else chosen.description
    note = split.choice_note(dataset.logged, dataset.randomised)
    return f"{words} ({note})" if note else words


def _positives(dataset: CausalDataset, logs: Mapping[str, InteractionLog]) -> dict[str, int]:
    if dataset.card.outcome != "click":
        return {}
    return {name: int((log.outcome > 0).sum()) for name, log in logs.items()}


def _unseen_rows(tested: Ints | None, trained: Ints | None) -> int:
    return 0 if tested is None or trained is None else int((~np.isin(tested, trained)).sum())


def _warnings(
    dataset: CausalDataset, splits: Splits, split: AbstractSplit, augmented: InteractionLog | None
) -> Iterator[str]:
    tested, rule, by_time = splits.test.user, split.rules.unseen or dataset.card.unseen, split.goes_by_time
    if tested is not None and (users := len(np.unique(tested))) < FEW_USERS:
        yield f"the test has {users} users: few to resample, so its intervals are rough and a difference is hard to see"
    for log in (splits.train, splits.validation):
        if dataset.card.feedback != "positive_only" and len(np.unique(log.outcome)) == 1:
            yield f"every outcome of the {log.name} split is {log.outcome[0]:g}: it tells no class from the other"
    yield from unit_warnings(splits, dataset)
    yield from split.footnotes(dataset, splits)
    yield from _few_vectors(dataset, splits.train)
    if splits.unseen and rule == "drop":
        share = splits.unseen / (splits.unseen + len(splits.test))
        yield (
            f"{splits.unseen} test row{'' if splits.unseen == 1 else 's'} ({share:.1%}) of a user or an item without a "
            f"training row: dropped "
            f"(split.unseen=drop)"
        )
    if left := _unused_randomised_rows(dataset, splits, split, rule):
        yield f"{left} of {len(dataset.randomised or ())} randomised rows are in no split: the split leaves them out"
    future = _rows_before_training(splits)
    if future and not by_time and not splits.test_is_randomised:
        whose = "" if tested is None else " of their user"
        mend = "; split=temporal tests the latest" if can_go_by_time(dataset.logged) else ""
        yield (
            f"the log has times, and the split does not go by them: {future} of {len(splits.test)} test rows are older "
            f"than the newest training row{whose}{mend}"
        )
    if by_time and not splits.test_is_randomised:
        yield from time_warnings(splits, split, splits.unseen if rule == "drop" else 0)
    if splits.drawn_from is not None:
        train_size, pool, held = len(splits.train), len(splits.drawn_from), len(splits.validation)
        yield f"few-shot: {train_size} training rows drawn from {pool}, {held} validation rows"
    if augmented is not None:
        yield f"augmented: networks train on {len(augmented)} rows made of the {len(splits.train)} training rows"
    if splits.context is not None:
        shared = int(np.isin(splits.test.codes, splits.context.codes).sum())
        rows = f"{len(splits.context)} rows that are not trained on, {shared} of the test"
        yield f"histories read {rows}: each row only those strictly older than itself"


def _few_vectors(dataset: CausalDataset, train: InteractionLog) -> Iterator[str]:
    """Say where most ids of training rows have no vector, as where a file is that of another data set."""
    sides: tuple[tuple[Entity, Ints | None], ...] = (("user", train.user), ("item", train.item))
    for entity, rows in sides:
        ids: Ints = np.unique(rows) if rows is not None else np.zeros(0, np.int64)
        for name, vectors in dataset.vectors_of(entity).items():
            there = int(np.isfinite(vectors[ids, 0]).sum())  # a row is NaN as a whole, or not at all
            if there < SHARE_WITH_VECTORS * len(ids):
                yield (
                    f"{there} of {len(ids)} {entity}s with training rows have a vector {name}, the others are read "
                    f"without one: check that the ids of its file are those of this data set"
                )


def _describe_test(dataset: CausalDataset, splits: Splits) -> str:
    """Say how the test rows came about."""
    if splits.test_is_randomised:
        return f"{_kind(dataset)}: {dataset.card.randomised}"
    if dataset.card.randomised_training:
        return "logged (part of the randomised log: exposure was drawn at random in every row)"
    return "logged (not unbiased)"


def _kind(dataset: CausalDataset) -> str:
    return dataset.card.unbiased.replace("_", " ")


def _duplicate_counts(dataset: CausalDataset, keep: bool) -> dict[str, float]:
    logged, test = dataset.logged, dataset.randomised
    if test is None:
        return {}
    sides = {"test": (test, logged.codes), "logged": (logged, test.codes)}
    counts: dict[str, float] = {}
    for name, (log, others) in sides.items():
        outcome = log.outcome if keep else log.outcome[~np.isin(log.codes, others)]
        counts[f"{name}_rows"] = len(outcome)
        counts[f"{name}_mean_outcome"] = float(outcome.mean(dtype=np.float64)) if len(outcome) else float("nan")
    return counts


def _counts_per_user(test: InteractionLog) -> tuple[float | None, float | None, int | None]:
    if test.user is None:
        return None, None, None
    candidates = np.bincount(test.user, minlength=test.num_users)
    mean = float(candidates[candidates > 0].mean())
    if not np.isin(test.outcome[np.isfinite(test.outcome)], (0, 1)).all():
        return mean, None, None
    positives = np.bincount(test.user, weights=test.outcome > 0, minlength=test.num_users)[candidates > 0]
    return mean, float(positives.mean()), int((positives == 0).sum())


def _leaked_pairs(splits: Splits, augmented: InteractionLog | None) -> int:
    added = [] if augmented is None else [augmented.codes]
    codes = np.concatenate([splits.train.codes, splits.validation.codes, *added])
    return int(np.isin(splits.test.codes, codes).sum())


def _randomised_rows_used(dataset: CausalDataset, splits: Splits) -> int:
    codes = np.concatenate([splits.train.codes, splits.validation.codes])
    set_aside = 0 if splits.randomised_sample is None else len(splits.randomised_sample)
    return int((~np.isin(codes, dataset.logged.codes)).sum()) + set_aside


def _unused_randomised_rows(dataset: CausalDataset, splits: Splits, split: AbstractSplit, rule: str) -> int:
    """Return how many randomised rows are neither tested nor set aside, beside those that a rule drops and tells."""
    if dataset.randomised is None:
        return 0
    dropped = splits.unseen if rule == "drop" else 0
    if split.rules.duplicates == "drop_test" and dataset.logged.user is not None and not dataset.card.fresh_test_labels:
        dropped += splits.duplicates
    sample = 0 if splits.randomised_sample is None else len(splits.randomised_sample)
    return len(dataset.randomised) - len(splits.test) - dropped - sample


def _resampling_settings(dataset: CausalDataset, split: AbstractSplit) -> tuple[str, ...]:
    settings = {"split": split.resampled_by, "dataset": dataset.card.resampled_by}
    return tuple(f"{group}.{key}" for group, keys in settings.items() for key in sorted(keys))


def _future_rows(splits: Splits) -> int | None:
    if splits.test.time is None or splits.train.time is None:
        return None
    return int((splits.test.time < splits.train.time.max()).sum())


def _rows_before_training(splits: Splits) -> int:
    """Return how many test rows are older than the newest training row, of their user where the log has users."""
    train, test = splits.train, splits.test
    if test.time is None or train.time is None:
        return 0
    if test.user is None or train.user is None:
        return int((test.time < train.time.max()).sum())
    newest = np.full(train.num_users, np.iinfo(np.int64).min)
    np.maximum.at(newest, train.user, train.time)
    return int((test.time < newest[test.user]).sum())
