"""Places of sampled pairs in the rankings of all candidates, a block of users at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from causalrec.evaluation.list_updates import exclude_pairs
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.metrics.base import AbstractMetric
from causalrec.metrics.top_k import TopRows
from causalrec.metrics.weighted.base import AbstractSampledMetric, RankedSample
from causalrec.types import Ints


def update_sampled(
    slices: Sequence[CatalogueData],
    metrics: Sequence[Mapping[str, AbstractMetric]],
    users: Ints,
    score: Tensor,
    constant: float,
) -> None:
    """Rank all candidates of some users, and add where the sampled ones stand to the metrics of each slice.

    Args:
        slices: of the same users and candidates.
        metrics: of each slice.
        users: int64[B].
        score: float32[B,I], which is written to.
        constant: the training mean outcome, which no ranking reads.
    """
    exclude_pairs(slices[0].subset_of or slices[0], users, score)
    sampled = [[each for each in chosen.values() if isinstance(each, AbstractSampledMetric)] for chosen in metrics]
    longest = max((metric.k for of_slice in sampled for metric in of_slice), default=0)
    if not longest:
        return
    top, candidates = TopRows.of(score, longest), (score > -torch.inf).sum(1).cpu()
    for data, of_slice in zip(slices, sampled, strict=True):
        rows = rank_sample(data, users, score, top, candidates)
        for metric in of_slice:
            metric.update_sampled(rows)


def rank_sample(data: CatalogueData, users: Ints, score: Tensor, top: TopRows, candidates: Tensor) -> RankedSample:
    """Return the sampled pairs of a slice's users that stand among the first K.

    Args:
        data: the slice.
        users: int64[B], of whom those of the slice are ranked.
        score: float32[B,I], -inf where an item is no candidate.
        top: the first K of each ranking.
        candidates: int64[B], how many items are ranked.
    """
    assert data.sample is not None
    inside, user = torch.from_numpy(data.is_user[users]), torch.from_numpy(users)
    row, item, index = map(torch.from_numpy, data.sample.of_users(users))
    same = top.value.cpu()[row] == score[row.to(score.device), item.to(score.device)].cpu()[:, None]
    rows = torch.nonzero(same.any(1) & inside[row]).squeeze(1)
    row, greater = row[rows], same[rows].int().argmax(1)  # of a run, its first place
    sampled = index[rows].numpy()
    return RankedSample(
        users=user[inside],
        candidates=candidates[inside],
        user=user[row],
        greater=greater,
        equal=top.count.cpu()[row, greater],
        gain=torch.from_numpy(data.sample.outcome[sampled]).double(),
        weight=1 / torch.from_numpy(data.sample.probability[sampled]),
        pair_ratio=torch.from_numpy(data.sample.pair_ratio[sampled]),
    )
