"""Counterfactual regression: the factual error and a penalty on imbalance (Shalit, Johansson & Sontag, ICML 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.effects import AbstractArms
from causalrec.estimators.representation_distance import mmd, wasserstein
from causalrec.types import ARMS, OUTCOME, REPRESENTATION, Batch, Outputs, Role, Term


@dataclass(frozen=True, kw_only=True)
class CFR(AbstractArms):
    """`mean of w error(arms[T], y) + alpha sum over arms of distance(phi | T=a, phi | T=0)`, `w = 1 / (2 u)` for arms
    that hold a share u of the batch, so that arms count alike (equation 3).

    `distance`: the transport distance, or the squared maximum mean discrepancy of a Gaussian kernel. `alpha` is that of
    the published IHDP runs, there beside errors in the outcome's own unit: here numeric outcomes are in standard
    deviations, so that it means the same of every data set. Assumption: as for `factual`, and representations that can
    be inverted. Biased by design: it bounds the error over all treatments, where the penalty is small.
    """

    required_head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS, REPRESENTATION})
    distance: Literal["wasserstein", "mmd"] = "wasserstein"
    alpha: Annotated[float, Field(ge=0)] = 0.3
    bandwidth: Annotated[float, Field(gt=0)] = 1.0

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        arms, phi = (outputs.components[OUTCOME][output] for output in (ARMS, REPRESENTATION))
        one_hot = torch.nn.functional.one_hot(batch.treatment, arms.shape[-1]).to(phi.dtype)
        share = one_hot.mean(-2, keepdim=True)
        weight = (one_hot / (arms.shape[-1] * share.clamp_min(1e-6))).sum(-1) * batch.observed
        penalty = torch.stack([self._imbalance(phi, batch.treatment, a) for a in range(1, arms.shape[-1])]).sum(0)
        everywhere = torch.ones_like(weight)
        return {
            "outcome": Term(self.error(batch, outputs) * weight, OUTCOME, normaliser=batch.observed),
            "imbalance": Term(self.alpha * penalty[..., None] * everywhere, OUTCOME, normaliser=everywhere),
        }

    def _imbalance(self, phi: Tensor, treatment: Tensor, arm: int) -> Tensor:
        if self.distance == "mmd":
            return mmd(phi, treatment, arm, bandwidth=self.bandwidth)
        return wasserstein(phi, treatment, arm)
