"""Correlation alignment: what pairs look like should vary alike in every environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from causalrec.estimators.penalty.environments import AbstractEnvironmentPenalty, pair_vectors
from causalrec.types import OUTCOME, Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class Coral(AbstractEnvironmentPenalty):
    """The distance of means and covariances of `u * v` in each environment from those of the other rows.

    `(|C_e - C_o|_F^2 / (4 D^2) + |m_e - m_o|^2 / D)`, the mean over environments that have two rows or more in the
    batch, as have the others together; rows
    count by their weights. In a distributed run each rank compares its own rows. Source: deep CORAL
    (Sun & Saenko, ECCV workshops 2016, equation 1); the means as in DomainBed (Gulrajani & Lopez-Paz, ICLR 2021).

    Args:
        environment: A category of users, items or rows, whose levels are the environments; a number of theirs, or
            `time`, which is cut into `groups` of as many training rows.
        groups: K, of a number or of time.
        weight: What the distance is multiplied by.
    """

    vectorizable: ClassVar[bool] = True

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        vectors, environment = pair_vectors(outputs), self.environment_of(batch)
        weight, distances, present = batch.weight.to(vectors.dtype), [], []
        counts = (weight > 0).to(vectors.dtype)
        for k in range(self._count):
            inside = (environment == k).to(vectors.dtype)
            distances.append(moment_distance(vectors, inside, weight))
            present.append(((inside * counts).sum(-1) > 1) & (((1 - inside) * counts).sum(-1) > 1))
        some = torch.stack(present).to(vectors.dtype)
        value = (torch.stack(distances) * some).sum(0) / some.sum(0).clamp_min(1)
        rows = torch.ones_like(batch.weight)
        return {"distance": Term(value[..., None] * rows, OUTCOME, normaliser=rows)}


def moment_distance(vectors: Tensor, inside: Tensor, weight: Tensor) -> Tensor:
    """Return the distance of means and covariances of rows with `inside[B]` 1 from those with 0, a scalar.

    Rows count by `weight[B]`; covariances are unbiased where weights are of reliability: n - 1 where they are equal.

    >>> vectors = torch.tensor([[0.0], [2.0], [1.0], [3.0]])
    >>> float(moment_distance(vectors, torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.ones(4)))
    1.0
    """
    (mean, covariance), (other_mean, other) = (_moments(vectors, weight * mask) for mask in (inside, 1 - inside))
    width = vectors.shape[-1]
    return (covariance - other).square().sum((-2, -1)) / (4 * width**2) + (mean - other_mean).square().sum(-1) / width


def _moments(vectors: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
    total = mass.sum(-1, keepdim=True)
    share = mass / total.where(total > 0, 1.0)
    mean = (vectors * share[..., None]).sum(-2)
    centred = vectors - mean[..., None, :]
    freedom = (1 - share.square().sum(-1)).clamp_min(1e-6)  # (n - 1) / n of equal weights; 0 of a single row
    return mean, (centred * share[..., None]).transpose(-1, -2) @ centred / freedom[..., None, None]
