"""Inverse propensity scoring (Schnabel et al., ICML 2016, eq. 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.estimators.pointwise_error import dynamic_propensity, inverse_propensity, pointwise_error
from causalrec.types import OUTCOME, Batch, Link, Outputs, Term


def ips(error: Tensor, observed: Tensor, propensity: Tensor, *, clip: float = 0.0) -> Tensor:
    """Return `o * e / max(p, clip)`, `[B]`; its mean over all pairs estimates the mean error of all pairs.

    Assumption: exposure is independent of the outcome given what the propensity conditions on, and `p > 0`; unbiased
    with the true propensity and `clip=0`.

    Args:
        error: `[B]`, e.
        observed: `[B]`, o in {0, 1}.
        propensity: `[B]`, p in (0, 1].
        clip: the least propensity divided by.

    >>> import torch
    >>> ips(torch.tensor([2.0, 9.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]))
    tensor([4., 0.])
    """
    return error * inverse_propensity(observed, propensity, clip)


@dataclass(frozen=True, kw_only=True)
class IPS(AbstractObjective):
    """Weighs each seen row by what it stands for.

    Attributes:
        clip: the least number divided by, which trades variance for bias (0: none).
        dynamic: divides by `dynamic_propensity` (D-IPS; the paper: 0.1), which `clip` then bounds; biased by design.
    """

    reads_row_propensity: ClassVar[bool] = True
    links: ClassVar[frozenset[Link]] = ANY_LINK
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    dynamic: Annotated[float, Field(gt=0)] | None = None

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        propensity = dynamic_propensity(batch.propensity, self.dynamic)
        return {"outcome": Term(ips(error, batch.observed, propensity, clip=self.clip), OUTCOME)}
