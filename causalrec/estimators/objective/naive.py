"""The naive objective: the mean error of the observed rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import OUTCOME, Batch, Link, Outputs, Term


def naive(error: Tensor, observed: Tensor) -> Tensor:
    """Return `o * e`, `[B]`; divided by the sum of `o` it is the mean error of observed rows.

    Assumption: outcomes are missing completely at random, else it estimates the error under the logging policy.
    Source: Schnabel et al. (ICML 2016, eq. 3).

    >>> import torch
    >>> naive(torch.tensor([2.0, 9.0]), torch.tensor([1.0, 0.0]))
    tensor([2., 0.])
    """
    return observed * error


@dataclass(frozen=True, kw_only=True)
class Naive(AbstractObjective):
    """Trains on what was seen, as if it had been drawn at random: biased where exposure goes with the outcome."""

    links: ClassVar[frozenset[Link]] = ANY_LINK

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        return {"outcome": Term(naive(error, batch.observed), OUTCOME, normaliser=batch.observed)}
