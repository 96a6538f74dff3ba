"""ULBPR: rows that exposure turned against rows it did not, within a user (Sato et al., RecSys 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.uplift_classes import pairs_of_one_user, sum_by_row, uplift_label
from causalrec.types import OUTCOME, Batch, Estimand, Link, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class ULBPR(AbstractObjective):
    """`mean of q_i (1 - q_j) softplus(s_j - s_i)` over pairs of rows of one user within a batch; q is the chance that a
    row counts as positive, as for `ulrmf`.

    Pairs are all that a batch happens to hold, where the paper draws one of a class and one of another. It is judged by
    the score's logistic loss against q. It predicts the score, which ranks by effect and is none. Assumption: outcomes
    are 0 or 1. Biased by design: classes go by what was received. Source: section 3.2.
    """

    estimand: ClassVar[Estimand] = "effect"
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    max_treatments: ClassVar[int] = 1
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.2

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        score, q = outputs[OUTCOME], uplift_label(batch.outcome, batch.treatment, self.alpha)
        row, other = pairs_of_one_user(batch)
        chance = q[row] * (1 - q[other])
        loss = sum_by_row(chance * functional.softplus(score[other] - score[row]), row, score)
        return {"pairs": Term(loss, OUTCOME, normaliser=sum_by_row(chance, row, score) + 1e-9)}

    def score(self, outputs: Outputs) -> Tensor:
        return outputs[OUTCOME]

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        label = uplift_label(batch.outcome, batch.treatment, self.alpha)
        return functional.binary_cross_entropy_with_logits(outputs[OUTCOME], label, reduction="none")
