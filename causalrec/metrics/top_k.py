"""The head of rankings of a whole catalogue: what metrics at K need of them, without sorting the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from causalrec.metrics.ranks import RankedRows

CHUNK = 128  # items whose greatest score is looked at first
MOST_CHUNKED = 0.5  # of the chunks: where more are asked for, all items are looked at


def top_scores(score: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k greatest scores of each row of `score[B,I]`, falling, `[B,k]`, and their items, int64[B,k].

    The k greatest, k at most I, lie in the k chunks whose own greatest score is greatest, so that only those are
    sorted. Which of the items that tie with the last come is left open.

    >>> top_scores(torch.tensor([[1.0, 3.0, 2.0]]), 2)
    (tensor([[3., 2.]]), tensor([[1, 2]]))
    """
    rows, items = score.shape
    chunks = items // CHUNK
    if k > MOST_CHUNKED * chunks:
        value, item = score.topk(k)
        return value, item
    chunked = score[:, : chunks * CHUNK].view(rows, chunks, CHUNK)
    best = chunked.amax(-1).topk(k, sorted=False).indices
    candidates = chunked.gather(1, best[:, :, None].expand(-1, -1, CHUNK)).view(rows, k * CHUNK)
    value, position = torch.cat([candidates, score[:, chunks * CHUNK :]], 1).topk(k)
    chunk = best.gather(1, (position // CHUNK).clamp(max=k - 1))
    after = position + (chunks - k) * CHUNK  # of the items behind the last chunk
    return value, torch.where(position < k * CHUNK, chunk * CHUNK + position % CHUNK, after)


def top_items(score: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k greatest scores of each row of `score[B,I]` and their items, `[B,k]` each, as a stable sort has
    them: of equal scores the first item comes first. k at most I.

    >>> top_items(torch.tensor([[1.0, 3.0, 1.0, 3.0]]), 3)[1]
    tensor([[1, 3, 0]])
    """
    value, item = score.topk(min(k + 1, score.shape[1]))
    order = item.argsort(dim=1)
    value, item = value.gather(1, order), item.gather(1, order)
    order = value.argsort(dim=1, descending=True, stable=True)
    value, item = value.gather(1, order), item.gather(1, order)
    value, last = value[:, :k], value[:, k:]
    for row in torch.nonzero((last == value[:, -1:]).any(1)).squeeze(1).tolist():  # `topk` took any of the last's items
        greater = int((value[row] > value[row, -1]).sum())
        item[row, greater:k] = torch.nonzero(score[row] == value[row, -1]).squeeze(1)[: k - greater]
    return value, item[:, :k]


@dataclass(frozen=True)
class TopRows:
    """The first K of each user's ranking of a catalogue; -inf marks items that are no candidates.

    Attributes:
        value: float32[B,K], the greatest scores, falling; -inf where a user has fewer candidates.
        start: int64[B,K], the rank of the first that has this score.
        count: int64[B,K], how many of the user's candidates have this score.
        is_longer: bool[B], whether a user has more than K candidates.
    """

    value: Tensor
    start: Tensor
    count: Tensor
    is_longer: Tensor

    @staticmethod
    def of(score: Tensor, k: int) -> TopRows:
        """Return the first `k` (or all) of the rankings by `score[B,I]`."""
        length = min(k, score.shape[1])
        value, _ = top_scores(score, min(k + 1, score.shape[1]))
        value, beyond = value[:, :length].contiguous(), value[:, length:]
        falling = (-value).contiguous()
        start = torch.searchsorted(falling, falling)
        count = torch.searchsorted(falling, falling, right=True) - start
        last = value[:, -1:]
        tied = torch.nonzero((beyond == last).any(1) & last[:, 0].isfinite()).squeeze(1)  # the last run goes on
        if len(tied):
            total = torch.tensor([_count(score[k], last[k]) for k in tied.tolist()], device=score.device)
            count[tied] = torch.where(value[tied] == last[tied], total[:, None], count[tied])
        return TopRows(value, start, count, (beyond > -torch.inf).any(1))

    def rank_positives(self, row: Tensor, score: Tensor) -> RankedRows:
        """Return rankings of which metrics at K or less say what they say of whole ones; ties share their mean gain.

        After the first K rows of a user one row of rank K stands for all others: its gain and ideal are their sums, and
        what it ties with is not told.

        Args:
            row: int64[P], 0..B-1, whose positive it is.
            score: `[P]`, the score of the positive.
        """
        users, k = self.value.shape
        hits = torch.zeros(users, k, dtype=torch.float64)
        value, count, longer = self.value.cpu(), self.count.cpu(), self.is_longer.cpu()
        hits.index_add_(0, row, (value[row] == score[:, None]).double())
        positives = torch.bincount(row, minlength=users)[:, None]
        gain = hits / count
        ideal = (torch.arange(k) < positives).double()
        gain = torch.cat([gain, positives - gain.sum(1, keepdim=True)], 1)
        ideal = torch.cat([ideal, positives - ideal.sum(1, keepdim=True)], 1)
        is_row = torch.cat([value > -torch.inf, longer[:, None]], 1)
        user, rank = is_row.nonzero(as_tuple=True)
        start = torch.cat([self.start.cpu(), torch.full((users, 1), k)], 1)
        length = torch.cat([count, torch.ones(users, 1, dtype=count.dtype)], 1)
        return RankedRows(rank, gain[is_row], ideal[is_row], user, start[is_row], length[is_row])


def _count(score: Tensor, value: Tensor) -> int:
    """Return how many of `score[I]` equal `value[1]`: NumPy counts a row while torch makes room for the answer."""
    return int(np.count_nonzero(score.cpu().numpy() == value.cpu().numpy()))
