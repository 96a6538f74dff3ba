"""DR with balanced propensities (Li et al., ICML 2023, "Propensity matters")."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.learned_propensity import balance_term, entire_space_ideal, joint_terms, learned_doubly_robust
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Batch, Link, Outputs, Role, Space, Term, Truth


@dataclass(frozen=True, kw_only=True)
class DRV2(AbstractObjective):
    """ESCM2-DR whose propensity must also balance the predicted outcome between exposed and other pairs.

    Defaults: the authors' for Coat. Outcomes must be probabilities.

    Attributes:
        clip: the least propensity divided by.
        joint: weight of the entire-space error of "exposed and positive".
        counterfactual: weight of the DR term.
        balance: weight of the squared mean of `(o/p - (1-o)/(1-p)) * r_hat`, which trains the propensity.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, PROPENSITY)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased", "doubly_robust"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    joint: Annotated[float, Field(ge=0)] = 1.0
    counterfactual: Annotated[float, Field(ge=0)] = 2.0
    balance: Annotated[float, Field(ge=0)] = 0.1

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        risk = learned_doubly_robust(batch, outputs, clip=self.clip, weight=self.counterfactual)
        balance = balance_term(batch, outputs, self.balance, self.clip)
        return {**risk, "balance": balance, **joint_terms(batch, outputs, self.joint)}

    def ideal(self, batch: Batch, outputs: Outputs, truth: Truth) -> Tensor:
        return entire_space_ideal(outputs, truth, counterfactual=self.counterfactual, joint=self.joint)
