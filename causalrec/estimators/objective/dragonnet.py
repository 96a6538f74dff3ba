"""DragonNet's objective: outcome, treatment, and targeted regularisation (Shi, Blei & Veitch, NeurIPS 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.arms import gather_factual, treatment_one_hot
from causalrec.estimators.objective.effects import AbstractArms
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import ARMS, EPSILON, OUTCOME, PROPENSITY, Batch, Outputs, Role, Term


@dataclass(frozen=True, kw_only=True)
class Dragon(AbstractArms):
    """`error(arms[T], y) + alpha CE(T, g) + beta error(arms[T] + epsilon h, y)`.

    `h = 1[T>0] / g_T - 1[T=0] / g_0`, g the treatment's probability, squeezed to `(g + 0.01) / 1.02` as published; arms
    and error are of raw outputs, so that epsilon moves log-odds where outcomes are clicks, and standard deviations
    where they are numbers (the authors' code standardises them, too). `beta=0` leaves the targeted regularisation out.
    Equations 2.2 and 3.2. Predicts `mean[a] - mean[0]`, `[B,A]`. Biased by design for the error over all treatments: it
    is that of the treatment received, and targeting is for the average effect.
    """

    required_head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS, PROPENSITY, EPSILON})
    alpha: Annotated[float, Field(ge=0)] = 1.0
    beta: Annotated[float, Field(ge=0)] = 1.0

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        components, seen = outputs.components[OUTCOME], batch.observed
        log_probabilities = components[PROPENSITY].log_softmax(-1)
        cross_entropy = -gather_factual(log_probabilities, batch.treatment)
        squeezed = (gather_factual(log_probabilities, batch.treatment).exp() + 0.01) / 1.02
        sign = 2 * treatment_one_hot(batch.treatment, components[ARMS].shape[-1] - 1).sum(-1) - 1
        targeted = gather_factual(components[ARMS], batch.treatment) + components[EPSILON] * sign / squeezed
        regularised = pointwise_error(targeted, batch.outcome, outputs.link)
        return {
            "outcome": Term(self.error(batch, outputs) * seen, OUTCOME, normaliser=seen),
            "treatment": Term(self.alpha * cross_entropy * seen, OUTCOME, normaliser=seen),
            "targeted": Term(self.beta * regularised * seen, OUTCOME, normaliser=seen),
        }
