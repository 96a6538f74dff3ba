"""`causalrec recommend RUN --policy NAME`: items drawn for users, with the probability that each had."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.commands.terminal import log, print_json
from causalrec.commands.user_list import read_users
from causalrec.data.files import require_creatable
from causalrec.errors import RequestError

if TYPE_CHECKING:
    from causalrec.running.trained_run import TrainedRun
    from causalrec.types import Ints

MOST_ROUNDS = 1_000_000


def _check_numbers(options: argparse.Namespace) -> None:
    if options.rounds is not None and not 1 <= options.rounds <= MOST_ROUNDS:
        raise RequestError(f"--rounds {options.rounds}: from 1 to {MOST_ROUNDS:,}")
    if options.seed is not None and options.seed < 0:
        raise RequestError(f"--seed {options.seed}: at least 0")


def _check_out(out: Path | None) -> None:
    if out is None:
        raise RequestError("--policy: what it draws goes into a file; name it by --out FILE.csv")
    if out.suffix != ".csv":
        raise RequestError(f"--out {out}: is written as CSV; name a file that ends in .csv")
    for path in (out, out.with_suffix(".items.csv")):
        if path.exists() or path.is_symlink():
            raise RequestError(f"--out {out}: {path} is there already; name a file that is not")
    require_creatable(out.absolute().parent, "--out")


def deploy(options: argparse.Namespace) -> int:
    """Draw items for users by a policy over a run's scores, and write each with its probability.

    Every row holds the raw ids of user and item, the probability with which the policy drew the item (`propensity`),
    the number of the draw and the policy in words. With what came of each row joined to it, it is a log of rounds that
    `dataset=csv` reads, and that the value of other policies is estimated from.
    """
    _check_numbers(options)
    _check_out(options.out)
    from causalrec.running.policy_choice import describe, over_scores, policy_component
    from causalrec.running.reopen import read_record

    read_record(options.run_folder)  # no folder, no wait for torch
    component = policy_component(options.policy, options.set, options.run_folder, options.arm)
    from causalrec.running.deployment import Deployment, deployed_distribution, items_path, open_scores
    from causalrec.running.trained_run import TrainedRun

    run, rounds, seed = TrainedRun.load(options.run_folder), options.rounds or 1, options.seed or 0
    words = f"{describe(options.policy, component)} of {run.config.run.name}/{run.config.folder.name}"
    users = _users(run, options)
    distribution = deployed_distribution(run, over_scores(component, open_scores(run, options.arm)), seed)
    deployment = Deployment(run=run, distribution=distribution, policy=words, users=users, rounds=rounds, seed=seed)
    deployment.write(options.out)
    items = str(items_path(options.out))
    result = {
        "policy": words,
        "out": str(options.out),
        "items": items,
        "users": len(users),
        "rows": len(users) * rounds,
    }
    if options.json:
        print_json(result)
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))
    return 0


def _users(run: TrainedRun, options: argparse.Namespace) -> Ints:
    """Return the rows of the users that were asked for; of all users those of whom the run knows something."""
    import numpy as np

    if options.user is not None:
        return np.array([run.user_row(options.user)])
    if options.users is not None:
        return np.array([run.user_row(user) for user in read_users(options.users, "--rounds N draws several")])
    every = np.arange(max(run.prepared.dataset.logged.num_users, 1))
    unknown = run.unknown_users(every)
    if len(unknown):
        log(
            f"{len(unknown)} of {len(every)} users are left out: they have no training row, and the model knows users "
            f"by their id alone"
        )
    return np.setdiff1d(every, unknown)
