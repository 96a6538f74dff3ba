"""`causalrec recommend RUN --user ID`: what recommending each item would change for one user."""

from __future__ import annotations

import argparse
import sys
from bisect import bisect
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from causalrec.commands.reopened import reopened
from causalrec.commands.shared import log, print_json
from causalrec.errors import RequestError

if TYPE_CHECKING:
    import polars as pl

    from causalrec.config.schema import ExperimentConfig
    from causalrec.prepared import PreparedData
    from causalrec.tasks.base import Ranking
    from causalrec.types import Ints

AROUND = 500  # neighbours in order among which a misspelt id is sought: similarity is slow to compute


def recommend(options: argparse.Namespace) -> int:
    """`causalrec recommend RUN --user ID [--top N] [--arm K] [--all]`: the items of highest effect.

    ID is a user's id in the raw files, a row number (from 0) where they name none; items are told likewise.
    """
    import numpy as np

    from causalrec.running.run import load_trained

    if options.top < 1:
        raise RequestError(f"--top {options.top}: at least 1")
    config, record = reopened(options.run_folder, options.config_dir)
    _check_moment(config)
    prepared, predictor = load_trained(config, record.selection)
    user = _user(prepared, str(options.user))
    _check(options, prepared, config, user)
    item = _items(prepared, user, options)
    ranking = config.components.task.rank(config, prepared, predictor, np.full(len(item), user), item, options.arm)
    shown = {
        "run": config.run.name,
        "user": str(options.user),
        "estimand": prepared.plan.adjustment.estimand,
        "adjustment": vars(record.adjustment.training),
        "caveat": prepared.dataset.card.caveat,
        "note": ranking.note,
        "items": _ranked(prepared, ranking, item, options.top),
    }
    print_json(shown) if options.json else _show(shown)
    return 0


def _check_moment(config: ExperimentConfig) -> None:
    """Raise RequestError where the model reads a column of rows: no user and item alone have one."""
    from causalrec.running.prepare import plan_run

    learner, card = config.components.learner, config.components.dataset.card
    view = learner.columns_read(plan_run(config).views) if learner else ()
    names = ", ".join(column.name for column in card.row_columns if column.name in view)
    if names:
        raise RequestError(
            f"{config.folder}: its model reads {names}, which a moment has, not a user and an item; recommend from a "
            f"run whose graph leaves it out"
        )


def _user(prepared: PreparedData, asked: str) -> int:
    """Return the row of the user of that raw id, or of that row number where the data set names no raw ids."""
    log, ids, name = prepared.dataset.logged, prepared.dataset.user_ids, prepared.dataset.card.name
    if log.user is None:
        raise RequestError(f"{name}: has no users to recommend to")
    if ids is None:
        if asked.isdecimal() and int(asked) < log.num_users:
            return int(asked)
        told = f"its files name no users, so give a row number, 0..{log.num_users - 1}"
        raise RequestError(f"--user {asked}: {name} has no such user; {told}")
    found = ids.cast(str) == asked
    if found.any():
        return int(found.arg_max() or 0)
    raise RequestError(f"--user {asked}: {name} has no such user; {_nearest(asked, ids)}")


def _nearest(asked: str, ids: pl.Series) -> str:
    """Say the range of the ids, in order of number where all are whole numbers, and the nearest to what was asked."""
    text = ids.cast(str)
    numbers = text.cast(int, strict=False)
    whole = not numbers.null_count()
    ordered: list[Any] = (numbers if whole else text).sort().to_list()
    wanted = int(asked) if whole and asked.removeprefix("-").isdecimal() else None if whole else asked
    place = 0 if wanted is None else bisect(ordered, wanted)
    near = ordered[max(place - 1, 0) : place + 1]
    if not whole:
        near = get_close_matches(asked, ordered[max(place - AROUND, 0) : place + AROUND], n=2, cutoff=0.5) or near
    found = " and ".join(map(str, near))
    return f"the {len(ids)} ids of its files run from {ordered[0]} to {ordered[-1]}; nearest: {found}"


def _check(options: argparse.Namespace, prepared: PreparedData, config: ExperimentConfig, user: int) -> None:
    name = prepared.dataset.card.name
    arms = max(len(prepared.dataset.card.arms), 1)
    if not 1 <= options.arm <= arms:
        raise RequestError(f"--arm {options.arm}: {name} has the treatments 1..{arms}")
    if not (prepared.train.users == user).any():
        if "user" in prepared.features.ids and not _knows_more(prepared, config, user):
            raise RequestError(
                f"--user {options.user}: has no training row, and the model knows users by their id alone; choose a "
                f"user with a history, or train a model that reads columns of the user"
            )
        log(f"user {options.user} has no training row: what follows rests on the columns of the user and the items")


def _knows_more(prepared: PreparedData, config: ExperimentConfig, user: int) -> bool:
    """Whether the model reads a column that tells of the user, be it of numbers, of pairs or of text."""
    from causalrec.data.text import texts_of

    if prepared.features.user_block.shape[1] or prepared.features.pairs:
        return True
    if "head" in config.unread or not _reads_profile(config):
        return False
    phrases, view = config.components.dataset.user_text, prepared.plan.views.outcome
    return bool(texts_of(prepared.dataset.user_table[user : user + 1], phrases, view)[0].strip())


def _reads_profile(config: ExperimentConfig) -> bool:
    """Whether the encoder reads a text of the user: it says so by `profile`, or among the sides of `user`."""
    encoder = config.encoder
    sides = encoder.setting("user") if "user" in encoder.keyword_names else ()
    if "profile" in encoder.keyword_names and encoder.setting("profile"):
        return True
    return sides is None or (isinstance(sides, tuple | list) and "profile" in sides)  # None: all that the view gives


def _items(prepared: PreparedData, user: int, options: argparse.Namespace) -> Ints:
    """Return the items to rank: those the user was not exposed to in training and validation, unless all are wanted."""
    import numpy as np

    items = np.arange(prepared.dataset.logged.num_items)
    if options.all or len(items) == 1:
        return items
    met = [log.item[(log.users == user) & (log.treatment > 0)] for log in (prepared.train, prepared.validation)]
    left: Ints = np.setdiff1d(items, np.concatenate(met))
    if not len(left):
        raise RequestError(f"--user {options.user}: has met every item; --all ranks them too")
    return left


def _ranked(prepared: PreparedData, ranking: Ranking, items: Ints, top: int) -> list[dict[str, Any]]:
    """Return the best items: what they are ranked by, its interval, and the outcome without and with exposure."""
    import numpy as np

    best = np.argsort(-ranking.values, kind="stable")[:top]
    ids, texts = prepared.dataset.item_ids, _texts(prepared)
    rows = []
    for k in best:
        item = int(items[k])
        row: dict[str, Any] = {"item": str(item if ids is None else ids[item])}
        row |= {column.name: str(column[item]) for column in texts}
        row[ranking.column] = float(ranking.values[k])
        if ranking.interval is not None:
            row |= {end: float(bound[k]) for end, bound in zip(("low", "high"), ranking.interval, strict=True)}
        if ranking.outcomes is not None:
            row |= {name: float(told[k]) for name, told in zip(("without", "with"), ranking.outcomes, strict=True)}
        rows.append(row)
    return rows


def _texts(prepared: PreparedData) -> list[pl.Series]:
    """Return the column that tells items to a reader: the title, else the first text; none where there is no text."""
    names = [column.name for column in prepared.dataset.card.columns if (column.of, column.kind) == ("item", "text")]
    shown = "title" if "title" in names else names[0] if names else None
    return [] if shown is None else [prepared.dataset.item_table[shown]]


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = list(found["items"][0])
    table = Table(*names, title=f"{found['run']}: user {found['user']}")
    for row in found["items"]:
        table.add_row(*(f"{row[name]:.4f}" if isinstance(row[name], float) else str(row[name]) for name in names))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if found["caveat"] is not None:
        print(found["caveat"])
    adjustment = found["adjustment"]
    given = ", ".join(adjustment["columns"]) or "nothing"
    way = ", ".join(adjustment.get("instruments", ())) or adjustment.get("mediator")
    by = f"{adjustment['strategy']} ({way})" if way else adjustment["strategy"]
    print(f"{found['estimand']}, identified by {by} given {given}")
    for assumed in adjustment["assumed"]:
        print(f"assumed: {assumed}")
    if found["note"] is not None:
        print(found["note"])
