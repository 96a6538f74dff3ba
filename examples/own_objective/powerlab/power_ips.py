"""An objective of an outside package: inverse propensities to a power between 0 (naive) and 1 (IPS)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from causalrec.estimators.functional import ips
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import OUTCOME, Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class PowerIPS(AbstractObjective):
    """Divides by `propensity ** power`: less variance than IPS, more bias.

    Attributes:
        power: 0 gives the naive mean, 1 that of IPS.
        clip: least propensity, as a multiple of the log's density.
    """

    power: Annotated[float, Field(ge=0, le=1)] = 0.5
    clip: float = 0.1

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        weight = batch.propensity.clamp_min(self.clip) ** self.power
        return {"outcome": Term(ips(error, batch.observed, weight), OUTCOME, normaliser=batch.observed / weight)}
