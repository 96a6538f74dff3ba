"""Self-normalised inverse propensity scoring (Swaminathan & Joachims, NeurIPS 2015; Schnabel et al. 2016, eq. 7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.estimators.pointwise_error import dynamic_propensity, inverse_propensity, pointwise_error
from causalrec.types import OUTCOME, Batch, Link, Outputs, Term


def snips(error: Tensor, observed: Tensor, propensity: Tensor, *, clip: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the rows of numerator `o * e / p` and normaliser `o / p`, each `[B]`; the estimate is the ratio of sums.

    Consistent rather than unbiased, under the assumptions of `ips`; scaling all propensities leaves it unchanged.

    Args:
        error: `[B]`, e.
        observed: `[B]`, o in {0, 1}.
        propensity: `[B]`, p in (0, 1].
        clip: the least propensity divided by.

    >>> import torch
    >>> value, normaliser = snips(torch.tensor([2.0, 4.0]), torch.ones(2), torch.tensor([0.5, 0.25]))
    >>> round(float(value.sum() / normaliser.sum()), 4)
    3.3333
    """
    weight = inverse_propensity(observed, propensity, clip)
    return weight * error, weight


@dataclass(frozen=True, kw_only=True)
class SNIPS(AbstractObjective):
    """IPS divided by the sum of its weights in the batch.

    Attributes:
        clip: the least number divided by.
        dynamic: divides by `dynamic_propensity` (D-SNIPS; the paper: 0.1), which `clip` then bounds; biased by design.
    """

    reads_row_propensity: ClassVar[bool] = True
    links: ClassVar[frozenset[Link]] = ANY_LINK
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    dynamic: Annotated[float, Field(gt=0)] | None = None

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        propensity = dynamic_propensity(batch.propensity, self.dynamic)
        value, normaliser = snips(error, batch.observed, propensity, clip=self.clip)
        return {"outcome": Term(value, OUTCOME, normaliser=normaliser)}
