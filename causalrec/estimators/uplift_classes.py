"""What a row says of the effect of exposure, and rows of one user set against each other."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.types import Batch

PairIndex = tuple[Tensor, ...]


def uplift_label(outcome: Tensor, treatment: Tensor, alpha: float | Tensor) -> Tensor:
    """Return the chance that a row counts as positive, `[B]`: 1 where exposed and chosen, alpha where neither, else 0.

    Its mean given the pair is `(1 + effect) / 2` at alpha 1 where exposure is even; a smaller alpha trusts less what
    was neither exposed nor chosen, and leans to what is popular.

    >>> uplift_label(torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.tensor([1, 1, 0, 0]), 0.25).tolist()
    [1.0, 0.0, 0.0, 0.25]
    """
    exposed = (treatment > 0).to(outcome.dtype)
    return exposed * outcome + alpha * (1 - exposed) * (1 - outcome)


def pairs_of_one_user(batch: Batch) -> tuple[PairIndex, PairIndex]:
    """Return where each row stands and where another row of its user does, over all such pairs of a batch.

    Few of the `[B,B]` pairs are of one user, so that what is made of a pair is made of these alone. Rows of a log
    without users are all of one.
    """
    user = torch.zeros_like(batch.item) if batch.user is None else batch.user
    same = user[..., :, None] == user[..., None, :]
    *replica, row, other = (same & ~torch.eye(user.shape[-1], dtype=torch.bool, device=user.device)).nonzero(
        as_tuple=True
    )
    return (*replica, row), (*replica, other)


def sum_by_row(value: Tensor, row: PairIndex, like: Tensor) -> Tensor:
    """Return the sum of the pairs' values over each row's pairs, shaped as `like[B]`.

    >>> sum_by_row(torch.tensor([1.0, 2.0, 4.0]), (torch.tensor([0, 2, 0]),), torch.zeros(3)).tolist()
    [5.0, 0.0, 2.0]
    """
    return torch.zeros_like(like).index_put(row, value, accumulate=True)
