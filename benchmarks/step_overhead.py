"""Cost of a step of CausalRecModule + Trainer against a hand-written loop of the same maths, side by side in one run.

Both train a matrix factorisation of width 16 with biases on 80,000 rows, AdamW, naive and doubly robust objectives.
Rounds alternate; the ratio is the median of per-round ratios of seconds per step, validation left out on both sides.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.nn import functional

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.reporting.paste_between_markers import paste
from causalrec.role_network import RoleNetwork
from causalrec.training.datamodule import LogDataModule
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.trainer import TrainerSettings

USERS, ITEMS, ROWS, WIDTH, EPOCHS = 943, 1682, 80_000, 16, 3


def world() -> InteractionLog:
    """Make a log of distinct random pairs with known propensities."""
    rng = np.random.default_rng(0)
    codes = rng.choice(USERS * ITEMS, ROWS, replace=False)
    return InteractionLog(
        user=codes // ITEMS,
        item=codes % ITEMS,
        treatment=np.ones(ROWS, np.int64),
        outcome=(rng.random(ROWS) < 0.3).astype(np.float32),
        propensity=np.full(ROWS, ROWS / (USERS * ITEMS), np.float32),
        num_users=USERS,
        num_items=ITEMS,
    )


def no_features(users: int, items: int) -> FeatureMatrix:
    """Return the view without numbers: identifiers alone."""
    empty = (np.zeros((users, 0), np.float32), np.zeros((items, 0), np.float32))
    return FeatureMatrix((), ("item", "user"), *empty, ())


class Timer(pl.Callback):
    """Adds up the seconds of training epochs."""

    seconds = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds += time.perf_counter() - self.started


def ours(log: InteractionLog, objective: AbstractObjective, batch_size: int) -> float:
    """Return seconds per step of the framework."""
    features, inputs = no_features(USERS, ITEMS), EncoderInputs(USERS, ITEMS, (), Path(), Path())
    networks = {role: RoleNetwork(MF(inputs, width=WIDTH), Dot(0)) for role in objective.roles}
    module = CausalRecModule(CausalModel(networks, "logit"), objective, AdamW())
    data = LogDataModule(log, log.take(np.arange(1000)), features, Balanced(batch_size=batch_size), objective.space, 0)
    timer = Timer()
    settings = TrainerSettings(max_epochs=EPOCHS)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        settings.build(None, [timer, ModelCheckpoint(folder)]).fit(module, datamodule=data)
    return timer.seconds / (EPOCHS * Balanced(batch_size=batch_size).batches(log, objective.space))


class Bare(nn.Module):
    """The factorisation as one would write it by hand."""

    def __init__(self, users: int = USERS, items: int = ITEMS, width: int = WIDTH) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(users, width), nn.Embedding(items, width)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        product = (self.user(user) * self.item(item)).sum(-1)
        return product + self.user_bias(user)[:, 0] + self.item_bias(item)[:, 0] + self.bias


def bare_naive(log: InteractionLog, batch_size: int) -> float:
    """Return seconds per step of a plain loop over tensor slices."""
    user, item, outcome = (torch.from_numpy(c) for c in (log.user, log.item, log.outcome))
    model = Bare()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    steps, started = 0, time.perf_counter()
    for _ in range(EPOCHS):
        for rows in torch.randperm(ROWS).split(batch_size):
            loss = functional.binary_cross_entropy_with_logits(model(user[rows], item[rows]), outcome[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
    return (time.perf_counter() - started) / steps


def bare_dr(log: InteractionLog, batch_size: int, width: int = WIDTH, epochs: int = EPOCHS) -> float:
    """Return seconds per step of plain DR-JL: half logged rows, half uniform pairs, one optimizer per model."""
    pairs, items = log.num_pairs, log.num_items
    user, item, outcome = (torch.from_numpy(c) for c in (log.user, log.item, log.outcome))
    propensity, find = torch.from_numpy(log.propensity), log.finder
    rng = np.random.default_rng(0)
    models = [Bare(log.num_users, items, width) for _ in range(2)]
    optimizers = [torch.optim.AdamW(m.parameters(), lr=0.01, fused=True) for m in models]
    cross_entropy = functional.binary_cross_entropy_with_logits
    steps, started = 0, time.perf_counter()
    for _ in range(epochs):
        for rows in torch.randperm(len(log)).split(batch_size // 2):
            codes = rng.integers(pairs, size=len(rows))
            logged_row = torch.from_numpy(find(codes))
            row = torch.cat([rows, logged_row])
            sampled = torch.from_numpy(codes)
            u, i = torch.cat([user[rows], sampled // items]), torch.cat([item[rows], sampled % items])
            observed = (row >= 0).float()
            safe = row.clamp_min(0)
            label, inverse = outcome[safe] * observed, observed / propensity[safe]
            weight = 1 / (0.5 * observed * pairs / len(log) + 0.5)
            raw, pseudo = models[0](u, i), torch.sigmoid(models[1](u, i))
            error = cross_entropy(raw, label, reduction="none")
            imputed = cross_entropy(raw, pseudo.detach(), reduction="none")
            learned = cross_entropy(raw.detach(), pseudo, reduction="none")
            loss = (weight * (imputed + (error - imputed) * inverse)).mean()
            loss = loss + (weight * (error.detach() - learned).square() * inverse).mean()
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            steps += 1
    return (time.perf_counter() - started) / steps


def compare(a: Callable[[], float], b: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Return (median a, median b, median ratio) over alternating rounds, after one warm-up each."""
    a(), b()
    pairs = [(a(), b()) for _ in range(rounds)]
    return (
        statistics.median(x for x, _ in pairs),
        statistics.median(y for _, y in pairs),
        statistics.median(x / y for x, y in pairs),
    )


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    log = world()
    lines = ["| objective | batch | causalrec, ms/step | hand-written loop, ms/step | ratio |", "|---|---|---|---|---|"]
    for name, objective, bare in (("naive", Naive(), bare_naive), ("dr_jl", DRJL(clip=0.0), bare_dr)):
        for size in (2048, 4096):
            mine, plain, ratio = compare(
                lambda o=objective, s=size: ours(log, o, s), lambda f=bare, s=size: f(log, s), options.rounds
            )
            lines.append(f"| {name} | {size} | {1e3 * mine:.2f} | {1e3 * plain:.2f} | {ratio:.2f} |")
    text = "\n".join([*lines, "", f"{options.threads} threads; medians of {options.rounds} alternating rounds."])
    print(text)
    if options.paste:
        paste(options.paste, "step_overhead", text)


if __name__ == "__main__":
    main()
