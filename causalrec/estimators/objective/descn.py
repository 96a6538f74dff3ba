"""DESCN's objective over the entire space of treatments (Zhong et al., KDD 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.arms import gather_factual, treatment_one_hot
from causalrec.estimators.objective.effects import AbstractArms
from causalrec.estimators.pointwise_error import mean_of, pointwise_error
from causalrec.types import ARMS, EFFECT, OUTCOME, PROPENSITY, Batch, Outputs, Role, Term


@dataclass(frozen=True, kw_only=True)
class Descn(AbstractArms):
    """`CE(T, g) + treated (1[T] y - g_T m_T)^2 + control (1[T=0] y - g_0 m_0)^2 + cross error(arms by the other)`.

    The products g m are the outcome and treatment of all rows together (entire space networks). The cross network adds
    its pseudo effect to control's raw output to give the treated one's, and takes it away the other way round (X
    network). Weights as in the paper's appendix, all 1 but the cross network's 0.5. Equations 5 to 10, with squared
    errors of the products whatever the link; numeric outcomes are in standard deviations from their mean. Predicts
    `mean[a] - mean[0]`, `[B,A]`. Biased by design for the error over all treatments: each is weighed by how often it
    was received.
    """

    required_head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS, PROPENSITY, EFFECT})
    treated: Annotated[float, Field(ge=0)] = 1.0
    control: Annotated[float, Field(ge=0)] = 1.0
    cross: Annotated[float, Field(ge=0)] = 0.5

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        components, seen = outputs.components[OUTCOME], batch.observed
        arms, probabilities = components[ARMS], components[PROPENSITY].softmax(-1)
        means, count = mean_of(arms, outputs.link), arms.shape[-1] - 1
        in_arm, untreated = treatment_one_hot(batch.treatment, count), (batch.treatment == 0).to(arms.dtype)
        entire = (in_arm * batch.outcome[..., None] - probabilities[..., 1:] * means[..., 1:]).square().sum(-1)
        without = (untreated * batch.outcome - probabilities[..., 0] * means[..., 0]).square()
        to_arm = (in_arm * (arms[..., :1] + components[EFFECT])).sum(-1)
        back = (arms[..., 1:] - components[EFFECT]).mean(-1)
        crossed = pointwise_error(to_arm + untreated * back, batch.outcome, outputs.link)
        losses = {
            "treatment": -gather_factual(components[PROPENSITY].log_softmax(-1), batch.treatment),
            "treated": self.treated * entire,
            "control": self.control * without,
            "cross": self.cross * crossed,
        }
        return {name: Term(loss * seen, OUTCOME, normaliser=seen) for name, loss in losses.items()}
