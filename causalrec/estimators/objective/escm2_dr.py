"""Entire space counterfactual multi-task model, DR (Wang et al., SIGIR 2022)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.learned_propensity import entire_space_ideal, joint_terms, learned_doubly_robust
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Batch, Link, Outputs, Role, Space, Term, Truth


@dataclass(frozen=True, kw_only=True)
class ESCM2DR(AbstractObjective):
    """DR with a learnt propensity, regularised by the error of the product of both networks over the entire space.

    `joint`: weight of the entire-space error of "exposed and positive"; `counterfactual`: weight of the DR term (the
    paper tunes both). Outcomes must be probabilities.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, PROPENSITY)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased", "doubly_robust"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    joint: Annotated[float, Field(ge=0)] = 1.0
    counterfactual: Annotated[float, Field(ge=0)] = 1.0

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        risk = learned_doubly_robust(batch, outputs, clip=self.clip, weight=self.counterfactual)
        return {**risk, **joint_terms(batch, outputs, self.joint)}

    def ideal(self, batch: Batch, outputs: Outputs, truth: Truth) -> Tensor:
        return entire_space_ideal(outputs, truth, counterfactual=self.counterfactual, joint=self.joint)
