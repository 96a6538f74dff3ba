"""Whether a finished run and rounds that a policy is judged by are of the same users and items, and share no round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.policies.base import PolicySource
from causalrec.types import Ints

if TYPE_CHECKING:
    from causalrec.running.trained_run import TrainedRun

NONE = -1


@dataclass(frozen=True)
class IdMatch:
    """The rows of a run's tables that stand for those of a data set.

    Attributes:
        users: int64[U], the run's row of each user of the data set; -1 for one that the run does not have.
        items: int64[A], the run's row of each item.
    """

    users: Ints
    items: Ints


def match_ids(run: TrainedRun, source: PolicySource) -> IdMatch:
    """Match users and items by their ids in the raw files; RequestError where the run ranks other items, or users.

    Where neither data set names any, row numbers are ids, and the data sets must be of one name.
    """
    ours, theirs = source.dataset, run.prepared.dataset
    folder, name = run.config.folder, ours.card.name
    if ours.item_ids is None and theirs.item_ids is None and name != theirs.card.name:
        raise RequestError(f"{folder}: is a run of {theirs.card.name}, not of {name}, and neither names its items")
    items = _rows_of(_ids(ours, "item"), _ids(theirs, "item"))
    if (items == NONE).any() or len(items) != theirs.logged.num_items:
        shared = int((items != NONE).sum())
        raise RequestError(
            f"{folder}: is a run of {theirs.card.name}, whose {theirs.logged.num_items} items are not the "
            f"{len(items)} of {name} ({shared} have an id of both); choose a run of these items, or name all of its "
            f"items in the table of items (of csv, dataset.items)"
        )
    if ours.logged.user is None or theirs.logged.user is None:
        if (ours.logged.user is None) != (theirs.logged.user is None):
            raise RequestError(f"{folder}: is a run of {theirs.card.name}; either it or {name} has no users")
        return IdMatch(np.zeros(1, np.int64), items)
    users = _rows_of(_ids(ours, "user"), _ids(theirs, "user"))
    tested = np.unique(source.test.users)
    if (missing := tested[users[tested] == NONE]).size:
        raise RequestError(
            f"{folder}: is a run of {theirs.card.name}, which lacks {len(missing)} of {len(tested)} users of the "
            f"rounds of {name} (first: {_ids(ours, 'user')[int(missing[0])]}); choose a run of these users"
        )
    return IdMatch(users, items)


def check_untrained(run: TrainedRun, source: PolicySource, match: IdMatch) -> None:
    """Raise RequestError where the run has learnt from rounds that its policy is judged by.

    Rounds of the run's own data are held to be the same by user, item and, where there is one, time, unless the run
    held out these very rounds; those of other files by all three alone, for a pair may be met again. Of data that are
    simulated, another draw holds other rounds.
    """
    prepared, test = run.prepared, source.test
    if _is_same_log(test, prepared.splits.test, match):
        return
    mine = dict(source.dataset.raw_sha256), source.dataset.card.name
    is_same_data = mine == (dict(prepared.dataset.raw_sha256), prepared.dataset.card.name)
    if is_same_data and prepared.dataset.card.resampled_by:  # another draw over the same files is of other rounds
        is_same_data = _is_same_log(source.dataset.logged, prepared.dataset.logged, match)
    learnt = [
        log for log in (prepared.train, prepared.validation, prepared.splits.randomised_sample) if log is not None
    ]
    has_times = all(log.time is not None for log in (test, *learnt))
    if not is_same_data and not has_times:
        return
    learnt_keys = np.concatenate([_keys(log, None, has_times) for log in learnt])
    shared = int(np.isin(_keys(test, match, has_times), learnt_keys).sum())
    if shared:
        raise RequestError(
            f"{run.config.folder}: was trained on {shared} of the {len(test)} rounds that the policy is judged by; "
            f"choose a run that held them out (the same split), or judge it by other rounds"
        )


def _is_same_log(test: InteractionLog, held_out: InteractionLog, match: IdMatch) -> bool:
    """Whether two logs are the same rounds, in the same order."""
    return (
        len(test) == len(held_out)
        and np.array_equal(match.items[test.item], held_out.item)
        and np.array_equal(match.users[test.users], held_out.users)
        and np.array_equal(test.outcome, held_out.outcome)
    )


def _keys(log: InteractionLog, match: IdMatch | None, with_time: bool) -> Ints:
    """Return what names each round, [N]: the run's rows of its user and item, and its time."""
    user, item = (log.users, log.item) if match is None else (match.users[log.users], match.items[log.item])
    time = log.time if with_time and log.time is not None else np.zeros(len(log), np.int64)
    columns = np.stack([user, item, time], 1).astype(np.int64)
    keys: Ints = np.ascontiguousarray(columns).view([("user", np.int64), ("item", np.int64), ("time", np.int64)])[:, 0]
    return keys


def _ids(dataset: CausalDataset, entity: str) -> pl.Series:
    """Return the ids of the raw files as text, [U] or [I]; row numbers where they name none."""
    raw_ids = dataset.user_ids if entity == "user" else dataset.item_ids
    count = dataset.logged.num_users if entity == "user" else dataset.logged.num_items
    return (pl.Series(range(count), dtype=pl.Int64) if raw_ids is None else raw_ids).cast(pl.String)


def _rows_of(ids: pl.Series, of_run: pl.Series) -> Ints:
    """Return the row of each id among those of a run, -1 where it is not."""
    row_of = {raw_id: row for row, raw_id in enumerate(of_run.to_list())}
    return np.array([row_of.get(raw_id, NONE) for raw_id in ids.to_list()], np.int64)
