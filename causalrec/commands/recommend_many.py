"""`causalrec recommend RUN --all --out FILE`: the best items of many users, which a killed process goes on with."""

from __future__ import annotations

import argparse
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.opened_run import OpenedRun, open_run, reranker_words
from causalrec.commands.terminal import log, print_json
from causalrec.commands.user_list import read_users
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.running.batch_lists import BatchLists
    from causalrec.running.trained_run import TrainedRun
    from causalrec.types import Ints

DEFAULT_TOP = 10
UNREAD = ("run", "parser", "command", "json", "out", "run_folder", "memory_mb")  # options that no row depends on


def recommend_many(options: argparse.Namespace) -> int:
    """Write the best items of users: `user` and `item` by their raw ids, `rank` from 1, and what they are ranked by.

    Users of whom the model knows nothing are left out and counted. Lists are shorter where fewer items are left to
    rank. The file appears when it is complete; until then its parts lie in a hidden folder beside it, and the same
    command goes on with them.
    """
    opened = open_run(options)
    run = opened.run
    from causalrec.data.table_parts import write_table
    from causalrec.running.batch_lists import MEGABYTE, BatchLists

    memory = options.memory_mb or run.config.run.evaluation.memory_mb
    lists = BatchLists(
        run=run,
        users=_users(opened, options),
        k=DEFAULT_TOP if options.top is None else options.top,
        treatment=options.arm,
        include_met=options.include_seen,
        reranking=opened.reranking,
        memory=int(memory * MEGABYTE),
    )
    lists.check()
    request = request_key(run, options, lists.users.tobytes())
    resumed = write_table(options.out, request, lists.blocks, len(lists.users), "recommending", "users")
    if resumed:
        log(f"{resumed:,} of {len(lists.users):,} users were done before; their lists were taken as they stand")
    warn_of_formulas(run, options.out)
    result = _summary(lists, options)
    print_json(result) if options.json else print("\n".join(f"{k}: {v}" for k, v in result.items() if v is not None))
    return 0


def request_key(run: TrainedRun, options: argparse.Namespace, further: bytes = b"") -> str:
    """Return all that the rows of a table depend on, as text: the run as its record has it, the options, the files that
    they name, and this version.

    Args:
        run: opened.
        options: of the verb.
        further: what else they depend on.
    """
    from causalrec.records.json_records import json_text
    from causalrec.records.run_record import RECORD

    record = hashlib.sha256((run.config.folder / RECORD).read_bytes()).hexdigest()
    read = {name: value for name, value in vars(options).items() if name not in UNREAD}
    files = [_file_hash(value) for value in read.values() if isinstance(value, Path)]
    key = [version("causalrec"), record, {name: str(value) for name, value in read.items()}, files]
    return json_text(key) + hashlib.sha256(further).hexdigest()


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def warn_of_formulas(run: TrainedRun, out: Path) -> None:
    """Say where ids in a CSV file are formulas to a spreadsheet: they are written as they are, to be joined by."""
    if out.suffix != ".csv":
        return
    from causalrec.reporting.escapes import FORMULA

    for side in ("user", "item"):
        ids = getattr(run.prepared.dataset, f"{side}_ids")
        texts = [] if ids is None or ids.dtype.is_numeric() else ids.cast(str).to_list()
        odd = [text for text in texts if text.startswith(FORMULA) and not text.lstrip("+-").isdecimal()]
        if odd:
            log(
                f"ids of {side}s that begin as formulas of a spreadsheet do: {len(odd)} (first: {odd[0]}); do not open "
                f"{out.name} in one, or write .parquet"
            )


def _summary(lists: BatchLists, options: argparse.Namespace) -> dict[str, object]:
    lengths, plan = lists.lengths, lists.run.prepared.plan
    shorter = int((lengths < lists.k).sum())
    return {
        "run": lists.run.config.run.name,
        "out": str(options.out),
        "users": len(lists.users),
        "rows": int(lengths.sum()),
        "shorter": f"{shorter:,} lists have fewer than {lists.k} items: no more are left to rank" if shorter else None,
        **reranker_words(options),
        "estimand": plan.adjustment.estimand,
        "caveat": lists.run.prepared.dataset.card.caveat,
        "note": lists.ranking.note,
    }


def _users(opened: OpenedRun, options: argparse.Namespace) -> Ints:
    """Return the rows of the users that were asked for, but those of whom the model knows nothing."""
    import numpy as np

    run = opened.run
    run.ids.require_users()
    if options.all:
        users = np.arange(run.prepared.dataset.logged.num_users)
    else:
        ids = opened.new_users or [options.user]
        if options.users is not None:
            ids = read_users(options.users, "each user has one list, so leave one out")
        users = np.array([run.user_row(user) for user in ids])
    unknown = run.unknown_users(users)
    if len(unknown):
        log(
            f"{len(unknown):,} of {len(users):,} users are left out: they have no training row, and the model knows "
            f"users by their id alone"
        )
    left = users[~np.isin(users, unknown)]
    if not len(left):
        raise RequestError("recommend: no user is left; name users who have a training row")
    return left
