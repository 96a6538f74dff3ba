"""`causalrec recommend RUN`: the items a run would recommend to one user, or those a policy over it draws for many."""

from __future__ import annotations

import argparse
from typing import Any

from causalrec.commands.opened_run import open_run, reranker_words
from causalrec.commands.recommend_many import recommend_many
from causalrec.commands.recommend_options import check_options, writes_many
from causalrec.commands.recommend_policy import deploy
from causalrec.commands.terminal import log, print_json, print_text_table


def recommend(options: argparse.Namespace) -> int:
    """`causalrec recommend RUN --user ID [--top N] [--arm K] [--include-seen]`: the items of highest outcome or effect.

    ID is a user's id in the raw files, a row number (from 0) where they name none; items are told likewise. Intervals
    hold for all items that could have been shown at once, so that they hold for the best of them.
    `recommend RUN --all --top N --out FILE`: the lists of many users, as `recommend_many` writes them.
    `recommend RUN --policy NAME --all --out FILE.csv`: items drawn by a policy, as `deploy` writes them.
    """
    check_options(options)
    if options.policy is not None:
        return deploy(options)
    if writes_many(options):
        return recommend_many(options)
    opened = open_run(options)
    run, request = opened.run, (options.user, options.top, options.arm, options.include_seen)
    items, note = run.rank_items(*request, opened.reranking)
    if not run.is_met(run.user_row(options.user)):
        log(f"user {options.user} has no training row: what follows rests on the columns of the user and the items")
    result = {
        "run": run.config.run.name,
        "user": str(options.user),
        "estimand": run.prepared.plan.adjustment.estimand,
        "adjustment": vars(run.record.adjustment.training),
        "caveat": run.prepared.dataset.card.caveat,
        "note": note,
        **reranker_words(options),
        "items": items.to_dicts(),
    }
    print_json(result) if options.json else _print_result(result)
    return 0


def _print_result(result: dict[str, Any]) -> None:
    from causalrec.reporting.text_table import TextTable

    names = tuple(result["items"][0])
    rows = tuple(tuple(map(_format, row.values())) for row in result["items"])
    text = frozenset(k for k, value in enumerate(result["items"][0].values()) if isinstance(value, str))
    adjustment = result["adjustment"]
    given = ", ".join(adjustment["columns"]) or "nothing"
    way = ", ".join(adjustment.get("instruments", ())) or adjustment.get("mediator")
    by = f"{adjustment['strategy']} ({way})" if way else adjustment["strategy"]
    identified = f"{result['estimand']}, identified by {by} given {given}"
    assumed = [f"assumed: {assumption}" for assumption in adjustment["assumed"]]
    order = f"order: {result['reranker']}" if "reranker" in result else None
    notes = tuple(filter(None, [result["caveat"], identified, *assumed, result["note"], order]))
    title = f"{result['run']}: user {result['user']}"
    print_text_table(TextTable(title=title, header=names, rows=rows, left=text | {0}, notes=notes))


def _format(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
