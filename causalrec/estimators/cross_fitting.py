"""Two outcome networks, each learnt from one half of the rows, and what they say of the other half."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from causalrec.estimators.arms import crossfit_fold, gather_factual
from causalrec.estimators.pointwise_error import mean_of, pointwise_error
from causalrec.types import ARMS, Batch, Outputs, Role, Term, nuisance

CROSSFIT_ROLES: tuple[Role, Role] = (nuisance(0), nuisance(1))


def fold_of(batch: Batch) -> Tensor:
    """Return which half each row belongs to, float32 `[B]`: all rows of a unit of assignment to one, else of a pair."""
    if batch.unit is not None:
        return (batch.unit % 2).float()
    return crossfit_fold(torch.zeros_like(batch.item) if batch.user is None else batch.user, batch.item)


def nuisance_terms(batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """Return the factual error of each nuisance network over its own half."""
    half, terms = fold_of(batch), {}
    for k, role in enumerate(CROSSFIT_ROLES):
        mine = batch.observed * (half == k).to(half.dtype)
        raw = gather_factual(outputs.components[role][ARMS], batch.treatment)
        error = pointwise_error(raw, batch.outcome, outputs.link)
        terms[str(role)] = Term(error * mine, role, normaliser=mine)
    return terms


def crossfit_means(batch: Batch, outputs: Outputs) -> Tensor:
    """Return mean outcomes `[B,A+1]` of each row by the network that has not learnt from its half, without gradient."""
    half = fold_of(batch)[..., None]
    first, second = (mean_of(outputs.components[role][ARMS].detach(), outputs.link) for role in CROSSFIT_ROLES)
    return half * first + (1 - half) * second
