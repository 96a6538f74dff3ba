"""The first items of a ranking, where scores that tie are ordered at random, and alike whenever they are asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.top_k import top_scores

PAIRS_AT_ONCE = 1 << 18  # of users with ties, whose numbers are held
TIE_SEED = 0
FIRST, SECOND = 0x2C1B3C6D, 0x297A2D39  # odd, so that products are one-to-one


def tie_order(user: Tensor, item: Tensor, seed: int = TIE_SEED) -> Tensor:
    """Return a number of each pair, int32 of the broadcast shape: as if drawn at random, but by ids and seed alone.

    >>> first, again = (tie_order(torch.tensor([7]), torch.arange(3)) for _ in range(2))
    >>> bool((first == again).all()), len(set(first.tolist()))
    (True, 3)
    """
    of_user, of_item = (ids.to(torch.int32, copy=True).mul_(FIRST).add_(SECOND) for ids in (user, item))
    for number in (of_user, of_item):
        number.bitwise_xor_(number >> 15).mul_(SECOND)
    order = (of_user + seed) ^ of_item
    order.mul_(FIRST)
    return order.bitwise_xor_(order >> 16).mul_(SECOND)


def best_items(user: Tensor, score: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the scores `[B,count]` and items int64[B,count] of the best of `score[B,I]`, count at most I.

    By falling score; items that tie are ordered by `tie_order`, so that the first of many are those of few.

    Args:
        user: int64[B], whose scores they are.
        score: -inf marks what is no candidate, and comes last.
        count: items of a user.
    """
    value, item = top_scores(score, min(count + 1, score.shape[1]))
    tied = ((value[:, 1:] == value[:, :-1]) & value[:, 1:].isfinite()).any(1).nonzero().squeeze(1)
    value, item = value[:, :count].contiguous(), item[:, :count].contiguous()
    for rows in torch.split(tied, max(1, PAIRS_AT_ONCE // score.shape[1])):
        item[rows] = _break_ties(user[rows], score[rows], value[rows, -1:], count)
    return value, item


def _break_ties(user: Tensor, score: Tensor, last: Tensor, count: int) -> Tensor:
    """Return the best items of users, int64[B,count]: all above the last score, and as many that tie with it."""
    order = tie_order(user[:, None], torch.arange(score.shape[1], device=score.device))
    limits = torch.iinfo(torch.int32)
    order.masked_fill_(score > last, limits.max)
    order.masked_fill_(score < last, limits.min)
    _, item = top_scores(order, count)
    item = item.gather(1, tie_order(user[:, None], item).argsort(dim=1, descending=True))
    return item.gather(1, score.gather(1, item).argsort(dim=1, descending=True, stable=True))
