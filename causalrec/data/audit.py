"""The audit: what could make a number untrue, counted on the splits as they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractSplit
from causalrec.data.split.splits import Splits
from causalrec.types import Ints

FEW_USERS = 30  # of a test, below which it is said


@dataclass(frozen=True)
class Audit:
    """One data set's splits, as the record keeps them.

    `duplicates`: test pairs that also stand in the logged part, before `duplicate_rule`; `leaked_rows`: pairs that
    training or validation share with the test after it. `unseen_rows`: test rows whose user or item has no training
    row, before `unseen_rule`. `candidates_per_user`, `positives_per_user`: mean over test users. `future_rows`: test
    rows older than the newest training row (None without times). `randomised_rows_used`: rows of the randomised part
    that anything but the test reads: those set aside for propensities or selection, and any found in training or
    validation. `with_duplicates`, `without_duplicates`: the randomised test with and without the pairs that are also
    logged, and the logged part with and without them. `users`, `items`: how many each part has a row of; `positives`:
    rows of the outcome's upper class, of a click. `cold_users`, `cold_items`: test rows whose user, item has no
    training row. `context_rows`: rows that only histories read; `drawn_from`: rows that few-shot training rows were
    drawn from. `augmented_rows`: rows that networks train on where an augmentation changed them. `resampled_by`:
    settings that only draw rows or outcomes anew. `warnings`: one line each.
    """

    rows: dict[str, int]
    mean_outcome: dict[str, float]
    hashes: dict[str, str]
    threshold: float | None
    bin_edges: tuple[float, ...]
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
    warnings: tuple[str, ...]


def audit(
    dataset: CausalDataset, splits: Splits, split: AbstractSplit, augmented: InteractionLog | None = None
) -> Audit:
    """Count what the protocol must show; `augmented`: the rows trained on, where they are not the training split."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    parts |= {} if splits.randomised_sample is None else {"randomised_sample": splits.randomised_sample}
    candidates, positives, without = _per_user(splits.test)
    fresh = dataset.card.fresh_test_labels
    return Audit(
        rows={name: len(part) for name, part in parts.items()},
        mean_outcome={name: float(part.outcome.mean(dtype=np.float64)) for name, part in parts.items()},
        hashes=splits.hashes,
        threshold=dataset.card.threshold,
        bin_edges=dataset.card.bin_edges,
        test=f"{_kind(dataset)}: {dataset.card.randomised}" if splits.test_is_randomised else "logged (not unbiased)",
        duplicates=splits.duplicates,
        duplicate_rule="kept: the test outcomes are fresh draws" if fresh else split.rules.duplicates,
        leaked_rows=0 if fresh else _leaked_pairs(splits, augmented),
        unseen_rows=splits.unseen,
        unseen_rule=split.rules.unseen or dataset.card.unseen,
        candidates_per_user=candidates,
        positives_per_user=positives,
        users_without_positive=without,
        future_rows=_future_rows(splits),
        randomised_rows_used=_randomised_rows_used(dataset, splits),
        with_duplicates=_duplicate_counts(dataset, keep=True),
        without_duplicates=_duplicate_counts(dataset, keep=False),
        users={name: len(np.unique(part.user)) for name, part in parts.items() if part.user is not None},
        items={name: len(np.unique(part.item)) for name, part in parts.items()},
        positives=_positives(dataset, parts),
        cold_users=_unseen_rows(splits.test.user, splits.train.user),
        cold_items=_unseen_rows(splits.test.item, splits.train.item),
        context_rows=0 if splits.context is None else len(splits.context),
        drawn_from=None if splits.drawn_from is None else len(splits.drawn_from),
        augmented_rows=None if augmented is None else len(augmented),
        resampled_by=_resampled_by(dataset, split),
        warnings=tuple(_warnings(dataset, splits, augmented)),
    )


def _positives(dataset: CausalDataset, parts: Mapping[str, InteractionLog]) -> dict[str, int]:
    if dataset.card.outcome != "click":
        return {}
    return {name: int((part.outcome > 0).sum()) for name, part in parts.items()}


def _unseen_rows(tested: Ints | None, trained: Ints | None) -> int:
    return 0 if tested is None or trained is None else int((~np.isin(tested, trained)).sum())


def _warnings(dataset: CausalDataset, splits: Splits, augmented: InteractionLog | None) -> Iterator[str]:
    tested = splits.test.user
    if tested is not None and (users := len(np.unique(tested))) < FEW_USERS:
        yield f"the test has {users} users: few to resample, so its intervals are rough and a difference is hard to see"
    for part in (splits.train, splits.validation):
        if dataset.card.feedback != "positive_only" and len(np.unique(part.outcome)) == 1:
            yield f"every outcome of the {part.name} split is {part.outcome[0]:g}: it tells no class from the other"
    if splits.drawn_from is not None:
        kept, pool, held = len(splits.train), len(splits.drawn_from), len(splits.validation)
        yield f"few-shot: {kept} training rows drawn from {pool}, {held} validation rows"
    if augmented is not None:
        yield f"augmented: networks train on {len(augmented)} rows made of the {len(splits.train)} training rows"
    if splits.context is not None:
        shared = int(np.isin(splits.test.codes, splits.context.codes).sum())
        rows = f"{len(splits.context)} rows that are not trained on, {shared} of the test"
        yield f"histories read {rows}: each row only those strictly older than itself"


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


def _per_user(test: InteractionLog) -> tuple[float | None, float | None, int | None]:
    if test.user is None:
        return None, None, None
    candidates = np.bincount(test.user, minlength=test.num_users)
    positives = np.bincount(test.user, weights=test.outcome > 0, minlength=test.num_users)[candidates > 0]
    return float(candidates[candidates > 0].mean()), float(positives.mean()), int((positives == 0).sum())


def _leaked_pairs(splits: Splits, augmented: InteractionLog | None) -> int:
    added = [] if augmented is None else [augmented.codes]
    codes = np.concatenate([splits.train.codes, splits.validation.codes, *added])
    return int(np.isin(splits.test.codes, codes).sum())


def _randomised_rows_used(dataset: CausalDataset, splits: Splits) -> int:
    codes = np.concatenate([splits.train.codes, splits.validation.codes])
    set_aside = 0 if splits.randomised_sample is None else len(splits.randomised_sample)
    return int((~np.isin(codes, dataset.logged.codes)).sum()) + set_aside


def _resampled_by(dataset: CausalDataset, split: AbstractSplit) -> tuple[str, ...]:
    settings = {"split": split.resampled_by, "dataset": dataset.card.resampled_by}
    return tuple(f"{group}.{key}" for group, keys in settings.items() for key in sorted(keys))


def _future_rows(splits: Splits) -> int | None:
    if splits.test.time is None or splits.train.time is None:
        return None
    return int((splits.test.time < splits.train.time.max()).sum())
