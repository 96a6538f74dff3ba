"""The error of the outcome under the treatment received: what S-, T-learners, TARNet and EUEN are trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.objective.base import Claim, ClipUnit
from causalrec.estimators.objective.effects import AbstractArms
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.types import OUTCOME, Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class Factual(AbstractArms):
    """`mean of error(arms[T], y)`, over p(T | x) where it is `weighted`; predicts `mean[a] - mean[0]`, `[B,A]`.

    The head says which learner it is: `s_net`, `t_net`, `tarnet`, `euen`. Assumption: treatment is as random given the
    view's columns. It claims to be consistent where it is weighted: unweighted, each treatment's error is that of the
    rows that received it. Source: Kuenzel et al. (PNAS 2019); weighted, Hassanpour & Greiner (IJCAI 2019).
    """

    weighted: bool = False
    clip_unit: ClassVar[ClipUnit] = "probability"
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.01

    @property
    def reads_propensities(self) -> bool:
        return self.weighted

    @property
    def claimed(self) -> frozenset[Claim]:
        return frozenset({"consistent"}) if self.weighted else frozenset()

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        weight = batch.observed
        if self.weighted:
            weight = inverse_propensity(batch.observed, batch.propensity, self.clip)
        return {"outcome": Term(self.error(batch, outputs) * weight, OUTCOME, normaliser=weight)}
