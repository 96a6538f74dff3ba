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


def gather_batch(value: Tensor) -> Tensor:
    """Return the rows of the whole batch in a distributed run, in its order: `[...,B]` of this rank without gradient.

    Each rank has every `world`-th row, so that missing rows are the last ones (`training.datamodule.BatchLoader`).

    >>> gather_batch(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    rows = value.detach()
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    count = torch.tensor([rows.shape[-1]] * 2, device=rows.device)
    torch.distributed.all_reduce(count[:1], torch.distributed.ReduceOp.MAX)
    torch.distributed.all_reduce(count[1:])
    most, total = count.tolist()
    padded = torch.nn.functional.pad(rows, (0, most - rows.shape[-1])).contiguous()
    of_ranks = [torch.empty_like(padded) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(of_ranks, padded)
    return torch.stack(of_ranks, -1).flatten(-2)[..., :total]


def batch_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Return `sum(weight * value) / sum(weight)` over the whole batch, `[...,1]` without gradient.

    >>> batch_mean(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]))
    tensor([2.])
    """
    return batch_sum(weight * value) / batch_sum(weight)
