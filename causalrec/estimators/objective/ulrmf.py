"""ULRMF: an item is to be ranked high where exposure made the user choose it (Sato et al., RecSys 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.uplift_classes import uplift_label
from causalrec.types import OUTCOME, Batch, Estimand, Link, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class ULRMF(AbstractObjective):
    """Logistic loss of a score against classes of rows: exposed and chosen is positive, neither is with probability
    `alpha`, whose expectation is taken; the others are negative.

    It predicts the score, which ranks by effect and is none. Rows count as often as they are logged; the paper draws
    classes, and alpha. Assumption: outcomes are 0 or 1. Biased by design: classes go by what was received. Source:
    section 3.2.
    """

    estimand: ClassVar[Estimand] = "effect"
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    max_treatments: ClassVar[int] = 1
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.4

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        seen = batch.observed
        return {"score": Term(self.error(batch, outputs) * seen, OUTCOME, normaliser=seen)}

    def score(self, outputs: Outputs) -> Tensor:
        return outputs[OUTCOME]

    def error(self, batch: Batch, outputs: Outputs) -> Tensor:
        label = uplift_label(batch.outcome, batch.treatment, self.alpha)
        return functional.binary_cross_entropy_with_logits(outputs[OUTCOME], label, reduction="none")
