"""Rows a second of `optimizer=adamw_rows`, beside a bare row-sparse loop, dense AdamW and RecBole; steps by table size.

All train a matrix factorisation of width 64 with biases on batches of 2,048 rows of 138,000 users and 27,000 items. The
bare loop has the same mathematics: rows as leaves, own bias correction, decay caught up; its negatives may be rows.
Rounds alternate; figures are medians of the second epochs, ratios of those of a round. RecBole has a separate process.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from recbole_environment import run_with_recbole
from torch import Tensor
from torch.nn import functional

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.bpr import BPR
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.memory import free_memory
from causalrec.models import CausalModel
from causalrec.reporting.paste_between_markers import paste
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import LogDataModule
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AbstractOptimizer, AdamW, AdamWRows
from causalrec.training.trainer import TrainerSettings

USERS, ITEMS, WIDTH, BATCH, LR, DECAY, BIAS_DECAY = 138_000, 27_000, 64, 2048, 0.01, 0.1, 0.01
OBJECTIVES: dict[str, AbstractObjective] = {"naive": Naive(), "bpr": BPR()}
RECBOLE = """
import os, sys, tempfile, time
import numpy as np, torch
torch.set_num_threads(int(sys.argv[1]))
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer
users, items, batches = map(int, sys.argv[2:])
folder, rng = tempfile.mkdtemp(), np.random.default_rng(0)
os.makedirs(folder + "/made")
pairs = {*zip(range(users), rng.integers(items, size=users)), *zip(rng.integers(users, size=items), range(items))}
with open(folder + "/made/made.inter", "w") as file:
    file.write("user_id:token\\titem_id:token\\n" + "".join(f"{u}\\t{i}\\n" for u, i in sorted(pairs)))
os.chdir(folder)
settings = {"data_path": folder, "train_batch_size": 2048, "embedding_size": 64, "use_gpu": False,
            "eval_args": {"split": {"RS": [0.98, 0.01, 0.01]}, "order": "RO", "group_by": None, "mode": "full"}}
config = Config(model="BPR", dataset="made", config_dict=settings)
train, _, _ = data_preparation(config, create_dataset(config))
trainer = get_trainer(config["MODEL_TYPE"], "BPR")(config, get_model("BPR")(config, train.dataset))
class Some:
    shuffle, sampler = False, train.sampler
    def __iter__(self):
        for _, batch in zip(range(batches), train):
            yield batch
trainer._train_epoch(Some(), 0, show_progress=False)
started = time.perf_counter()
trainer._train_epoch(Some(), 1, show_progress=False)
print(batches * 2048 / (time.perf_counter() - started))
"""


def world(users: int, rows: int) -> InteractionLog:
    """Make a log of pairs of users alike and items of unequal popularity."""
    rng, popularity = np.random.default_rng(0), np.arange(1, ITEMS + 1) ** -0.8
    rank = np.searchsorted(np.cumsum(popularity / popularity.sum()), rng.random(rows)).clip(max=ITEMS - 1)
    return InteractionLog(
        user=rng.integers(users, size=rows),
        item=rng.permutation(ITEMS)[rank],
        treatment=np.ones(rows, np.int64),
        outcome=(rng.random(rows) < 0.3).astype(np.float32),
        propensity=np.full(rows, 0.01, np.float32),
        num_users=users,
        num_items=ITEMS,
    )


class EpochTimes(pl.Callback):
    """Notes the seconds of each epoch, the validation of a thousand rows and all it needs included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def ours(log: InteractionLog, objective: AbstractObjective, optimizer: AbstractOptimizer, limit: int | None) -> float:
    """Return rows a second of the framework; `limit`: batches of an epoch."""
    empty = [np.zeros((count, 0), np.float32) for count in (log.num_users, log.num_items)]
    inputs = EncoderInputs(log.num_users, log.num_items, (), Path(), Path())
    networks = {role: RoleNetwork(MF(inputs, width=WIDTH), Dot(0)) for role in objective.roles}
    module = CausalRecModule(CausalModel(networks, "logit"), objective, optimizer)
    features = FeatureMatrix((), ("item", "user"), *empty, ())
    data = LogDataModule(log, log.take(np.arange(1000)), features, Balanced(batch_size=BATCH), objective.space, 0)
    data.limit, times = limit, EpochTimes()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        TrainerSettings(max_epochs=2).build(None, [times], folder=Path(folder)).fit(module, datamodule=data)
    return (len(log) if limit is None else limit * BATCH) / times.seconds[1]


class BareTable:
    """A table, its moments and counts, as one would write them by hand."""

    def __init__(self, rows: int, width: int, decay: float) -> None:
        self.values, self.log_shrink = 0.1 * torch.randn(rows, width), math.log1p(-LR * decay)
        self.mean, self.square = torch.zeros(rows, width), torch.zeros(rows, width)
        self.count, self.last, self.step = torch.zeros(rows), torch.zeros(rows), 0

    def read(self, ids: Tensor) -> Tensor:
        """Return rows as a leaf, with the decay that is due."""
        due = torch.exp((self.step - self.last[ids]) * self.log_shrink)
        return (self.values[ids] * due[:, None]).requires_grad_()

    def update(self, rows: Tensor, position: Tensor, gradients: Tensor) -> None:
        """Step the distinct rows; `position`: of each gradient's row among them."""
        gradient = torch.zeros(len(rows), gradients.shape[1]).index_add_(0, position, gradients)
        self.step += 1
        count, due = self.count[rows] + 1, torch.exp((self.step - self.last[rows]) * self.log_shrink)
        mean = self.mean[rows].lerp_(gradient, 0.1)
        square = self.square[rows].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        self.count[rows], self.last[rows], self.mean[rows], self.square[rows] = count, float(self.step), mean, square
        scale = square.sqrt_().mul_((1 - 0.999**count).rsqrt_()[:, None]).add_(1e-8)
        change = mean.mul_((LR / (1 - 0.9**count))[:, None]).div_(scale)
        self.values[rows] = self.values[rows].mul_(due[:, None]).sub_(change)


def bare(log: InteractionLog, objective: str) -> float:
    """Return rows a second of a plain loop over slices of a permutation."""
    user, item, outcome = (torch.from_numpy(column) for column in (log.users, log.item, log.outcome))
    tables = [(BareTable(n, WIDTH, DECAY), BareTable(n, 1, BIAS_DECAY)) for n in (log.num_users, log.num_items)]
    bias = torch.zeros((), requires_grad=True)
    dense = torch.optim.AdamW([bias], lr=LR, weight_decay=0.0, fused=True)
    for _ in range(2):
        started = time.perf_counter()
        for rows in torch.randperm(len(log)).split(BATCH):
            items = item[rows]
            if objective == "bpr":
                items = torch.cat([items, torch.randint(log.num_items, (len(rows),))])
            looked_up = [
                (ids, [table.read(ids) for table in of]) for of, ids in zip(tables, (user[rows], items), strict=True)
            ]
            (_, (p, b)), (_, (q, c)) = looked_up
            if objective == "bpr":
                q0, q1, c0, c1 = *q.split(len(rows)), *c.split(len(rows))
                raw = (p * (q0 - q1)).sum(1) + (c0 - c1)[:, 0]
                loss = -functional.logsigmoid(raw).mean() + 0 * b.sum() + 0 * bias
            else:
                raw = (p * q).sum(1) + b[:, 0] + c[:, 0] + bias
                loss = functional.binary_cross_entropy_with_logits(raw, outcome[rows])
            dense.zero_grad()
            loss.backward()
            dense.step()
            with torch.no_grad():
                for of, (ids, leaves) in zip(tables, looked_up, strict=True):
                    distinct, position = torch.unique(ids, return_inverse=True)
                    for table, leaf in zip(of, leaves, strict=True):
                        table.update(distinct, position, leaf.grad)
    return len(log) / (time.perf_counter() - started)


def compare(a: Callable[[], float], b: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Return (median a, median b, median ratio) over alternating rounds."""
    pairs = [(a(), b()) for _ in range(rounds)]
    firsts, seconds = zip(*pairs, strict=True)
    return statistics.median(firsts), statistics.median(seconds), statistics.median(x / y for x, y in pairs)


def table_of_rates(rows: int, rounds: int, threads: int) -> list[str]:
    """Return the lines of rows a second."""
    log, by_rows = world(USERS, rows), AdamWRows(lr=LR, weight_decay=DECAY, bias_decay=BIAS_DECAY)
    recbole = float(run_with_recbole(RECBOLE, *map(str, (threads, USERS, ITEMS, 30)), threads=threads).split()[-1])
    head = "`adamw_rows`, rows/s | bare row-sparse loop, rows/s | ratio | `adamw`, rows/s | times"
    lines = [f"| objective | {head} | RecBole's BPR, rows/s | times |", "|---|---|---|---|---|---|---|---|"]
    for name, objective in OBJECTIVES.items():
        mine, plain, ratio = compare(
            lambda o=objective: ours(log, o, by_rows, None), lambda n=name: bare(log, n), rounds
        )
        dense = ours(log, objective, AdamW(lr=LR), 30)
        against = f"{recbole:,.0f} | {mine / recbole:.1f}" if name == "bpr" else "| "
        lines.append(
            f"| {name} | {mine:,.0f} | {plain:,.0f} | {ratio:.2f} | {dense:,.0f} | {mine / dense:.1f} | {against} |"
        )
    return lines


def table_of_sizes(sizes: list[int], rounds: int) -> list[str]:
    """Return the lines of step times by the number of users, at equal batch."""
    logs = {users: world(users, 150 * BATCH) for users in sizes}
    times: dict[int, list[float]] = {users: [] for users in sizes}
    for _ in range(rounds):
        for users, log in logs.items():
            times[users].append(1e3 * BATCH / ours(log, OBJECTIVES["naive"], AdamWRows(lr=LR), None))
    lines = [f"| users | ms/step | against {sizes[0]:,} users | against the row above |", "|---|---|---|---|"]
    for above, users in zip([sizes[0], *sizes], sizes, strict=False):
        ratios = [
            statistics.median(x / y for x, y in zip(times[users], times[of], strict=True)) for of in (sizes[0], above)
        ]
        lines.append(f"| {users:,} | {statistics.median(times[users]):.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return lines


def main() -> None:
    """Print the tables; with --paste, put them into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--quick", action="store_true", help="fewer rows and no ten million users")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    rates = table_of_rates(200_000 if options.quick else 1_000_000, options.rounds, options.threads)
    sizes = [10_000, 100_000, 1_000_000]
    large = not options.quick and free_memory() > 12e9
    steps = table_of_sizes(sizes, options.rounds)
    if large:
        steps.append(table_of_sizes([1_000_000, 10_000_000], 1)[-1])
    note = f"{options.threads} threads; medians of {options.rounds} alternating rounds" + "." * (not large)
    note += "; ten million users: one round, against a million beside it." if large else ""
    text = "\n".join([*rates, "", *steps, "", note])
    print(text)
    if options.paste:
        paste(options.paste, "row_sparse", text)


if __name__ == "__main__":
    main()
