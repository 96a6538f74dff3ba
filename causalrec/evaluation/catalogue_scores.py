"""Metrics of whole catalogues, accumulated over blocks of users: no users x items array is ever held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from causalrec.config.component import ComponentConfig
from causalrec.errors import CausalRecError, RequestError
from causalrec.evaluation.catalogue_predictions import CatalogueScorer, Predict, catalogue_scorer
from causalrec.evaluation.jackknife import GROUPS
from causalrec.evaluation.list_updates import exclude_pairs, update_lists
from causalrec.evaluation.sampled_rankings import update_sampled
from causalrec.evaluation.slice.base import AnySliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.metrics.base import AbstractMetric, Scored
from causalrec.metrics.top_k import TopRows
from causalrec.metrics.user_mean import AbstractUserMean
from causalrec.progress import progress
from causalrec.types import Doubles, Ints, LabelKind

TOP_BYTES = 16  # of a pair: its score, and what finds the first K
ROW_BYTES = 512  # of a pair that metrics read as a row: columns, orders and ranks
CACHED = 1 << 22  # pairs of a block that a processor's cache holds: larger ones are slower
Metrics = Mapping[str, AbstractMetric]
Update = Callable[[Sequence[CatalogueData], Sequence[Metrics], Ints, Tensor, float], None]


def block_users(data: CatalogueData, memory: int, *, rows: bool) -> int:
    """Return how many users' items are held at once, in half of `memory` bytes; predictions have the other half.

    Args:
        data: the slice.
        memory: bytes.
        rows: whether metrics read every pair as a row.
    """
    pairs = min(memory // 2 // (ROW_BYTES if rows else TOP_BYTES), CACHED)
    return max(1, pairs // data.num_items)


def require_block_memory(
    slices: Sequence[AnySliceData], metrics: Mapping[str, ComponentConfig[AbstractMetric]], megabytes: float
) -> None:
    """Raise RequestError where the items of one user do not fit into `evaluation.memory_mb`, or rows that a metric
    keeps of all users do not.
    """
    for data in slices:
        if not isinstance(data, CatalogueData):
            continue
        chosen = {name: metric.target for name, metric in metrics.items() if data.kind in metric.target.labels}
        each = ROW_BYTES if any(_reads_rows(data, target) for target in chosen.values()) else TOP_BYTES
        what, needed = f"one user's {data.num_items:,} items take {each} bytes each", 2 * each * data.num_items
        keeping = [name for name, target in chosen.items() if not target.streams]
        if keeping and (rows := len(data) * ROW_BYTES) > needed:
            what, needed = f"{', '.join(keeping)} keeps {len(data):,} rows of {ROW_BYTES} bytes", 2 * rows
        if needed > megabytes * 1e6:
            raise RequestError(
                f"evaluation.memory_mb={megabytes:g}: on {(data.subset_of or data).name} {what}, half of what may be "
                f"used: set evaluation.memory_mb={int(np.ceil(needed / 1e6))} or more"
            )


def _reads_rows(data: CatalogueData, metric: type[AbstractMetric]) -> bool:
    if data.kind == "ranking":
        return not (issubclass(metric, AbstractUserMean) and metric.at_k)
    return data.kind not in UPDATES


def update_metrics(
    slices: Sequence[CatalogueData],
    metrics: Sequence[Metrics],
    predict: Predict,
    model: str,
    constant: float,
    memory: int,
) -> None:
    """Add all pairs of slices to their metrics; the slices have the same pairs, or are subsets of the first's.

    Args:
        slices: what is scored on one prediction.
        metrics: of each slice.
        predict: predicts rows; what predicts all items of a user at once (`PredictsCatalogue`) is asked for that.
        model: what predicts.
        constant: the training mean outcome.
        memory: bytes that a block, and its prediction, may take.
    """
    first = slices[0].subset_of or slices[0]
    scorer = catalogue_scorer(predict, first, memory // 2)
    kinds = {data.kind: [k for k, each in enumerate(slices) if each.kind == data.kind] for data in slices}
    rows = any(
        _reads_rows(data, type(metric))
        for data, of_slice in zip(slices, metrics, strict=True)
        for metric in of_slice.values()
    )
    with progress(f"{model} on {first.name}", len(first.users), "users") as step:
        for users in first.blocks(block_users(first, memory, rows=rows)):
            score = _finite_scores(scorer, users, first, model)
            for kind, members in kinds.items():  # whole rankings and lists have the same candidates
                of_kind, their_metrics = [slices[k] for k in members], [metrics[k] for k in members]
                UPDATES.get(kind, _update_rows)(of_kind, their_metrics, users, score, constant)
            step.advance(len(users))


def _finite_scores(scorer: CatalogueScorer, users: Ints, data: CatalogueData, model: str) -> Tensor:
    score = scorer(users)
    if not bool(torch.isfinite(score.sum())):  # a sum of floats this small overflows only where one of them has
        bad = int((~torch.isfinite(score)).sum())
        raise CausalRecError(
            f"{model}: {bad or 'some'} of {score.numel():,} predictions on the slice {data.name} are not finite: the "
            f"fit diverged; lower optimizer.lr, or raise objective.clip where weights are large"
        )
    return score


def _update_rankings(
    slices: Sequence[CatalogueData], metrics: Sequence[Metrics], users: Ints, score: Tensor, constant: float
) -> None:
    """Rank all candidates of some users once, and count the positives of each slice among them."""
    exclude_pairs(slices[0].subset_of or slices[0], users, score)
    at_k = [_at_k(of_slice) for of_slice in metrics]
    longest = max((metric.k for of_slice in at_k for metric in of_slice), default=0)
    top = TopRows.of(score, longest) if longest else None
    for data, of_slice, at_k_metrics in zip(slices, metrics, at_k, strict=True):
        assert data.positives is not None
        inside = data.is_user[users]
        row, item = map(torch.from_numpy, data.positives.of_users(users))
        chosen = score[row.to(score.device), item.to(score.device)].cpu()
        if top is not None:
            ranked = top.rank_positives(row, chosen)
            if not inside.all():
                ranked = ranked.of_users(torch.from_numpy(inside))
            for metric in at_k_metrics:
                metric.update_ranked(ranked, torch.from_numpy(users))
        if others := [metric for metric in of_slice.values() if not _is_at_k(metric)]:
            label = torch.zeros(score.shape)
            label[row, item] = 1.0
            candidate = (score > -torch.inf).cpu() & torch.from_numpy(inside)[:, None]
            _add_rows(others, data, users, score.cpu(), label, candidate, constant)


def _at_k(metrics: Metrics) -> list[AbstractUserMean]:
    return [metric for metric in metrics.values() if _is_at_k(metric)]


def _is_at_k(metric: AbstractMetric) -> TypeGuard[AbstractUserMean]:
    return isinstance(metric, AbstractUserMean) and metric.at_k


def _update_rows(
    slices: Sequence[CatalogueData], metrics: Sequence[Metrics], users: Ints, score: Tensor, constant: float
) -> None:
    """Add all items of some users beside their true numbers."""
    first = slices[0].subset_of or slices[0]
    assert first.truth is not None
    label, drawn_effect = torch.from_numpy(first.truth(users[:, None], first.every_item)), None
    if first.drawn_truth is not None:
        drawn_effect = torch.from_numpy(first.drawn_truth(users[:, None], first.every_item))
    for data, of_slice in zip(slices, metrics, strict=True):
        judged = torch.from_numpy(data.is_user[users])[:, None].expand(score.shape)
        if data.items is not None:
            judged = judged & torch.from_numpy(data.items)
        _add_rows(list(of_slice.values()), data, users, score.cpu(), label, judged, constant, drawn_effect)


def _add_rows(
    metrics: Sequence[AbstractMetric],
    data: CatalogueData,
    users: Ints,
    score: Tensor,
    label: Tensor,
    judged: Tensor,
    constant: float,
    drawn_effect: Tensor | None = None,
) -> None:
    row, item = judged.nonzero(as_tuple=True)
    if not len(row):
        return
    cluster = torch.from_numpy(users)[row] if data.num_users else item
    scored = Scored(
        score[judged],
        label[judged],
        cluster,
        constant,
        drawn_effect=None if drawn_effect is None else drawn_effect[judged],
    )
    for metric in metrics:
        metric.update_users(scored)


UPDATES: Mapping[LabelKind, Update] = {  # others read every pair
    "ranking": _update_rankings,
    "lists": update_lists,
    "sampled": update_sampled,
}


def leave_users_out(data: AnySliceData, metric: AbstractMetric) -> Doubles:
    """Return a metric without each group of users, the same for every model, float64[3,G]: one axis, as items stay
    fixed.

    Of lists the users of the slice are dealt evenly, as numbers of a catalogue depend on how many users there are.
    Users who are fewer than groups are a group each: empty ones would count as degrees of freedom that nobody gives.
    """
    in_slice = data.users if isinstance(data, CatalogueData) else np.unique(data.cluster)
    if data.kind == "lists" or len(in_slice) < GROUPS:
        users = np.random.default_rng(0).permutation(in_slice)
        left_in = torch.ones(min(GROUPS, len(users)), data.num_clusters, dtype=torch.float64)
        left_in[np.arange(len(users)) % len(left_in), users] = 0
    else:
        left_in = user_groups(data.num_clusters, GROUPS)
    values: Doubles = metric.replicates(left_in).double().numpy()
    return np.repeat(values[None], 3, axis=0)


@lru_cache(maxsize=1)
def user_groups(num_users: int, groups: int) -> Tensor:
    """Return which users each group leaves in, 0 or 1, float64[G,U]: a seeded permutation, the same for every model."""
    group = np.random.default_rng(0).permutation(num_users) % groups
    return torch.from_numpy(group != np.arange(groups)[:, None]).double()
