"""What early stopping and selection read: errors of biased validation rows, and what each weighs."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.types import Batch, Outputs

CriterionWeighting = Literal["ips", "naive"]


def validation_errors(
    objective: AbstractObjective, outputs: Outputs, batch: Batch, criterion: CriterionWeighting, clip: float
) -> tuple[Tensor, Tensor]:
    """Return errors and weights `[...,B]`; the criterion is `sum(weight * error) / sum(weight)`.

    The objective's errors, or how far a positive stands behind a negative; `ips` weighs by inverse propensities
    clipped at `clip` whatever the objective does, so that all rows of a table are chosen alike; not errors of second
    stages, which have them in them (`error_is_weighted`).

    Args:
        objective: whose error is read.
        outputs: of the model, `[...,B]`.
        batch: validation rows.
        criterion: `ips` or `naive`.
        clip: least propensity that is divided by.
    """
    weight = batch.observed
    if batch.negative is not None and outputs.negatives is not None:
        weight = weight * batch.weight
        error = functional.softplus(objective.score(outputs.negatives) - objective.score(outputs))
    else:
        error = objective.error(batch, outputs)
    if criterion == "ips" and not objective.error_is_weighted:
        weight = weight * inverse_propensity(batch.observed, batch.propensity, clip)
    return error, weight


def confusion(raw: Tensor, label: Tensor, observed: Tensor) -> Tensor:
    """Return how many observed rows of each true class have which likeliest one, int64[C,C], from `raw[B,C]`.

    >>> confusion(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0.0, 1.0]), torch.ones(2)).tolist()
    [[1, 0], [1, 0]]
    """
    count = raw.shape[-1]
    cells = (label.long() * count + raw.argmax(-1))[observed > 0]
    return torch.bincount(cells, minlength=count * count).view(count, count)


def classification_report(confused: Tensor) -> dict[str, Any]:
    """Return `accuracy`, `macro_f1`, and by class precision, recall, F1 and support, from `confused[C,C]`.

    Rows count alike, whatever their propensity. What would be 0 / 0 is 0; `macro_f1` leaves out a class that is neither
    chosen nor true.

    >>> classification_report(torch.tensor([[1, 0], [1, 0]]))["accuracy"]
    0.5
    """
    counts = confused.double()
    hits, chosen, true = counts.diagonal(), counts.sum(0), counts.sum(1)
    precision, recall = hits / chosen.clamp_min(1), hits / true.clamp_min(1)
    f1 = 2 * hits / (chosen + true).clamp_min(1)
    columns = {"precision": precision, "recall": recall, "f1": f1, "support": true.long()}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return {
        "accuracy": float(hits.sum() / counts.sum().clamp_min(1)),
        "macro_f1": float(f1.sum() / (chosen + true > 0).sum().clamp_min(1)),
        "classes": [dict(zip(columns, row, strict=True)) for row in rows],
    }
