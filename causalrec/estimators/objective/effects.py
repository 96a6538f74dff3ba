"""The contracts of objectives whose prediction is an effect: by outcomes under each treatment, or by a second stage.

Numeric outcomes are handed to them in standard deviations from the training mean, as the outputs are, so that what they
add to squared errors (a likelihood, a balance) counts alike whatever the outcome's unit; what is predicted is in it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from causalrec.estimators.arms import effects_of, gather_factual
from causalrec.estimators.cross_fitting import CROSSFIT_ROLES, nuisance_terms
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import mean_of, pointwise_error
from causalrec.types import ARMS, EFFECT, OUTCOME, Batch, Estimand, Outputs, PropensityKind, Role, Term, Truth


class AbstractArms(AbstractObjective):
    """One network of the outcomes under each treatment; it predicts `mean[a] - mean[0]`, `[B,A]`, and is judged by its
    error of the outcome seen.
    """

    estimand: ClassVar[Estimand] = "effect"
    required_head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS})

    def score(self, outputs: Outputs) -> Tensor:
        return effects_of(outputs.components[OUTCOME][ARMS], outputs.link)

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        return pointwise_error(
            gather_factual(outputs.components[OUTCOME][ARMS], batch.treatment), batch.outcome, outputs.link
        )

    def ideal(self, batch: Batch, outputs: Outputs, truth: Truth) -> Tensor:
        """Return the mean error over the treatments, `[B]`, each against its mean outcome."""
        return pointwise_error(outputs.components[OUTCOME][ARMS], truth.arms, outputs.link).mean(-1)

    def potential_outcomes(self, outputs: Outputs) -> Tensor:
        return mean_of(outputs.components[OUTCOME][ARMS], outputs.link)


class AbstractSecondStage(AbstractObjective):
    """An effect network fitted on what two outcome networks leave, each used on the half of the rows it has not learnt
    from; all three learn together. Arm a of the head of role `effect` is the effect of a, in the unit of the batch's
    outcome. It is judged by the effect network's own error, which has the propensities in it: divided by them again, it
    would no longer be right where the outcome networks are wrong.
    """

    roles: ClassVar[tuple[Role, ...]] = (*CROSSFIT_ROLES, EFFECT)
    prediction_roles: ClassVar[tuple[Role, ...]] = (*CROSSFIT_ROLES, EFFECT)
    estimand: ClassVar[Estimand] = "effect"
    required_head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS})
    propensity_kinds: ClassVar[frozenset[PropensityKind]] = frozenset({"treatment", "logged"})
    error_is_weighted: ClassVar[bool] = True

    @abstractmethod
    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return the error of the effect network, `[B]`."""

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        seen = batch.observed
        loss = Term(self.error(batch, outputs) * seen, EFFECT, normaliser=seen)
        return {**nuisance_terms(batch, outputs), "effect": loss}

    def ideal(self, batch: Batch, outputs: Outputs, truth: Truth) -> Tensor:
        """Return the squared error of the effect, `[B]`, mean over the treatments."""
        return (truth.arms[..., 1:] - truth.arms[..., :1] - self.score(outputs)).square().mean(-1)

    def score(self, outputs: Outputs) -> Tensor:
        return outputs.components[EFFECT][ARMS][..., 1:]

    def potential_outcomes(self, outputs: Outputs) -> Tensor:
        first, second = (mean_of(outputs.components[role][ARMS], outputs.link) for role in CROSSFIT_ROLES)
        return (first + second) / 2
