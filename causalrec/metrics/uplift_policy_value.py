"""The mean outcome if those were treated whose predicted effect is above a threshold."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.uplift_rows import AbstractUplift, Clip, UpliftRows, uplift_rows


def uplift_policy_value_of(rows: UpliftRows, weight: Tensor, threshold: float = 0.0) -> Tensor:
    """Return the value `[R]` of sorted rows under row weights float64[R,N]."""
    chosen = (rows.prediction > threshold).double()
    values = []
    for inside, arm in ((chosen, rows.treated), (1 - chosen, rows.control)):
        columns = torch.stack([inside, inside * arm, inside * arm * rows.outcome], 1)
        share, weighted, outcome = (weight @ columns).unbind(1)
        values.append(torch.where(share > 0, share * outcome / weighted, 0.0))
    return (values[0] + values[1]) / weight.sum(1)


def uplift_policy_value(
    prediction: Tensor,
    outcome: Tensor,
    treatment: Tensor,
    propensity: Tensor | None = None,
    *,
    threshold: float = 0.0,
    clip: float = 0.01,
) -> Tensor:
    """Return the mean outcome of treating where the predicted effect is above `threshold`, a scalar.

    `V = P(a) E[Y | treated, a] + P(not a) E[Y | control, not a]`, `a`: the prediction is above the threshold; means
    weighted by inverse propensity, in the outcome's unit. Equal predictions are treated alike. nan where some are to be
    treated of whom nobody was, or the reverse.

    Args:
        prediction: `[N]`, predicted effects.
        outcome: `[N]`, observed outcomes.
        treatment: `[N]`, 1 where treated, else 0.
        propensity: `[N]`, the probability of treatment 1; None: the same for all rows.
        threshold: treat where the prediction is above it.
        clip: propensities are clipped to [clip, 1 - clip].

    Assumption: treatment is random given the propensity. Source: Shalit, Johansson & Sontag (ICML 2017), section 5.

    >>> effect = torch.tensor([1.0, 1.0, -1.0])
    >>> uplift_policy_value(effect, torch.tensor([1.0, 0.0, 0.5]), torch.tensor([1, 0, 0]))
    tensor(0.8333, dtype=torch.float64)
    """
    rows = uplift_rows(prediction, outcome, treatment, propensity, clip)
    return uplift_policy_value_of(rows, torch.ones(1, len(prediction), dtype=torch.float64), threshold)[0]


class UpliftPolicyValue(AbstractUplift):
    """Mean outcome of treating where the predicted effect is above a threshold, and not elsewhere.

    Args:
        num_clusters: number of users (of rows, in userless logs).
        threshold: what treatment costs, in the outcome's unit.
        weights: weigh rows by inverse propensity.
        clip: propensities are clipped to [clip, 1 - clip].
    """

    under_affine = "shifts"
    weighs_first = False

    def __init__(self, num_clusters: int, *, threshold: float = 0.0, weights: bool = True, clip: Clip = 0.01) -> None:
        super().__init__(num_clusters, weights=weights, clip=clip)
        self.threshold = threshold

    def value(self, rows: UpliftRows, weight: Tensor) -> Tensor:
        return uplift_policy_value_of(rows, weight, self.threshold)
