"""Seconds of a bias baseline and a tuned propensity at users' size, to their end, beside scikit-learn's solver."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from causalrec import load_dataset
from causalrec.data.log import InteractionLog
from causalrec.errors import CausalRecError
from causalrec.evaluation.baseline.bias_logistic import BiasLogistic
from causalrec.features.design_matrix import one_hot
from causalrec.features.views import feature_matrix
from causalrec.propensity.logistic import Logistic
from causalrec.reporting.paste_between_markers import paste
from causalrec.solvers.linear_model import fit_linear_model

USERS, ITEMS, ROWS, L2 = 50_000, 10_000, 300_000, 3.0


def clicks() -> InteractionLog:
    """A log of users' size, half of its outcomes 1, with a bias of each user and item."""
    rng = np.random.default_rng(0)
    user, item = rng.integers(USERS, size=ROWS), np.minimum(rng.pareto(1.0, ROWS) * ITEMS / 50, ITEMS - 1).astype(int)
    raw = 0.8 * rng.normal(size=USERS)[user] + 0.8 * rng.normal(size=ITEMS)[item]
    outcome = (rng.random(ROWS) < 1 / (1 + np.exp(-raw))).astype(np.float32)
    return InteractionLog(item, np.ones(ROWS, np.int64), outcome, ITEMS, user, USERS)


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Print the figures; with --paste, put them into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    log = clicks()
    design = sparse.csr_matrix(sparse.hstack([one_hot(log.users, USERS), one_hot(log.item, ITEMS)]))
    outcome = log.outcome.astype(np.float64)
    ours = seconds(lambda: fit_linear_model(design, outcome, l2=L2, link="logit"))
    theirs = seconds(lambda: LogisticRegression(C=1 / L2, tol=1e-4 / ROWS, max_iter=10_000).fit(design, outcome))
    baseline = seconds(lambda: BiasLogistic().fit(log))
    lines = [
        "| fit to its end | seconds |",
        "|---|---|",
        f"| one penalty, {ROWS:,} rows x {USERS + ITEMS:,} ids | {ours:.2f}, scikit-learn's L-BFGS {theirs:.2f} "
        f"({theirs / ours:.0f} times) |",
        f"| the bias baseline, grid and folds included | {baseline:.1f} |",
    ]
    try:
        games = load_dataset("amazon_video_games")
    except CausalRecError as error:
        print(f"amazon_video_games is left out: {error}")
    else:
        view = feature_matrix(games, ("item", "user"))
        model = Logistic()
        tuned = seconds(lambda: model.fit(games.logged, view))
        lines.append(
            f"| a tuned logistic propensity on amazon_video_games ({len(games.logged):,} rows) | {tuned:.1f} |"
        )
    text = "\n".join([*lines, "", f"One thread of {os.cpu_count()} cores."])
    print(text)
    if options.paste:
        paste(options.paste, "converged_fits", text)


if __name__ == "__main__":
    main()
