"""DLCE: an inverse propensity estimate of the effect, ranked pairwise (Sato et al., RecSys 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from causalrec.estimators.objective.base import AbstractObjective, ClipUnit
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.estimators.uplift_classes import pairs_of_one_user, sum_by_row
from causalrec.types import OUTCOME, Batch, Estimand, Link, Outputs, PropensityKind, Term


@dataclass(frozen=True, kw_only=True)
class DLCE(AbstractObjective):
    """`mean over j of y_i / max(p_i, clip) softplus(-z_i (s_i - s_j))`, z = 1 of an exposed row, -1 of another, j the
    rows of i's user within a batch: what was chosen under exposure goes up, what was chosen without it goes down.

    p is the probability of the treatment received; `clip` caps its inverse. It is the logistic upper bound of the
    estimated effect on rankings, whose pairs the paper draws among all items. It is judged by the same bound of the
    score against 0. It predicts the score, which ranks by effect and is none. Assumption: treatment is random given the
    view's columns, and p is right.
    """

    estimand: ClassVar[Estimand] = "effect"
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    propensity_kinds: ClassVar[frozenset[PropensityKind]] = frozenset({"treatment", "logged"})
    max_treatments: ClassVar[int] = 1
    clip_unit: ClassVar[ClipUnit] = "probability"
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.3

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        score, (row, other) = outputs[OUTCOME], pairs_of_one_user(batch)
        loss = functional.softplus(-_sign(batch)[row] * (score[row] - score[other]))
        each = sum_by_row(torch.ones_like(loss), row, score)
        bound = self._weight(batch) * sum_by_row(loss, row, score) / each.clamp_min(1)
        return {"bound": Term(bound, OUTCOME, normaliser=(each > 0).to(score.dtype))}

    def score(self, outputs: Outputs) -> Tensor:
        return outputs[OUTCOME]

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        return self._weight(batch) * functional.softplus(-_sign(batch) * outputs[OUTCOME])

    def _weight(self, batch: Batch) -> Tensor:
        return batch.outcome * inverse_propensity(batch.observed, batch.propensity, self.clip)


def _sign(batch: Batch) -> Tensor:
    return 2 * (batch.treatment > 0).to(batch.outcome.dtype) - 1
