"""Sums over the whole batch: the last axis, so that replicas `[R,B]` stay apart, and all ranks of a distributed run."""

import torch
from torch import Tensor


def batch_sum(value: Tensor) -> Tensor:
    """Sum a tensor over the batch and, in a distributed run, over all ranks: `[...,B]` -> `[...,1]`, without gradient.

    >>> batch_sum(torch.tensor([1.0, 2.0]))
    tensor([3.])
    """
    total: Tensor = value.detach().sum(-1, keepdim=True)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
    return total


def batch_range(value: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest entry over the whole batch and all ranks: `[...,B]` -> `[...,1]` twice.

    >>> batch_range(torch.tensor([3.0, 1.0, 2.0]))
    (tensor([1.]), tensor([3.]))
    """
    value = value.detach()
    ends = value.new_full((*value.shape[:-1], 1), torch.inf)
    low = torch.cat([value, ends], -1).amin(-1, keepdim=True)
    high = torch.cat([value, -ends], -1).amax(-1, keepdim=True)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(low, torch.distributed.ReduceOp.MIN)
        torch.distributed.all_reduce(high, torch.distributed.ReduceOp.MAX)
    return low, high


def first_rank(value: Tensor) -> Tensor:
    """Return the tensor of the first rank of a distributed run, which has rows of every batch; as it is of one."""
    shared = value.detach().contiguous()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        shared = shared.clone()
        torch.distributed.broadcast(shared, 0)
    return shared


def batch_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Return `sum(weight * value) / sum(weight)` over the whole batch, `[...,1]` without gradient.

    >>> batch_mean(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]))
    tensor([2.])
    """
    return batch_sum(weight * value) / batch_sum(weight)
