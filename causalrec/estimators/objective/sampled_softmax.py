"""Sampled softmax: each chosen item against many, with the correction for how these were drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from causalrec.errors import RequestError
from causalrec.estimators.objective.base import POSITIVE, AbstractObjective, ClipUnit
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.types import CANDIDATES, OUTCOME, Batch, Feedback, Outputs, Space, Term


def sampled_softmax(score: Tensor, candidates: Tensor, counts: Tensor, is_own: Tensor) -> Tensor:
    """Return `log(exp(s_i) + sum_j exp(s_j) / c_j) - s_i`, `[B]` in nats, over candidates j that are not i.

    With c_j the expected number of times that j is among the candidates, the sum's expectation is that over all items:
    the value comes to the full softmax's, `-log p(i | u)`, with a bias of order 1/m in the number of candidates m. In
    the form of the logQ correction: `s_j - log(m q_j)` beside the row's own `s_i`, which is there once for certain.
    (Yi et al. take log q off s_i too and leave i among the candidates: the same for many of them.) Source: Bengio &
    Senecal (IEEE Transactions on Neural Networks 2008, section III); Yi et al. (RecSys 2019, eq. 4).

    Args:
        score: `[B]`, s_i of each row's own item.
        candidates: `[B,C]`, s_j.
        counts: `[C]`, c_j; ones: no correction.
        is_own: bool `[B,C]`, where a candidate is the row's own item (an accidental hit).

    >>> own = torch.zeros(1, 2, dtype=torch.bool)
    >>> sampled_softmax(torch.zeros(1), torch.zeros(1, 2), torch.tensor([0.5, 1.0]), own).exp()
    tensor([4.])
    """
    logits = (candidates - counts.log()[..., None, :]).masked_fill(is_own, -torch.inf)
    return torch.cat([score[..., None], logits], -1).logsumexp(-1) - score


@dataclass(frozen=True, kw_only=True)
class SampledSoftmax(AbstractObjective):
    """`mean of -log p(i | u)` over logged pairs, p the softmax over the catalogue, from the candidates of a batch.

    The sampler says which: `in_batch` (also of `balanced`), `shared_negatives`, `all_items`. Of accidental hits the
    row's own item is left out; other items of the user stay, as the full softmax has them in its sum. A network must be
    two towers met by a product (`head=dot`). Its score ranks, and is no probability. Biased by design: what was never
    shown counts as not chosen.

    Attributes:
        correction: negatives are weighed by the inverse of how often they are drawn, so that the loss is the full
            softmax's; without it, negatives drawn by popularity push popular items down, to a score of `s - log q`.
        weighting: `ips` weighs each row by 1/p of its pair, over the sum of these: popularity counts once. Together
            with uncorrected negatives it would count twice, which is refused.
        clip: the least propensity divided by.
    """

    space: ClassVar[Space] = CANDIDATES
    feedback_types: ClassVar[frozenset[Feedback]] = POSITIVE
    reads_whole_batch: ClassVar[bool] = True
    clip_unit: ClassVar[ClipUnit] = "probability"
    correction: bool = True
    weighting: Literal["none", "ips"] = "none"
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.01

    def __post_init__(self) -> None:
        if self.weighting == "ips" and not self.correction:
            raise RequestError(
                "objective.correction=false with objective.weighting=ips: counts popularity twice, by the negatives "
                "drawn and by 1/p; set objective.correction=true, or objective.weighting=none"
            )

    @property
    def reads_propensities(self) -> bool:
        return self.weighting == "ips"

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        if batch.candidates is None or batch.candidate_counts is None:
            raise ValueError("this batch has no candidates: the objective's space must be 'candidates'")
        counts = batch.candidate_counts if self.correction else torch.ones_like(batch.candidate_counts)
        is_own = batch.candidates[..., None, :] == batch.item[..., None]
        value = sampled_softmax(outputs[OUTCOME], outputs.candidates[OUTCOME], counts, is_own)
        if self.weighting == "none":
            return {"outcome": Term(value, OUTCOME)}
        weight = inverse_propensity(batch.observed, batch.propensity, self.clip)
        return {"outcome": Term(value * weight, OUTCOME, normaliser=weight)}

    def score(self, outputs: Outputs) -> Tensor:
        return outputs[OUTCOME]
