"""Maximum mean discrepancy: what pairs look like should be spread alike in every environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from causalrec.estimators.penalty.environments import AbstractEnvironmentPenalty, pair_vectors
from causalrec.estimators.representation_distance import arm_masses, squared_distances
from causalrec.types import OUTCOME, Batch, Outputs, Term

SMALLEST_WIDTH = 1e-6


@dataclass(frozen=True, kw_only=True)
class MMD(AbstractEnvironmentPenalty):
    """The squared maximum mean discrepancy of `u * v` in each environment from the other rows, by a Gaussian kernel.

    The mean over environments with a row in the batch; rows count by their weights, and the kernel's width is the root
    of half their mean squared distance. In a distributed run each rank compares its own rows. Source: Gretton et al.
    (JMLR 2012); as a penalty of representations, Li et al. (CVPR 2018).

    Args:
        environment: A category of users, items or rows, whose levels are the environments; a number of theirs, or
            `time`, which is cut into `groups` of as many training rows.
        groups: K, of a number or of time.
        weight: What the discrepancy is multiplied by.
    """

    vectorizable: ClassVar[bool] = True

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        vectors, environment = pair_vectors(outputs), self.environment_of(batch)
        share = (batch.weight / batch.weight.sum(-1, keepdim=True).clamp_min(SMALLEST_WIDTH)).to(vectors.dtype)
        squared = squared_distances(vectors)
        spread = (squared.detach() * share[..., :, None] * share[..., None, :]).sum((-2, -1))
        width = spread.clamp_min(SMALLEST_WIDTH**2)[..., None, None]  # twice the square of the kernel's
        kernel = (-squared / width).exp()
        masses, present = self._masses(environment, share)
        distances = ((masses[..., None, :] @ kernel)[..., 0, :] * masses).sum(-1).clamp_min(0)
        value = (distances * present).sum(0) / present.sum(0).clamp_min(1)
        rows = torch.ones_like(batch.weight)
        return {"distance": Term(value[..., None] * rows, OUTCOME, normaliser=rows)}

    def _masses(self, environment: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Return by environment the masses of its rows minus the others, `[K,B]`, and whether both have any."""
        of_arms = [arm_masses((environment == k).long(), 1, share) for k in range(self._count)]
        present = torch.stack([both.to(share.dtype) for *_, both in of_arms])
        return torch.stack([inside - outside for inside, outside, _ in of_arms]), present
