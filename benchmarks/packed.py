"""Packed training beside what it replaces, in one run: bare loops, a loop stacked by hand, a sweep run job by job.

1. DR-JL, factorisation of width 8 with biases, Coat, batch 128: a stack of R replicas (sampling, validation included)
   against R bare loops one after the other (no validation), and the memory a stack takes; each size in a fresh process.
2. A step of 16 replicas at batch 4096 against the same maths stacked by hand.
3. 64 jobs (8 seeds x 8 learning rates) by `causalrec train -m`, packed against Hydra's basic launcher (an eighth of the
   jobs, times eight), one fit for each of three decays; `--sweep-all`: with the defaults too. Needs Coat below
   CAUSALREC_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from step_overhead import bare_dr, no_features, world
from torch.nn import functional

from causalrec.data.datasets.coat import Coat
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.split.random import Random
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.reporting.paste_between_markers import paste
from causalrec.role_network import RoleNetwork
from causalrec.training.fit_request import FitRequest
from causalrec.training.optimizer import AdamW
from causalrec.training.stacked.stacked_trainer import StackedTrainer
from causalrec.training.trainer import TrainerSettings

WIDTH, SIZES = 8, (1, 4, 16, 64, 256)


def coat() -> tuple[InteractionLog, InteractionLog]:
    """Return Coat's training and validation rows, propensity by item popularity."""
    root = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache/causalrec/data"))
    splits = Random()(Coat(threshold=3).load(root))
    shares = np.bincount(splits.train.item, minlength=splits.train.num_items) / splits.train.num_users
    logs = [
        log.with_propensity(shares[log.item].clip(0.01).astype(np.float32)) for log in (splits.train, splits.validation)
    ]
    return logs[0], logs[1]


def fit_request(
    log: InteractionLog, validation: InteractionLog, seed: int, batch: int, width: int, epochs: int
) -> FitRequest:
    """Return one fit of DR-JL."""
    objective, inputs = DRJL(), EncoderInputs(log.num_users, log.num_items, (), Path(), Path())

    def model() -> CausalModel:
        return CausalModel({role: RoleNetwork(MF(inputs, width=width), Dot(0)) for role in objective.roles}, "logit")

    return FitRequest(
        model=model,
        objective=objective,
        optimizer=AdamW(lr=0.01, weight_decay=0.1),
        trainer=TrainerSettings(max_epochs=epochs, patience=epochs, progress=False),
        sampler=Balanced(batch_size=batch),
        features=NO_FEATURES[log.num_users, log.num_items],
        train=log,
        validation=validation,
        seed=seed,
        criterion="ips",
        clip=0.01,
        validation_space="logged",
        pair_propensity=None,
        logger=None,
        folder=Path(),
        label="",
        prefix="",
    )


NO_FEATURES = {size: no_features(*size) for size in ((290, 300), (943, 1682))}


def packed_step(
    log: InteractionLog, validation: InteractionLog, replicas: int, batch: int, width: int, epochs: int
) -> float:
    """Return the seconds per step of a stack, after an epoch of warm-up."""
    requests = [fit_request(log, validation, seed, batch, width, epochs + 2) for seed in range(replicas)]
    stack = StackedTrainer(requests)
    stack.epoch()
    started = time.perf_counter()
    for _ in range(epochs):
        stack.epoch()
    return (time.perf_counter() - started) / (epochs * requests[0].sampler.batches(log, "all_pairs"))


def hand_stacked_step(log: InteractionLog, replicas: int, batch: int, width: int, epochs: int) -> float:
    """Return the seconds per step of the same maths with stacked tensors, written by hand."""
    users, items, pairs = log.num_users, log.num_items, log.num_pairs
    user, item, outcome = (torch.from_numpy(c) for c in (log.user, log.item, log.outcome))
    propensity, find, rng = torch.from_numpy(log.propensity), log.finder, np.random.default_rng(0)
    first = torch.arange(replicas)[:, None]
    sides = [[torch.nn.Parameter(0.1 * torch.randn(replicas * n, width + 1)) for n in (users, items)] for _ in range(2)]
    bias = [torch.nn.Parameter(torch.zeros(replicas, 1)) for _ in range(2)]
    optimizer = torch.optim.AdamW([*sides[0], *sides[1], *bias], lr=0.01, weight_decay=0.1, fused=True)
    cross_entropy = functional.binary_cross_entropy_with_logits

    def raw(role: int, u: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
        p, q = sides[role][0][u + first * users], sides[role][1][i + first * items]
        return (p[..., :-1] * q[..., :-1]).sum(-1) + p[..., -1] + q[..., -1] + bias[role]

    steps, started = 0, time.perf_counter()
    for _ in range(epochs):
        orders = torch.stack([torch.randperm(len(log)) for _ in range(replicas)])
        for rows in orders.split(batch // 2, 1):
            codes = rng.integers(pairs, size=tuple(rows.shape))
            row, sampled = torch.cat([rows, torch.from_numpy(find(codes))], 1), torch.from_numpy(codes)
            u, i = torch.cat([user[rows], sampled // items], 1), torch.cat([item[rows], sampled % items], 1)
            observed, safe = (row >= 0).float(), row.clamp_min(0)
            label, inverse = outcome[safe] * observed, observed / propensity[safe]
            weight = 1 / (0.5 * observed * pairs / len(log) + 0.5)
            predicted, pseudo = raw(0, u, i), torch.sigmoid(raw(1, u, i))
            error = cross_entropy(predicted, label, reduction="none")
            imputed = cross_entropy(predicted, pseudo.detach(), reduction="none")
            learned = cross_entropy(predicted.detach(), pseudo, reduction="none")
            loss = (weight * (imputed + (error - imputed) * inverse)).mean(1)
            loss = loss + (weight * (error.detach() - learned).square() * inverse).mean(1)
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            steps += 1
    return (time.perf_counter() - started) / steps


def measure_size(replicas: int, rounds: int) -> dict[str, float]:
    """Return the medians of one size: steps of both, their ratio, and the bytes the stack added to this process."""
    log, validation = coat()
    epochs = 2 if replicas < 64 else 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    packed_step(log, validation, replicas, 128, WIDTH, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bare_dr(log, 128, WIDTH, 1)
    pairs = [
        (packed_step(log, validation, replicas, 128, WIDTH, epochs), bare_dr(log, 128, WIDTH, 2)) for _ in range(rounds)
    ]
    ratio = statistics.median(replicas * bare / mine for mine, bare in pairs)
    mine, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {"packed": mine, "bare": bare, "ratio": ratio, "bytes": (peak - before) * 1024}


def hand_stacked_ratio(rounds: int) -> float:
    """Return the median ratio of our stack of 16 at batch 4096 to the hand-stacked loop."""
    log = world()
    validation = log.take(np.arange(1000))
    sizes = (16, 4096, 16, 1)
    packed_step(log, validation, *sizes), hand_stacked_step(log, *sizes)
    return statistics.median(
        packed_step(log, validation, *sizes) / hand_stacked_step(log, *sizes) for _ in range(rounds)
    )


BEFORE = (  # what the target was set for: one fit for each of three decays, at most 30 epochs, no special cases
    "selection.folds=1",
    "selection.candidates={optimizer.weight_decay:[0.1,0.3,1.0]}",
    "selection.extend=false",
    "evaluation.submodels=false",
    "trainer.max_epochs=30",
)
SMALL_BATCH = ("sampler.batch_size=128",)
JOBS, ALONE = 64, 8  # of 8 seeds x 8 rates; of one seed, which are run job by job


def sweep(launcher: str, seeds: int, settings: Sequence[str]) -> float:
    """Return the seconds of jobs of so many seeds x 8 learning rates, launched from the command line."""
    rates = ",".join(f"{0.002 * 1.5**k:.4g}" for k in range(8))
    overrides = ["dataset=coat", "objective=dr_jl", f"encoder.width={WIDTH}", *settings]
    overrides += [f"seed=range({seeds})", f"optimizer.lr={rates}", "logger=none", "trainer.progress=false"]
    command = [str(Path(sys.executable).with_name("causalrec")), "train", "-m", f"hydra/launcher={launcher}"]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        where = [f"paths.runs={folder}", "sweep=bench"]
        subprocess.run([*command, *overrides, *where], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def sweep_line(what: str, settings: Sequence[str]) -> str:
    """Return a row of the table of sweeps: 8 jobs one by one, times 8, beside 64 packed."""
    slow, quick = JOBS / ALONE * sweep("basic", 1, settings), sweep("packed", 8, settings)
    return f"| {what} | {slow:.0f} | {quick:.0f} | {slow / quick:.1f} |"


def sweep_table(*, every: bool) -> list[str]:
    """Return the table of 64 jobs from the command line.

    Args:
        every: also today's defaults (an hour).
    """
    before = "one fit for each of three decays, 30 epochs"
    cases = [(f"{before}, batch 128", (*BEFORE, *SMALL_BATCH)), (f"{before}, batch 2048", BEFORE)]
    defaults = "the defaults: four decays, four folds, 300 epochs"
    cases += [(f"{defaults}; batch 2048", ()), (f"{defaults}; batch 128", SMALL_BATCH)] if every else []
    title = (
        f"{JOBS} jobs (8 seeds x 8 rates) on Coat's own graph (47 numbers a pair), from the command line; job by job: "
    )
    head = [f"{title}{ALONE} of them (one seed), times {JOBS // ALONE}.", ""]
    columns = ["| each job makes | job by job, s | packed, s | ratio |", "|---|---|---|---|"]
    return [*head, *columns, *(sweep_line(*case) for case in cases)]


def main() -> None:
    """Print the tables; with --paste, put them into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--size", type=int, help="measure one size here and print JSON")
    arguments.add_argument("--sweep-all", action="store_true", help="sweeps with the defaults too (an hour)")
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(2)
    if options.size:
        print(json.dumps(measure_size(options.size, options.rounds)))
        return
    lines = [
        "| replicas | bare loop, ms/step x replicas | packed, ms/step | ratio | memory, MB |",
        "|---|---|---|---|---|",
    ]
    for size in SIZES:
        command = [sys.executable, __file__, "--size", str(size), "--rounds", str(options.rounds)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        medians = json.loads(printed.splitlines()[-1])
        bare, mine, mb = 1e3 * medians["bare"] * size, 1e3 * medians["packed"], medians["bytes"] / 1e6
        lines.append(f"| {size} | {bare:.1f} | {mine:.2f} | {medians['ratio']:.1f} | {mb:.0f} |")
    by_hand = hand_stacked_ratio(options.rounds)
    lines += [
        "",
        f"A step of 16 replicas at batch 4096 against the same maths stacked by hand: {by_hand:.2f}.",
    ]
    lines += ["", *sweep_table(every=options.sweep_all)]
    text = "\n".join(
        [*lines, "", f"DR-JL on Coat, batch 128, 2 threads; medians of {options.rounds} alternating rounds."]
    )
    print(text)
    if options.paste:
        paste(options.paste, "packed", text)


if __name__ == "__main__":
    main()
