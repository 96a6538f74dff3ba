"""Doubly calibrated joint learning: experts calibrate both the propensity and the imputed label (DCE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.calibration_experts import CalibrationExperts, fit_experts
from causalrec.estimators.doubly_robust import ImputationErrors
from causalrec.estimators.learned_propensity import exposure_term
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.estimators.pointwise_error import inverse_propensity, pointwise_error
from causalrec.types import (
    IMPUTATION,
    OUTCOME,
    PROPENSITY,
    Batch,
    Count,
    EpochRows,
    Link,
    Outputs,
    Role,
    Share,
    Space,
    Steps,
    Term,
)

COLDEST = 1e-3  # temperature of the gate, as published


@dataclass(frozen=True, kw_only=True)
class AbstractDoublyCalibrated(AbstractObjective):
    """Joint learning by a learnt propensity, both nuisances calibrated by experts that held-out rows are fitted on.

    Before each epoch the experts of the propensity (`CalibrationExperts`, gated by the propensity network's user
    vector) go some steps on the log loss of exposure, over held-out rows and ten pairs to each that stand for all
    pairs; then p = max(q, clip), and those of the imputed label go some steps on the log loss of held-out outcomes
    weighted by 1/p. Before the first epoch, and with `steps=0`, both leave the networks as they are.

    Departures from the paper: its propensity is fitted beforehand by squared error, and here beside the others by
    likelihood; its gate samples Gumbel noise, in prediction too, and here is the softmax without noise at the same
    falling temperature, which an objective lets fall by the epoch's number; steps are those of L-BFGS, and start from
    a = 1, b = 0 (theirs: b = -1), to which their decay draws. Source: Kweon & Yu (WWW 2024), with equations as their
    released code has them; settings are theirs for Coat, but the clip (.0903 there, 1.1 times the density of the log).

    Attributes:
        clip: the least propensity divided by.
        held_out: share of training rows that no step meets, which the experts are fitted on.
        experts: K, of each nuisance.
        steps: of each fit of experts.
        decay: of experts towards those that change nothing.
        cooling_epochs: in which the gate's temperature falls from 1 to .001, by the same factor each.
        legacy_public_code: the outcome's terms of public code (`doubly_robust.py`).
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, PROPENSITY)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    epoch_rows: ClassVar[EpochRows | None] = EpochRows("held_out", 10)
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent", "doubly_robust"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    held_out: Share = 0.1
    experts: Count = 5
    steps: Annotated[int, Field(ge=0, le=1000)] = 10
    decay: Annotated[float, Field(ge=0)] = 7e-4
    cooling_epochs: Steps = 100
    legacy_public_code: bool = False

    def between_epochs(
        self, rows: Batch, outputs: Outputs, epoch: int, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        exposure = self._refit(PROPENSITY, outputs, rows.observed, rows.weight, epoch, generator)
        fitted = exposure.buffers(PROPENSITY)
        propensity = calibrated_probability(PROPENSITY, replace(outputs, buffers=fitted))
        weight = rows.weight * inverse_propensity(rows.observed, propensity, self.clip)
        label = self._refit(IMPUTATION, outputs, rows.outcome, weight, epoch, generator)
        return {**fitted, **label.buffers(IMPUTATION)}

    def learned_propensity(self, outputs: Outputs) -> Tensor:
        return calibrated_probability(PROPENSITY, outputs)

    def imputed_label(self, outputs: Outputs) -> Tensor:
        return calibrated_probability(IMPUTATION, outputs)

    def _refit(
        self, role: Role, outputs: Outputs, label: Tensor, weight: Tensor, epoch: int, generator: torch.Generator
    ) -> CalibrationExperts:
        user = outputs.vectors[role][0]
        start = CalibrationExperts.from_buffers(outputs.buffers, role)
        start = CalibrationExperts.start(self.experts, user, generator) if start is None else start
        temperature = max(COLDEST, COLDEST ** (epoch / self.cooling_epochs))
        return fit_experts(
            start, outputs[role], user, label, weight, temperature=temperature, steps=self.steps, decay=self.decay
        )

    def shared_terms(self, batch: Batch, outputs: Outputs) -> tuple[ImputationErrors, Tensor, Mapping[str, Term]]:
        """Return errors whose imputed label is calibrated, p `[B]`, and the terms of both nuisances.

        The imputation model learns on its label before calibration, which the experts then change.
        """
        errors, propensity = ImputationErrors.from_outputs(batch, outputs), calibrated_probability(PROPENSITY, outputs)
        label = calibrated_probability(IMPUTATION, outputs)
        terms = {
            "imputation": errors.imputation_term(inverse_propensity(batch.observed, propensity, self.clip)),
            "exposure": exposure_term(batch, outputs),
        }
        imputed = pointwise_error(outputs[OUTCOME], label, outputs.link)
        return replace(errors, imputed=imputed), propensity, terms


def calibrated_probability(role: Role, outputs: Outputs) -> Tensor:
    """Return a network's probability after its experts, `[B]`, without gradient; as it is where there are none yet."""
    experts, logit = CalibrationExperts.from_buffers(outputs.buffers, role), outputs[role].detach()
    if experts is None:
        return torch.sigmoid(logit)
    return experts.probability(logit, outputs.vectors[role][0].detach())
