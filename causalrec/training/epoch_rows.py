"""What an objective is shown between two epochs, and the rows it holds out for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import RequestError
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.training.folds import SameRows
from causalrec.types import Batch, Doubles, EpochRows, Ints, Outputs

DRAWS = 50  # of pairs, at most, until there are as many as were asked for
HOOK, PAIRS = 101, 102  # tell the draws of one seed and epoch apart
ROWS_AT_ONCE = 1 << 16
LOGS_KEPT = 8  # of parts: fits of one log share their batches in a stack


def require_held_out(share: float, rows: int, choice: str) -> int:
    """Return how many rows a share holds out; raise RequestError where it is none, or leaves none to train on.

    Args:
        share: that the objective holds out.
        rows: training rows.
        choice: of the objective, in messages.
    """
    count = round(share * rows)
    if 0 < count < rows:
        return count
    what = "none is held out" if count == 0 else "none is left to train on"
    raise RequestError(
        f"{choice}: fits between epochs on objective.held_out={share:g} of {rows} training rows, so that {what}; set "
        f"objective.held_out so that both parts have rows"
    )


def hold_out(rows: InteractionLog, share: float, choice: str) -> tuple[InteractionLog, InteractionLog]:
    """Return the rows that are trained on and those that are not, propensities scaled to each part.

    Args:
        rows: training rows.
        share: that is held out.
        choice: of the objective, in messages.
    """
    return _hold_out(SameRows(rows), require_held_out(share, len(rows), choice))


@lru_cache(maxsize=LOGS_KEPT)
def _hold_out(same: SameRows, count: int) -> tuple[InteractionLog, InteractionLog]:
    rows = same.rows
    logs = []
    for chosen in _split_pairs(rows, count):
        log, scale = rows.take(chosen), np.float32(len(chosen) / len(rows) if rows.propensity_follows_share else 1)
        logs.append(log if log.propensity is None else log.with_propensity(log.propensity * scale))
    return logs[0], logs[1]


def _split_pairs(rows: InteractionLog, count: int) -> tuple[Ints, Ints]:
    """Return the rows that are trained on, and about `count` that are not: all rows of a pair are in one part."""
    rng = np.random.default_rng(0)
    if not rows.has_repeats or rows.distinct_pairs < 2:
        order = rng.permutation(len(rows))
        return np.sort(order[count:]), np.sort(order[:count])
    _, pair = np.unique(rows.codes, return_inverse=True)
    rank_of = rng.permutation(rows.distinct_pairs)
    is_left_out = np.bincount(rank_of[pair], minlength=len(rank_of)).cumsum() <= count
    is_left_out[0], is_left_out[-1] = True, False  # neither part is empty
    aside = is_left_out[rank_of[pair]]
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def _mass(log: InteractionLog) -> Doubles:
    """Return what each row counts in a mean over pairs, as steps have it (`AllPairs`): the log's weight of it, or its
    share of its pair.
    """
    counted: Doubles = 1 / log.pair_counts if log.weight is None else log.weight.astype(np.float64)
    return counted


def draw_epoch_rows(
    spec: EpochRows, train: InteractionLog, held_out: InteractionLog | None, seed: int, epoch: int
) -> SampledRows:
    """Return the rows that an objective is shown before an epoch, a function of the seed and the epoch.

    Rows that are held out stand for those that steps meet: what is fitted is of the exposure that steps see, under
    which pairs of rows that are held out are not logged. So their weights add up to the share of pairs with a training
    row (by row weights, where the log has them), and the pairs are drawn from all that have none.

    Args:
        spec: which rows.
        train: the rows that steps meet.
        held_out: those that none meets, where the objective holds some out.
        seed: of the fit.
        epoch: that begins, from 0.
    """
    log = train if spec.source == "training" or held_out is None else held_out
    row = np.arange(len(log))
    logged = SampledRows(row, log.users, log.item, np.ones(len(log), np.float32))
    if not spec.pairs_per_row:
        return logged
    codes = _draw_unlogged(train, spec.pairs_per_row * len(log), np.random.default_rng([seed, epoch, PAIRS]))
    every, mass = len(log) + len(codes), _mass(log)
    weight = np.empty(every, np.float32)
    weight[: len(log)] = mass / mass.sum() * (_mass(train).sum() / train.num_pairs * every)
    weight[len(log) :] = (1 - train.distinct_pairs / train.num_pairs) * every / max(len(codes), 1)
    user, item = np.divmod(codes, log.num_items)
    return SampledRows(
        np.concatenate([row, np.full(len(codes), -1)]),
        np.concatenate([log.users, user]),
        np.concatenate([log.item, item]),
        weight,
    )


def _draw_unlogged(log: InteractionLog, count: int, rng: np.random.Generator) -> Ints:
    """Return codes of pairs that have no row, drawn at random; none where every pair has one."""
    codes_so_far: list[Ints] = []
    for _ in range(DRAWS):
        codes = log.pair_codes(rng.integers(log.num_pairs, size=count))
        codes_so_far.append(codes[log.finder(codes) < 0])
        if sum(map(len, codes_so_far)) >= count:
            break
    every = np.concatenate(codes_so_far)
    return np.resize(every, count) if len(every) else every


def run_between_epochs(
    objective: AbstractObjective, rows: Batch, outputs: Outputs, epoch: int, seed: int
) -> dict[str, Tensor]:
    """Let an objective fit before an epoch begins, without gradients but those it asks for itself.

    Args:
        objective: whose `between_epochs` it is.
        rows: as it names them.
        outputs: of them, with the buffers of the epoch before.
        epoch: that begins, from 0.
        seed: of the fit.
    """
    with torch.no_grad():
        return dict(objective.between_epochs(rows, outputs, epoch, generator_of(seed, epoch, HOOK)))


def generator_of(*numbers: int) -> torch.Generator:
    """Return a generator on the CPU that these numbers alone decide."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


@torch.no_grad()
def outputs_in_parts(forward: Callable[[Batch], Outputs], rows: Batch, at_once: int) -> Outputs:
    """Return the outputs of many rows, `[N]` or `[R,N]`, computed a part at a time.

    Args:
        forward: of a model.
        rows: of one batch.
        at_once: rows of a part.
    """
    axis, count = rows.item.ndim - 1, rows.item.shape[-1]
    chunks = []
    for start in range(0, count, at_once):
        span = slice(start, start + at_once)
        chunks.append(forward(rows.map_tensors(lambda column, span=span: column[(slice(None),) * axis + (span,)])))  # type: ignore[misc]
    flat = [chunk.tensors() for chunk in chunks]
    joined = {path: _join([each[path] for each in flat], axis, path[0]) for path in flat[0]}
    return Outputs.from_tensors(joined, chunks[0].link)


def _join(tensors: list[Tensor], axis: int, kind: str) -> Tensor:
    return tensors[0] if kind == "parameter" else torch.cat(tensors, axis)


def with_buffers(outputs: Outputs, buffers: Mapping[str, Tensor]) -> Outputs:
    """Return the outputs with what the objective has fitted."""
    return replace(outputs, buffers=buffers) if buffers else outputs
