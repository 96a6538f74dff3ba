"""One epoch of R fits: stacked by code that knows the replica axis, stacked by vmap, and alone, side by side.

Fits differ in seed and weight decay: matrix factorisation of width 16 with the head `dot` (naive), and with `tarnet`
(factual), on 5,000 rows. Rounds alternate; ratios are medians of those of each round. Alone is Lightning's fit, of two
of the fits, times R / 2.
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
import torch

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.factual import Factual
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.base import AbstractHead
from causalrec.heads.dot import Dot
from causalrec.heads.tarnet import TARNet
from causalrec.models import CausalModel
from causalrec.reporting.paste_between_markers import paste
from causalrec.role_network import RoleNetwork
from causalrec.training.fit_request import FitRequest
from causalrec.training.optimizer import AdamW
from causalrec.training.stacked.stacked_trainer import StackedTrainer
from causalrec.training.stacked.vmap import VmappedModel
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME

USERS, ITEMS, ROWS, WIDTH = 943, 1682, 5_000, 16
KINDS: dict[str, tuple[AbstractObjective, Callable[[], AbstractHead]]] = {
    "dot, naive": (Naive(), lambda: Dot(0)),
    "tarnet, factual": (Factual(), lambda: TARNet(0, WIDTH + 2, 2, width=64, arm_width=32)),
}


def world(rows: int, seed: int) -> InteractionLog:
    """Return a log of random pairs, treated or not."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    return InteractionLog(
        user=codes // ITEMS,
        item=codes % ITEMS,
        treatment=rng.integers(2, size=rows),
        outcome=(rng.random(rows) < 0.3).astype(np.float32),
        propensity=np.full(rows, 0.5, np.float32),
        num_users=USERS,
        num_items=ITEMS,
    )


def requests_of(kind: str, replicas: int, batch_size: int, folder: Path) -> list[FitRequest]:
    """Return the fits of one kind."""
    objective, head = KINDS[kind]
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
    features = FeatureMatrix((), ("user", "item"), np.zeros((USERS, 0), np.float32), np.zeros((ITEMS, 0), np.float32))

    def model() -> CausalModel:
        return CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=WIDTH), head())}, "logit")

    train, validation = world(ROWS, 0), world(500, 1)
    return [
        FitRequest(
            model=model,
            objective=objective,
            optimizer=AdamW(lr=0.01, weight_decay=0.1 * (1 + seed)),
            trainer=TrainerSettings(progress=False, max_epochs=1),
            sampler=Balanced(batch_size=batch_size),
            features=features,
            train=train,
            validation=validation,
            seed=seed,
            criterion="naive",
            clip=0.01,
            validation_space="logged",
            pair_propensity=None,
            logger=None,
            folder=folder / str(seed),
            label="",
            prefix="",
        )
        for seed in range(replicas)
    ]


def stacked_seconds(requests: list[FitRequest], *, by_vmap: bool) -> float:
    """Return the seconds of an epoch of one stack."""
    stack = StackedTrainer(requests)
    if by_vmap:
        stack.forward = VmappedModel(requests[0].model(), stack.model)
    started = time.perf_counter()
    stack.epoch()
    return time.perf_counter() - started


def alone_seconds(requests: list[FitRequest]) -> float:
    """Return the seconds of an epoch of each fit by itself, from two of them."""
    started = time.perf_counter()
    for request in requests[:2]:
        request.fit()
    return (time.perf_counter() - started) * len(requests) / 2


def measure(kind: str, replicas: int, batch_size: int, rounds: int) -> str:
    """Return the line of a table."""
    seconds: list[tuple[float, float, float]] = []
    for _ in range(rounds + 1):  # the first warms up
        with tempfile.TemporaryDirectory() as folder:
            requests = requests_of(kind, replicas, batch_size, Path(folder))
            by_hand, by_vmap = (stacked_seconds(requests, by_vmap=choice) for choice in (False, True))
            seconds.append((by_hand, by_vmap, alone_seconds(requests)))
    by_hand, by_vmap, alone = (statistics.median(column) for column in zip(*seconds[1:], strict=True))
    to_hand = statistics.median(vmapped / hand for hand, vmapped, _ in seconds[1:])
    to_alone = statistics.median(vmapped / alone for _, vmapped, alone in seconds[1:])
    figures = f"{by_hand:.2f} | {by_vmap:.2f} | {alone:.2f} | {to_hand:.2f} | {to_alone:.2f}"
    return f"| {kind} | {batch_size} | {replicas} | {figures} |"


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    lines = ["| head, objective | batch | fits | by hand, s | by vmap, s | alone, s | vmap / hand | vmap / alone |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    lines += [
        measure(kind, replicas, size, options.rounds)
        for kind in KINDS
        for size, replicas in ((128, 4), (128, 16), (2048, 16))
    ]
    text = "\n".join([*lines, "", f"An epoch of all fits; {options.threads} threads, {options.rounds} rounds."])
    print(text)
    if options.paste:
        paste(options.paste, "vmap_stacking", text)


if __name__ == "__main__":
    main()
