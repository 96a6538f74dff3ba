"""What it takes to score pairs that a language model reads anew, from a few of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.evaluation.slice.base import AnySliceData, SliceData
from causalrec.models import inference_batch
from causalrec.running.pair_limit import every_slice, pairs_of
from causalrec.running.prepare import select_slices
from causalrec.running.run import StartedJob
from causalrec.training.fit_request import FitRequest
from causalrec.types import Ints

SAMPLED_PAIRS = 32  # that are timed


@dataclass(frozen=True, kw_only=True)
class PairCosts:
    """What the pairs of a job take.

    Attributes:
        pairs: that are scored; of a frozen model also those that are trained and validated on, which it reads once.
        tokens: of all of them.
        seconds: to read them.
    """

    pairs: int
    tokens: int
    seconds: float


def pair_costs(job: StartedJob, request: FitRequest) -> PairCosts:
    """Return what the pairs of a job take, by the pace of a random few; what is read of these need not be read again.

    Args:
        job: whose data are prepared.
        request: one of its fits.
    """
    config, prepared = job.config, job.prepared
    slices = [data for yielded in select_slices(config, prepared).values() for data in yielded]
    pairs = sum(map(pairs_of, every_slice(slices)))
    if config.has_weights and not config.finetuning.target.trains:
        pairs += len(request.train) + len(request.validation)
    user, item, time_of = _some_pairs(slices, prepared.train.num_items)
    model = request.fresh_model()
    model.predict(user[:1], item[:1], request.features, request.objective, None if time_of is None else time_of[:1])
    begun = time.perf_counter()
    model.predict(user, item, request.features, request.objective, time_of)
    seconds = time.perf_counter() - begun
    batch = inference_batch(user, item, request.features, time_of if model.reads_time else None)
    scale = pairs / len(item)
    return PairCosts(pairs=pairs, tokens=round(scale * model.pair_tokens(batch)), seconds=scale * seconds)


def _some_pairs(slices: Sequence[AnySliceData], num_items: int) -> tuple[Ints, Ints, Ints | None]:
    """Return users, items and times of a random few pairs of the largest slice that is predicted."""
    rng, data = np.random.default_rng(0), max(every_slice(slices), key=pairs_of)
    if isinstance(data, SliceData):
        rows = rng.choice(len(data), min(SAMPLED_PAIRS, len(data)), replace=False)
        return data.user[rows], data.item[rows], None if data.time is None else data.time[rows]
    return rng.choice(data.users, SAMPLED_PAIRS), rng.integers(num_items, size=SAMPLED_PAIRS), None
