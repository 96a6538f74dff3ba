"""DLCE: an inverse propensity estimate of the effect, ranked pairwise (Sato et al., RecSys 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from causalrec.estimators.objective.base import AbstractObjective, Claim, ClipUnit
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.estimators.uplift_classes import pairs_of_one_user, sum_by_row
from causalrec.types import OUTCOME, Batch, Estimand, Link, Outputs, PropensityKind, Term, Truth


@dataclass(frozen=True, kw_only=True)
class DLCE(AbstractObjective):
    """`mean over j of y_i / max(p_i, clip) softplus(-z_i (s_i - s_j))`, z = 1 of an exposed row, -1 of another, j the
    rows of i's user within a batch: what was chosen under exposure goes up, what was chosen without it goes down.

    p is the probability of the treatment received; `clip` caps its inverse. It is the logistic upper bound of the
    estimated effect on rankings, whose pairs the paper draws among all items. It is judged by the same bound of the
    score against 0. It predicts the score, which ranks by effect and is none. Assumption: treatment is random given the
    view's columns, and p is right.
    """

    reads_row_propensity: ClassVar[bool] = True
    estimand: ClassVar[Estimand] = "effect"
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    propensity_kinds: ClassVar[frozenset[PropensityKind]] = frozenset({"treatment", "logged"})
    max_treatments: ClassVar[int] = 1
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    clip_unit: ClassVar[ClipUnit] = "probability"
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.3

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        loss, has_others = _mean_over_others(batch, outputs[OUTCOME], _sign(batch))
        return {"bound": Term(self._weight(batch) * loss, OUTCOME, normaliser=has_others)}

    def ideal(self, batch: Batch, outputs: Outputs, truth: Truth) -> Tensor:
        """Return the bound of a row of which both outcomes are known, `[B]`."""
        up, down = (_mean_over_others(batch, outputs[OUTCOME], torch.full_like(truth.mean, s))[0] for s in (1, -1))
        return truth.arms[..., 1] * up + truth.arms[..., 0] * down

    def score(self, outputs: Outputs) -> Tensor:
        return outputs[OUTCOME]

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        return self._weight(batch) * functional.softplus(-_sign(batch) * outputs[OUTCOME])

    def _weight(self, batch: Batch) -> Tensor:
        return batch.outcome * inverse_propensity(batch.observed, batch.propensity, self.clip)


def _mean_over_others(batch: Batch, score: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of `softplus(-sign_i (s_i - s_j))` over rows j of i's user, `[B]`, and whether there are any."""
    row, other = pairs_of_one_user(batch)
    loss = functional.softplus(-sign[row] * (score[row] - score[other]))
    count = sum_by_row(torch.ones_like(loss), row, score)
    return sum_by_row(loss, row, score) / count.clamp_min(1), (count > 0).to(score.dtype)


def _sign(batch: Batch) -> Tensor:
    return 2 * (batch.treatment > 0).to(batch.outcome.dtype) - 1
