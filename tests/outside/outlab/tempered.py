"""An objective: errors weighed by a power of the inverse propensity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import inverse_propensity, pointwise_error
from causalrec.types import OUTCOME, Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class Tempered(AbstractObjective):
    """`o * e / p^power`: 0 is naive, 1 is IPS."""

    power: Annotated[float, Field(ge=0, le=1)] = 0.5
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.01

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        weight = inverse_propensity(batch.observed, batch.propensity, self.clip) ** self.power
        return {"outcome": Term(error * weight * batch.observed, OUTCOME)}
