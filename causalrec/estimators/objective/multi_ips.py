"""Multi-task IPS with a learnt propensity (Zhang et al., WWW 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.learned_propensity import exposure_term, learned_propensity
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.estimators.objective.ips import ips
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import OUTCOME, PROPENSITY, Batch, Outputs, Role, Space, Term


@dataclass(frozen=True, kw_only=True)
class MultiIPS(AbstractObjective):
    """IPS whose propensity network learns beside the outcome network and is never trained by the weights it gives.

    The paper shares embeddings between the two; here roles share no parameter.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, PROPENSITY)
    space: ClassVar[Space] = "all_pairs"
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    clip: Annotated[float, Field(ge=0)] = 0.1

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        value = ips(error, batch.observed, learned_propensity(outputs), clip=self.clip)
        return {"outcome": Term(value, OUTCOME), "exposure": exposure_term(batch, outputs)}
