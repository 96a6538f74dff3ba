"""`causalrec recommend RUN --user ID`: what recommending each item would change for one user."""

from __future__ import annotations

import argparse
import sys
from bisect import bisect
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from causalrec.commands.reopened import reopened
from causalrec.commands.shared import document, say
from causalrec.errors import RequestError

if TYPE_CHECKING:
    import polars as pl

    from causalrec.config import TrainSpec
    from causalrec.evaluation.slices import Slice
    from causalrec.predictor import AbstractPredictor
    from causalrec.prepare import Ready
    from causalrec.types import Ints

AROUND = 500  # neighbours in order among which a misspelt id is sought: similarity is slow to compute


def recommend(options: argparse.Namespace) -> int:
    """`causalrec recommend RUN --user ID [--top N] [--arm K] [--all]`: the items of highest effect.

    ID is a user's id in the raw files, a row number (from 0) where they name none; items are told likewise.
    """
    from causalrec.run import learnt

    if options.top < 1:
        raise RequestError(f"--top {options.top}: at least 1")
    spec, record = reopened(options.run_folder, options.config_dir)
    ready, predictor = learnt(spec, record["selection"].get("chosen_weight_decay"))
    user = _user(ready, str(options.user))
    _check(options, ready, spec, user)
    part = _asked(ready, user, _items(ready, user, options), options.arm)
    found = {
        "run": spec.spine.name,
        "user": str(options.user),
        "estimand": ready.estimand,
        "adjustment": record["adjustment"]["training"],
        "notice": ready.dataset.card.notice,
        "items": _ranked(ready, predictor, part, options.top, spec),
    }
    document(found) if options.json else _show(found)
    return 0


def _user(ready: Ready, asked: str) -> int:
    """Return the row of the user of that raw id, or of that row number where the data set names no raw ids."""
    log, ids, name = ready.dataset.logged, ready.dataset.user_ids, ready.dataset.card.name
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


def _check(options: argparse.Namespace, ready: Ready, spec: TrainSpec, user: int) -> None:
    name = ready.dataset.card.name
    arms = max(len(ready.dataset.card.arms), 1)
    if not 1 <= options.arm <= arms:
        raise RequestError(f"--arm {options.arm}: {name} has the treatments 1..{arms}")
    if not (ready.train.users == user).any():
        if "user" in ready.features.ids and not _knows_more(ready, spec, user):
            raise RequestError(
                f"--user {options.user}: has no training row, and the model knows users by their id alone; choose a "
                f"user with a history, or train a model that reads columns of the user"
            )
        say(f"user {options.user} has no training row: what follows rests on the columns of the user and the items")


def _knows_more(ready: Ready, spec: TrainSpec, user: int) -> bool:
    """Whether the model reads a column that tells of the user, be it of numbers, of pairs or of text."""
    from causalrec.data.text import texts_of
    from causalrec.prepare import plan

    if ready.features.user_block.shape[1] or ready.features.pairs:
        return True
    reads = spec.leaves["encoder"].resolved() if spec.trains_network else {}
    sides = reads.get("user", ())  # None: all that the view gives
    if not (reads.get("profile") or sides is None or "profile" in sides):
        return False
    phrases, view = spec.leaves["dataset"].build().user_text, plan(spec).features.outcome
    return bool(texts_of(ready.dataset.user_table[user : user + 1], phrases, view)[0].strip())


def _items(ready: Ready, user: int, options: argparse.Namespace) -> Ints:
    """Return the items to rank: those the user was not exposed to in training and validation, unless all are wanted."""
    import numpy as np

    items = np.arange(ready.dataset.logged.num_items)
    if options.all or len(items) == 1:
        return items
    met = [log.item[(log.users == user) & (log.treatment > 0)] for log in (ready.train, ready.validation)]
    left: Ints = np.setdiff1d(items, np.concatenate(met))
    if not len(left):
        raise RequestError(f"--user {options.user}: has met every item; --all ranks them too")
    return left


def _asked(ready: Ready, user: int, items: Ints, arm: int) -> Slice:
    import numpy as np

    from causalrec.evaluation.slices import Slice

    kind, of = ("effect", arm) if ready.estimand == "effect" else ("rate", 0)
    users, nothing = np.full(len(items), user), np.zeros(len(items), np.float32)
    return Slice("asked", kind, users, items, nothing, ready.dataset.logged.num_users, arm=of)  # type: ignore[arg-type]


def _ranked(ready: Ready, predictor: AbstractPredictor, part: Slice, top: int, spec: TrainSpec) -> list[dict[str, Any]]:
    """Return the best items: rating, effect or a score that only ranks by it, the effect's interval, and the predicted
    outcome with and without exposure.
    """
    import numpy as np

    from causalrec.evaluation.evaluator import means

    told = predictor(part)
    column = means(told) if not part.arm else told if told.ndim == 1 else told[:, part.arm - 1]
    best = np.argsort(-column, kind="stable")[:top]
    by_arm = predictor.by_arm(part) if part.arm else None
    interval = predictor.interval(part, spec.spine.evaluation.level) if part.arm else None
    ranks_only = spec.trains_network and not spec.leaves["objective"].target.asks
    told_as = "predicted" if not part.arm else "score" if ranks_only else "effect"
    ids, texts = ready.dataset.item_ids, _texts(ready)
    found = []
    for k in best:
        item = int(part.item[k])
        row: dict[str, Any] = {"item": str(item if ids is None else ids[item])}
        row |= {column.name: str(column[item]) for column in texts}
        row[told_as] = float(column[k])
        if interval is not None:
            row |= {end: float(bound[k, part.arm - 1]) for end, bound in zip(("low", "high"), interval, strict=True)}
        if by_arm is not None:
            row |= {"without": float(by_arm[k, 0]), "with": float(by_arm[k, part.arm])}
        found.append(row)
    return found


def _texts(ready: Ready) -> list[pl.Series]:
    """Return the column that tells items to a reader: the title, else the first text; none where there is no text."""
    names = [column.name for column in ready.dataset.card.columns if (column.of, column.kind) == ("item", "text")]
    shown = "title" if "title" in names else names[0] if names else None
    return [] if shown is None else [ready.dataset.item_table[shown]]


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = list(found["items"][0])
    table = Table(*names, title=f"{found['run']}: user {found['user']}")
    for row in found["items"]:
        table.add_row(*(f"{row[name]:.4f}" if isinstance(row[name], float) else str(row[name]) for name in names))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if found["notice"] is not None:
        print(found["notice"])
    adjustment = found["adjustment"]
    given = ", ".join(adjustment["columns"]) or "nothing"
    way = ", ".join(adjustment.get("instruments", ())) or adjustment.get("mediator")
    by = f"{adjustment['strategy']} ({way})" if way else adjustment["strategy"]
    print(f"{found['estimand']}, identified by {by} given {given}")
    for assumed in adjustment["assumed"]:
        print(f"assumed: {assumed}")
    if "score" in found["items"][0]:
        print("score: it ranks by effect and is none")
    elif found["estimand"] == "effect" and "low" not in found["items"][0]:
        print("no interval: this model has none that is valid for a single effect")
