"""Entire space counterfactual multi-task model, IPS (Wang et al., SIGIR 2022)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.learned_propensity import entire_space_ideal, exposure_term, joint_terms, learned_propensity
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.estimators.objective.ips import ips
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import OUTCOME, PROPENSITY, Batch, Link, Outputs, Role, Space, Term, Truth


@dataclass(frozen=True, kw_only=True)
class ESCM2IPS(AbstractObjective):
    """IPS with a learnt propensity, regularised by the error of the product of both networks over the entire space.

    `joint`: weight of the entire-space error of "exposed and positive"; `counterfactual`: weight of the IPS term (the
    paper tunes both). Outcomes must be probabilities.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, PROPENSITY)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    joint: Annotated[float, Field(ge=0)] = 1.0
    counterfactual: Annotated[float, Field(ge=0)] = 1.0

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        value = self.counterfactual * ips(error, batch.observed, learned_propensity(outputs), clip=self.clip)
        joint = joint_terms(batch, outputs, self.joint)
        return {"outcome": Term(value, OUTCOME), "exposure": exposure_term(batch, outputs), **joint}

    def ideal(self, batch: Batch, outputs: Outputs, truth: Truth) -> Tensor:
        return entire_space_ideal(outputs, truth, counterfactual=self.counterfactual, joint=self.joint)
