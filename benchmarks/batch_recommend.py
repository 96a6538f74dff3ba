"""Lists of many users as a Parquet file: blocks of products beside a plain loop of one user's path, and end to end.

50,546 users x 16,859 items, width 64: the batch, from vectors to the file, beside a loop that predicts and sorts the
pairs of each user, on fewer users, scaled. End to end: `causalrec recommend RUN --all` on a run of `mf` on ML-100K, in
a process of its own, where its files are.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import polars as pl
import torch
from full_ranking import ITEMS, USERS, network, peak_above, random_log, seconds

from causalrec.data.table_parts import write_table
from causalrec.evaluation.slice.base import SliceData
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.reporting.paste_between_markers import paste
from causalrec.running.batch_lists import BatchLists
from causalrec.running.trained_run import TrainedRun
from causalrec.tasks.exposed_mean import ExposedMean

K = 100
TRAIN = [
    *("dataset=ml100k", "encoder=mf", "objective=naive", "trainer.max_epochs=1", "selection.folds=1"),
    *(
        "selection.candidates=none",
        "evaluation.replicates=20",
        "metric=[auc]",
        "slice=[test]",
    ),
]


def stand_in(users: int, items: int) -> TrainedRun:
    """Return a run of random vectors, as far as lists read it; ids are texts."""
    log = random_log(users, items, 8 * users, 0)
    ids = {side: pl.Series([f"{side}{k}" for k in range(n)]) for side, n in (("user", users), ("item", items))}
    dataset = SimpleNamespace(logged=log, user_ids=ids["user"], item_ids=ids["item"])
    prepared = SimpleNamespace(dataset=dataset, train=log, validation=log.take(np.arange(0)))
    config = SimpleNamespace(components=SimpleNamespace(task=ExposedMean()), folder=Path("stand_in"))
    return cast(TrainedRun, SimpleNamespace(prepared=prepared, predictor=network(users, items), config=config))


def plain_loop(predictor: NetworkPredictor, users: int, items: int) -> None:
    """Rank the items of each user as one is ranked: its pairs predicted, and sorted."""
    item, nothing = np.arange(items), np.zeros(items, np.float32)
    for user in range(users):
        pairs = SliceData(name="one", kind="rate", user=np.full(items, user), item=item, label=nothing, num_users=USERS)
        np.argsort(-predictor(pairs), kind="stable")[:K]


def end_to_end(rounds: int) -> str:
    """Return the seconds of the command on a run of ML-100K, from the shell to the file; words where it cannot run."""
    command = [sys.executable, "-P", "-m", "causalrec"]
    with tempfile.TemporaryDirectory() as folder:
        trained = subprocess.run([*command, "train", *TRAIN, "name=mf"], cwd=folder, capture_output=True)
        if trained.returncode:
            return "not measured (no ML-100K)"
        (run,) = (Path(folder) / "runs/default/mf").iterdir()
        took = []
        for number in range(rounds):
            started = time.perf_counter()
            lists = [*command, "recommend", str(run), "--all", "--top", str(K), "--out", f"{number}.parquet"]
            subprocess.run(lists, cwd=folder, check=True, capture_output=True)
            took.append(time.perf_counter() - started)
    return f"{statistics.median(took):.1f}"


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--users", type=int, default=USERS)
    arguments.add_argument("--loop-users", type=int, default=300, help="the loop ranks so many; seconds are scaled")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    run = stand_in(options.users, ITEMS)
    predictor = cast(NetworkPredictor, run.predictor)

    def batch() -> None:
        lists = BatchLists(run=run, users=np.arange(options.users), k=K)
        with tempfile.TemporaryDirectory() as folder:
            write_table(Path(folder) / "lists.parquet", "", lists.blocks, options.users, "recommending", "users")

    peak = peak_above(batch)
    scale, few = options.users / options.loop_users, options.loop_users
    pairs = [
        (seconds(batch), scale * seconds(lambda: plain_loop(predictor, few, ITEMS))) for _ in range(options.rounds)
    ]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    lines = [
        f"| lists of {K} items | seconds | ours is |",
        "|---|---|---|",
        f"| {options.users:,} users x {ITEMS:,} items, from vectors to the file | {mine:.1f} | |",
        f"| a loop of one user's path | {theirs:.0f} | {ratio:.1f} times as fast |",
        f"| `recommend RUN --all`, 943 x 1,682, from the shell to the file | {end_to_end(options.rounds)} | |",
    ]
    note = (
        f"Width 64, {options.threads} threads; medians of {options.rounds} rounds; the loop on {few} users, scaled. "
        f"Peak memory above the model: {peak:.2f} GB."
    )
    text = "\n".join([*lines, "", note])
    print(text)
    if options.paste:
        paste(options.paste, "batch_recommend", text)


if __name__ == "__main__":
    main()
