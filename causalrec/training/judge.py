"""What early stopping and selection read: errors of biased validation rows, and what each weighs."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from causalrec.estimators.error import inverse_propensity, pointwise_error
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.types import OUTCOME, Batch, Link, Outputs

Criterion = Literal["mnar_ips", "mnar_naive"]


def judged_errors(
    objective: AbstractObjective, outputs: Outputs, batch: Batch, link: Link, criterion: Criterion, clip: float
) -> tuple[Tensor, Tensor]:
    """Return errors and weights `[...,B]`; the criterion is `sum(weight * error) / sum(weight)`.

    Pointwise errors, or how far a positive stands behind its rival; `mnar_ips` weighs by inverse propensities clipped
    at `clip` whatever the objective does, so that all rows of a table are chosen alike.
    """
    weight = batch.observed
    if batch.rival is not None and outputs.rivals is not None:
        weight = weight * batch.weight
        error = functional.softplus(objective.predict(outputs.rivals) - objective.predict(outputs))
    else:
        error = pointwise_error(outputs[OUTCOME], batch.outcome, link)
    if criterion == "mnar_ips":
        weight = weight * inverse_propensity(batch.observed, batch.propensity, clip)
    return error, weight
