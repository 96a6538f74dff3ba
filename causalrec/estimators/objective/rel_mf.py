"""Relevance from positive-only feedback (Rel-MF; Saito et al., WSDM 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import POSITIVE, AbstractObjective, Claim, ClipUnit
from causalrec.estimators.pointwise_error import inverse_propensity, pointwise_error
from causalrec.types import OUTCOME, Batch, Feedback, Link, Outputs, PropensityKind, Space, Term


def unbiased_relevance(
    relevant: Tensor, irrelevant: Tensor, positive: Tensor, propensity: Tensor, *, clip: float = 0.0
) -> Tensor:
    """Return `(y / theta) d1 + (1 - y / theta) d0`, `[B]`; its mean over all pairs estimates the mean relevance risk.

    Assumption: a pair is positive where it is exposed and relevant, the two independent given the pair; unbiased with
    the true theta and `clip=0`. A single value may be negative. Source: Saito et al. (WSDM 2020, eq. 9).

    Args:
        relevant: `[B]`, d1: the error if the pair were relevant.
        irrelevant: `[B]`, d0: the error if it were not.
        positive: `[B]`, y in {0, 1}.
        propensity: `[B]`, theta: the probability of exposure, read where positive.
        clip: the least theta divided by.

    >>> d1, d0, y = torch.tensor([1.0, 1.0]), torch.tensor([3.0, 3.0]), torch.tensor([1.0, 0.0])
    >>> unbiased_relevance(d1, d0, y, torch.tensor([0.5, 0.5]))
    tensor([-1.,  3.])
    """
    debiased = inverse_propensity(positive, propensity, clip)
    return debiased * relevant + (1 - debiased) * irrelevant


@dataclass(frozen=True, kw_only=True)
class RelMF(AbstractObjective):
    """Takes a pair without a row for irrelevant only as far as it was likely to be seen.

    The propensity is that of *exposure* (`propensity=relative_popularity`), which a positive-only log does not show; a
    propensity fitted to the log's rows is that of a positive. `clip`: least theta, against variance (the paper tunes
    it). A positive weighs more than one, which leaves the loss without a lower bound on single pairs: weight decay must
    hold it. Outcomes must be probabilities.
    """

    reads_row_propensity: ClassVar[bool] = True
    space: ClassVar[Space] = "all_pairs"
    feedback_types: ClassVar[frozenset[Feedback]] = POSITIVE
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    propensity_kinds: ClassVar[frozenset[PropensityKind]] = frozenset({"relative exposure", "logged"})
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    clip_unit: ClassVar[ClipUnit] = "probability"
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.01

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        raw = outputs[OUTCOME]
        d1 = pointwise_error(raw, torch.ones_like(raw), outputs.link)
        d0 = pointwise_error(raw, torch.zeros_like(raw), outputs.link)
        value = unbiased_relevance(d1, d0, batch.observed, batch.propensity, clip=self.clip)
        return {"outcome": Term(value, OUTCOME)}
