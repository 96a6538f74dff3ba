"""A finished run as the options of a verb ask for it: with new users and items, and a re-ranker of its lists."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causalrec.running.reranker_choice import BoundReranker
    from causalrec.running.trained_run import TrainedRun


@dataclass(frozen=True)
class OpenedRun:
    """A run, and what its options add to it.

    Attributes:
        run: with the new users and items.
        new_users: ids of the new users, in order.
        reranking: what orders lists anew; None: nothing.
    """

    run: TrainedRun
    new_users: tuple[str, ...] = ()
    reranking: BoundReranker | None = None


def open_run(options: argparse.Namespace) -> OpenedRun:
    """Open the run that options name, with the new users and items of their files, and bind their re-ranker.

    Where there is no run, or no such re-ranker, that is said before torch is imported.
    """
    from causalrec.running.reopen import read_record

    read_record(options.run_folder)  # no folder, no wait for torch
    component, name = None, getattr(options, "reranker", None)
    if name is not None:
        from causalrec.running.reranker_choice import reranker_component

        component = reranker_component(name, options.set)
    from causalrec.running.trained_run import TrainedRun

    run, new_users = TrainedRun.load(options.run_folder, to_predict=True), ()
    if options.new_users is not None or options.new_items is not None:
        from causalrec.running.new_ids import read_new_ids, with_new_ids

        users, items = (read_new_ids(run, s, getattr(options, f"new_{s}s")) for s in ("user", "item"))
        run, new_users = with_new_ids(run, users, items), () if users is None else tuple(users["user"])
    if component is None:
        return OpenedRun(run, new_users)
    from causalrec.catalogue.facts import CatalogueFacts
    from causalrec.running.reranker_choice import bind_reranker

    facts = CatalogueFacts(run.prepared.dataset, run.prepared.train, run.config.run.paths.cache)
    return OpenedRun(run, new_users, bind_reranker(component, options.reranker, facts))


def reranker_words(options: argparse.Namespace) -> dict[str, str]:
    """Return what a result says of its re-ranker; nothing where there is none."""
    return (
        {} if options.reranker is None else {"reranker": " ".join([options.reranker, *map(shlex.quote, options.set)])}
    )
