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


def batch_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Return `sum(weight * value) / sum(weight)` over the whole batch, `[...,1]` without gradient.

    >>> batch_mean(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]))
    tensor([2.])
    """
    return batch_sum(weight * value) / batch_sum(weight)
