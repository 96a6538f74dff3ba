"""One run of the Coat study beside a plain PyTorch DR-JL loop, side by side: batch 128, embeddings of width 4, Adam.

Both train the same number of epochs on the training split of Coat; the loop stops there, while a run also audits, fits
propensities (kept between runs), validates every epoch, keeps its best weights, scores the randomised test with
intervals beside four baselines (cached), and writes its record. Needs Coat below CAUSALREC_DATA.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.data.datasets.coat import Coat
from causalrec.data.log import InteractionLog
from causalrec.data.split.random import Random
from causalrec.reporting.paste_between_markers import paste
from causalrec.running import run

WIDTH, BATCH = 4, 128


class Bare(nn.Module):
    """A factorisation with biases."""

    def __init__(self, users: int, items: int) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(users, WIDTH), nn.Embedding(items, WIDTH)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return (self.user(user) * self.item(item)).sum(-1) + self.user_bias(user)[:, 0] + self.item_bias(item)[:, 0]


def plain_seconds(log: InteractionLog, epochs: int) -> float:
    """Return the seconds of a DR-JL loop as one would write it: half logged rows, half uniform pairs in a batch."""
    started = time.perf_counter()
    user, item, outcome = (torch.from_numpy(c) for c in (log.user, log.item, log.outcome))
    logged = torch.full((log.num_pairs,), -1).scatter_(0, torch.from_numpy(log.codes), torch.arange(len(log)))
    propensity = torch.bincount(item, minlength=log.num_items)[item] / log.num_users
    models = [Bare(log.num_users, log.num_items) for _ in range(2)]
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.01, weight_decay=1e-4) for m in models]
    cross_entropy = functional.binary_cross_entropy_with_logits
    for _ in range(epochs):
        for rows in torch.randperm(len(log)).split(BATCH // 2):
            codes = torch.randint(log.num_pairs, (len(rows),))
            row = torch.cat([rows, logged[codes]])
            u, i = torch.cat([user[rows], codes // log.num_items]), torch.cat([item[rows], codes % log.num_items])
            observed, safe = (row >= 0).float(), row.clamp_min(0)
            label, inverse = outcome[safe] * observed, observed / propensity[safe]
            raw, pseudo = models[0](u, i), torch.sigmoid(models[1](u, i))
            error = cross_entropy(raw, label, reduction="none")
            imputed = cross_entropy(raw, pseudo.detach(), reduction="none")
            learned = cross_entropy(raw.detach(), pseudo, reduction="none")
            loss = (imputed + (error - imputed) * inverse).mean()
            loss = loss + ((error.detach() - learned).square() * inverse).mean()
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
    return time.perf_counter() - started


def run_seconds(epochs: int, seed: int, folder: str) -> float:
    """Return the seconds of one whole run of as many epochs."""
    chosen = ["dataset=coat", "objective=dr_jl", f"encoder.width={WIDTH}", f"sampler.batch_size={BATCH}"]
    chosen += [f"trainer.max_epochs={epochs}", f"trainer.patience={epochs}", "trainer.progress=false"]
    chosen += [
        "selection.candidates={optimizer.weight_decay:[0.1]}",
        "logger=none",
        f"seed={seed}",
        f"paths.runs={folder}",
    ]
    spec = validate_config(compose_config(normalise_overrides(chosen)))
    started = time.perf_counter()
    run.train(spec)
    return time.perf_counter() - started


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--epochs", type=int, default=10)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    root = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache/causalrec/data"))
    log = Random()(Coat(threshold=3).load(root)).train
    with tempfile.TemporaryDirectory() as folder:
        (
            run_seconds(1, 0, folder),
            plain_seconds(log, 1),
        )  # warm-up: data, propensities and baselines are kept from here on
        pairs = [
            (run_seconds(options.epochs, k + 1, folder), plain_seconds(log, options.epochs))
            for k in range(options.rounds)
        ]
    mine, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    steps = options.epochs * int(np.ceil(len(log) / (BATCH // 2)))
    lines = [
        f"| DR-JL on Coat, {options.epochs} epochs, {steps} steps | seconds | ratio |",
        "|---|---|---|",
        f"| plain loop: no validation, no scores, no record | {bare:.2f} | 1 |",
        f"| a whole run of causalrec | {mine:.2f} | {ratio:.2f} |",
    ]
    text = "\n".join([*lines, "", f"1 thread; medians of {options.rounds} alternating rounds."])
    print(text)
    if options.paste:
        paste(options.paste, "coat_study", text)


if __name__ == "__main__":
    main()
