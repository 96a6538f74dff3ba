"""The contract of augmentations: rows that are trained on beside those of the log, or in their place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError

COLUMNS = ("user", "time", "position", "unit")  # that every row has, or none


class AbstractAugmentation(ABC):
    """Changes training rows alone: validation, test, baselines, histories and diagnostics read the log as it is.

    Attributes:
        own_propensity: whether its rows bring propensities. Then it is applied once the propensity model has given the
            log's rows theirs; else it is applied before, and the model is fitted on all rows and judges all.
        training_outcomes: whether each of its rows has the outcome of a training row: where its pair stands in the test
            as well, which it cannot know, that tells nothing of the test's outcome, and is no leak.
    """

    own_propensity: ClassVar[bool]
    training_outcomes: ClassVar[bool] = False

    @abstractmethod
    def augment(self, train: InteractionLog, dataset: CausalDataset, seed: int) -> InteractionLog:
        """Return the rows to train on, their `weight` saying how much each counts (None: one each).

        `dataset` is what a method may read: its log is the training rows, and it has no randomised part and no truth.
        """


def augment_rows(
    augmentations: Mapping[str, AbstractAugmentation], train: InteractionLog, dataset: CausalDataset, seed: int
) -> InteractionLog:
    """Apply augmentations one after another; raise DataError, by name, on rows that do not fit the log.

    Args:
        augmentations: by name, in order.
        train: the log's training rows.
        dataset: what a method may read, once its randomised part and its truth are taken away.
        seed: of the fit.
    """
    rows = train
    for name, augmentation in augmentations.items():
        before, rows = rows, augmentation.augment(rows, dataset.training_side(train), seed)
        _check(name, augmentation.own_propensity, before, rows)
    return rows


def _check(name: str, own_propensity: bool, before: InteractionLog, rows: InteractionLog) -> None:
    if not len(rows):
        raise DataError(f"augmentation={name}: leaves no training row; return the log's rows too")
    if (rows.num_users, rows.num_items) != (before.num_users, before.num_items):
        raise DataError(
            f"augmentation={name}: has {rows.num_users} users and {rows.num_items} items, the log "
            f"{before.num_users} and {before.num_items}; add rows of ids that the log has"
        )
    for column in (*COLUMNS, *(("propensity",) if own_propensity else ())):
        if (getattr(rows, column) is None) != (getattr(before, column) is None):
            has = "lacks" if getattr(rows, column) is None else "has"
            raise DataError(f"augmentation={name}: {has} {column}, unlike the log; return rows of the log's columns")
    if set(rows.columns) != set(before.columns):
        odd = ", ".join(sorted(set(rows.columns) ^ set(before.columns)))
        raise DataError(f"augmentation={name}: differs in {odd} from the log; return rows of the log's columns")
