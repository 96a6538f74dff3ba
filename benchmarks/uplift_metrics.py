"""Qini with its bootstrap beside a loop of scikit-uplift over the same resamples: 64,000 rows, 1,000 replicates.

The loop is measured on a few replicates and scaled; sides take turns, so that a busy machine slows both. Both normalise
by the perfect curve, and must agree on each replicate that the loop does.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklift.metrics import qini_auc_score

from causalrec.estimators.bootstrap import cluster_weights
from causalrec.metrics.base import Scored
from causalrec.metrics.qini import Qini
from causalrec.reporting.paste_between_markers import paste
from causalrec.types import Doubles


def rows(count: int) -> Scored:
    """Return rows of a randomised mailing, a tenth of which respond, two thirds of them treated."""
    rng = np.random.default_rng(0)
    prediction, treatment = rng.normal(size=count), (rng.random(count) < 2 / 3).astype(np.int64)
    outcome = (rng.random(count) < 0.1 + 0.03 * treatment * (prediction > 0)).astype(np.float32)
    columns = [torch.from_numpy(column) for column in (prediction, outcome, treatment)]
    return Scored(columns[0], columns[1], torch.arange(count), 0.1, None, columns[2], torch.full((count,), 2 / 3))


def loop_coefficients(scored: Scored, weights: Doubles) -> list[float]:
    """Return scikit-uplift's coefficient of each resample."""
    assert scored.treatment is not None
    outcome, prediction, treatment = (c.numpy() for c in (scored.label, scored.prediction, scored.treatment))
    coefficients = []
    for times in weights.astype(np.int64):
        resample = np.repeat(np.arange(len(times)), times)
        coefficients.append(float(qini_auc_score(outcome[resample], prediction[resample], treatment[resample])))
    return coefficients


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Print the figures; with --paste, put them into a document too."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=64_000)
    arguments.add_argument("--replicates", type=int, default=1_000)
    arguments.add_argument("--measured", type=int, default=20, help="replicates of the loop in a round")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--paste", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", message="Function stable_cumsum")
    scored, weights = rows(options.rows), cluster_weights(options.rows, options.replicates, 0)
    metric, counts, few = Qini(options.rows, normalise=True), torch.from_numpy(weights), weights[: options.measured]
    metric.update(scored)
    np.testing.assert_allclose(metric.replicates(counts)[: len(few)], loop_coefficients(scored, few), rtol=1e-9)
    pairs = [
        (
            seconds(lambda: metric.replicates(counts)),
            seconds(lambda: loop_coefficients(scored, few)) * len(counts) / len(few),
        )
        for _ in range(options.rounds)
    ]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = sorted(theirs / ours for ours, theirs in pairs)
    text = "\n".join(
        [
            f"| Qini, {len(counts):,} replicates of {options.rows:,} rows, {options.threads} threads | median |",
            "|---|---|",
            f"| `Qini.replicates`, rows sorted once | {ours:.2f} s |",
            f"| a loop of scikit-uplift, from {len(few)} of its replicates | {theirs:.1f} s |",
            f"| ratio, median of {options.rounds} rounds (least to most) "
            f"| {statistics.median(ratios):.0f}x ({ratios[0]:.0f} to {ratios[-1]:.0f}) |",
        ]
    )
    print(text)
    if options.paste:
        paste(options.paste, "uplift_metrics", text)


if __name__ == "__main__":
    main()
