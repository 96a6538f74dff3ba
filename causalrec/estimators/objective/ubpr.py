"""Unbiased pairwise ranking of positive-only feedback (UBPR; Saito, ICTIR 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import POSITIVE, AbstractObjective, ClipUnit
from causalrec.estimators.objective.bpr import bpr, negatives_of
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.types import ITEM_PAIRS, OUTCOME, Batch, Feedback, Outputs, PropensityKind, Space, Term


def unbiased_preference(
    error: Tensor, positive: tuple[Tensor, Tensor], propensity: tuple[Tensor, Tensor], *, clip: float = 0.0
) -> Tensor:
    """Return `(y_i / theta_i) (1 - y_j / theta_j) e_ij`, `[B]`: what a pair of items i, j of one user adds to the risk.

    Summed over all ordered pairs of items, its expectation is the sum of `g_i (1 - g_j) e_ij`, with g the chance of
    relevance. Assumption: a pair is positive where it is exposed and relevant, independent given the pair and over
    items; unbiased with the true theta and `clip=0`. Where j is positive the value is 0 or negative. Source: Saito
    (ICTIR 2020); the formula is from memory, its expectation is derived.

    Args:
        error: `[B]`, e_ij: how far i stands behind j.
        positive: y of i and of j, `[B]` in {0, 1} each.
        propensity: theta of i and of j, `[B]` each: the probability of exposure, read where positive.
        clip: the least theta divided by.

    >>> import torch
    >>> e, y = torch.ones(2), (torch.ones(2), torch.tensor([0.0, 1.0]))
    >>> unbiased_preference(e, y, (torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.25])))
    tensor([ 2., -6.])
    """
    first, other = (inverse_propensity(y, theta, clip) for y, theta in zip(positive, propensity, strict=True))
    return first * (1 - other) * error


@dataclass(frozen=True, kw_only=True)
class UBPR(AbstractObjective):
    """Ranks each positive above another item of any kind, as far as that was likely to be seen and still not chosen.

    BPR that takes neither a positive for one of many nor what was never shown for not chosen: each positive counts
    1/theta, and an item beside it that is positive too takes back what it is sure to be relevant. The propensity is
    that of exposure, as for `rel_mf`. Without `clip_negative` single pairs have no lower bound: weight decay must hold
    them. With theta = 1 it is `bpr` where the other item is not positive. Its score ranks, and is no probability.

    Attributes:
        clip: the least theta divided by (the paper tunes it).
        clip_negative: pairs of negative weight count 0, which spares variance and is biased by design; without, it is
            unbiased (we take it for the UBPR-nclip of later tables).
    """

    reads_row_propensity: ClassVar[bool] = True
    space: ClassVar[Space] = ITEM_PAIRS
    feedback_types: ClassVar[frozenset[Feedback]] = POSITIVE
    propensity_kinds: ClassVar[frozenset[PropensityKind]] = frozenset({"relative exposure", "logged"})
    clip_unit: ClassVar[ClipUnit] = "probability"
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.01
    clip_negative: bool = True

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        if batch.negative_observed is None or batch.negative_propensity is None:
            raise ValueError("this batch has no pairs of items: the objective's space must be 'item_pairs'")
        error = bpr(outputs[OUTCOME], negatives_of(outputs)[OUTCOME])
        positive = (batch.observed, batch.negative_observed)
        value = unbiased_preference(error, positive, (batch.propensity, batch.negative_propensity), clip=self.clip)
        # errors are above 0, so that the sign is the weight's
        return {"outcome": Term(value.clamp_min(0) if self.clip_negative else value, OUTCOME)}

    def score(self, outputs: Outputs) -> Tensor:
        return outputs[OUTCOME]
