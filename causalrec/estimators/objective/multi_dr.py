"""Multi-task DR with a learnt propensity (Zhang et al., WWW 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.learned_propensity import learned_doubly_robust
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Batch, Outputs, Role, Space, Term


@dataclass(frozen=True, kw_only=True)
class MultiDR(AbstractObjective):
    """DR-JL whose propensity network learns beside the two others and is never trained by the weights it gives.

    The paper shares embeddings between the tasks; here roles share no parameter.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, PROPENSITY)
    space: ClassVar[Space] = "all_pairs"
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased", "doubly_robust"})
    clip: Annotated[float, Field(ge=0)] = 0.1

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return learned_doubly_robust(batch, outputs, clip=self.clip)
