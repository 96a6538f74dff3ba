"""Which options of `causalrec recommend` go together: one user's ranking, the lists of many, or draws by a policy."""

from __future__ import annotations

import argparse

from causalrec.errors import RequestError

Options = dict[str, object]
OF_POLICY: Options = {"rounds": None, "seed": None}  # each with what it is where nobody gives it
OF_RANKING: Options = {"top": None, "include_seen": False, "reranker": None, "new_users": None, "new_items": None}
OF_RANKING |= {"memory_mb": None}
MANY = ("users", "all", "new_users")


def check_options(options: argparse.Namespace) -> None:
    """Raise RequestError where options of a ranking and of a policy are mixed, or one that is needed is missing."""
    unread, why = OF_POLICY, "is of a policy; name one by --policy"
    if options.policy is not None:
        unread, why = OF_RANKING, "is of a ranking; a policy draws among all items, so leave it out"
    for name, absent in unread.items():
        if getattr(options, name) != absent:
            raise RequestError(f"--{name.replace('_', '-')}: {why}")
    if options.set and options.policy is None and options.reranker is None:
        raise RequestError("--set: is of a policy or a re-ranker; name one by --policy or --reranker")
    _check_users(options)
    if options.policy is None:
        _check_ranking(options)


def writes_many(options: argparse.Namespace) -> bool:
    """Whether lists of many users, or a file, are asked for."""
    return options.out is not None or any(getattr(options, name) for name in MANY)


def _check_users(options: argparse.Namespace) -> None:
    chosen = [f"--{name.replace('_', '-')}" for name in ("user", *MANY) if getattr(options, name) not in (None, False)]
    if len(chosen) != 1:
        new = "" if options.policy is not None else ", --new-users FILE"
        what = " and ".join(chosen) or "no user"
        raise RequestError(f"recommend: {what}; give one of --user ID, --users FILE{new} or --all")


def _check_ranking(options: argparse.Namespace) -> None:
    if options.top is not None and options.top < 1:
        raise RequestError(f"--top {options.top}: at least 1")
    if writes_many(options):
        if options.out is None:
            raise RequestError("recommend: lists of many users go into a file; name it by --out FILE.parquet")
        from causalrec.data.table_parts import check_out

        check_out(options.out)
    elif options.memory_mb is not None:
        raise RequestError("--memory-mb: bounds the lists of many users; leave it out")
