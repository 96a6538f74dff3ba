"""Policy risk: one less the value of treating where the predicted effect is above a threshold."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.uplift_policy_value import uplift_policy_value, uplift_policy_value_of
from causalrec.metrics.uplift_rows import AbstractUplift, Clip, UpliftRows


def policy_risk(
    prediction: Tensor, outcome: Tensor, treatment: Tensor, propensity: Tensor | None = None, *, threshold: float = 0.0
) -> Tensor:
    """Return `1 - uplift_policy_value` of outcomes 0 and 1, in which 1 is good, a scalar.

    Args:
        prediction: `[N]`, predicted effects.
        outcome: `[N]`, observed outcomes.
        treatment: `[N]`, 1 where treated, else 0.
        propensity: `[N]`, the probability of treatment 1; None: the same for all rows.
        threshold: treat where the prediction is above it.

    Source: Shalit, Johansson & Sontag (ICML 2017), section 5.

    >>> effect = torch.tensor([1.0, 1.0, -1.0])
    >>> policy_risk(effect, torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1, 0, 0]))
    tensor(0.3333, dtype=torch.float64)
    """
    return 1 - uplift_policy_value(prediction, outcome, treatment, propensity, threshold=threshold)


class PolicyRisk(AbstractUplift):
    """One less the policy value; nan where outcomes are not 0 and 1.

    Args:
        num_clusters: number of users (of rows, in userless logs).
        threshold: treat where the predicted effect is above it (what treatment costs).
        weights: weigh rows by inverse propensity.
        clip: propensities are clipped to [clip, 1 - clip].
    """

    higher_is_better = False
    under_affine = "undefined"
    weighs_first = False

    def __init__(self, num_clusters: int, *, threshold: float = 0.0, weights: bool = True, clip: Clip = 0.01) -> None:
        super().__init__(num_clusters, weights=weights, clip=clip)
        self.threshold = threshold

    def value(self, rows: UpliftRows, weight: Tensor) -> Tensor:
        risk = 1 - uplift_policy_value_of(rows, weight, self.threshold)
        return risk if rows.binary else torch.full_like(risk, float("nan"))
