"""Ten IHDP files fitted by one head: one after another by Lightning, and as one stack; the ratio per head.

Equal numbers of epochs (no early stopping), batch 100, the published widths. Needs IHDP below CAUSALREC_DATA.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.learners.network import NetworkLearner
from causalrec.reporting.paste_between_markers import paste
from causalrec.running.prepare import plan_run, prepare_data
from causalrec.training.fit_request import FitRequest
from causalrec.training.stacked.stacked_trainer import fit_stacked

OVERRIDES = ["task=effect", "dataset=ihdp", "split.test=0.1", "split.validation=0.27", "sampler.batch_size=100"]
OVERRIDES += [
    "selection.criterion=naive",
    "selection.candidates={optimizer.weight_decay:[0.1]}",
    "logger=none",
    "trainer.progress=false",
]
HEADS = {
    "tarnet": [],
    "t_net": ["head=t_net"],
    "cfr_wass": ["objective=cfr_wass"],
    "dragonnet": ["head=dragonnet", "objective=dragonnet"],
    "dr_learner": ["head=t_net", "objective=dr_learner"],
}


def requests_of(row: list[str], epochs: int, folder: Path) -> list[FitRequest]:
    """Return one fit per file, as the command would make it."""
    requests = []
    for replication in range(1, 11):
        overrides = [
            *OVERRIDES,
            *row,
            f"dataset.replication={replication}",
            f"paths.runs={folder}",
            f"paths.cache={folder}",
        ]
        config = validate_config(compose_config(normalise_overrides(overrides)))
        (request,) = NetworkLearner().first(config, prepare_data(config, plan_run(config)))
        trainer = replace(request.trainer, max_epochs=epochs, patience=epochs, checkpoint_seconds=1e9)
        requests.append(replace(request, trainer=trainer))
    return requests


def ratio(row: list[str], epochs: int, rounds: int) -> float:
    """Return the median over rounds of the seconds of ten fits alone over those of the stack."""
    ratios = []
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            requests = requests_of(row, epochs, Path(folder))
            started = time.perf_counter()
            fit_stacked(requests, lambda _: 10)
            packed = time.perf_counter() - started
            for k, request in enumerate(requests):
                replace(request, folder=Path(folder) / str(k)).fit()
            ratios.append((time.perf_counter() - started - packed) / packed)
    return statistics.median(ratios[1:])  # the first warms up


def main() -> None:
    """Print the table; with --paste, put it into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=20)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(2)
    lines = ["| head and objective | ten fits alone / one stack |", "|---|---|"]
    for name, row in HEADS.items():
        lines.append(f"| {name} | {ratio(row, options.epochs, options.rounds):.1f}x |")
    note = f"IHDP, {options.epochs} epochs each, 2 threads; medians of {options.rounds} rounds."
    text = "\n".join([*lines, "", note])
    print(text)
    if options.paste:
        paste(options.paste, "ihdp_packed", text)


if __name__ == "__main__":
    main()
