"""Clicks corrected for their position (Joachims et al., WSDM 2017), pointwise as in Saito et al. (WSDM 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import AbstractObjective, Claim, ClipUnit
from causalrec.estimators.objective.rel_mf import unbiased_relevance
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import OUTCOME, Batch, Feedback, Link, Outputs, PropensityKind, Term


def debiased_click(
    relevant: Tensor, irrelevant: Tensor, click: Tensor, examined: Tensor, *, clip: float = 0.0
) -> Tensor:
    """Return `(c / theta_k) d1 + (1 - c / theta_k) d0`, `[B]`; its mean over shown rows estimates their relevance risk.

    Assumption: the position-based model, a click is examination times relevance and examination depends on the slot
    alone; unbiased with the true theta and `clip=0`, however items were placed. Source: Joachims et al. (WSDM 2017,
    section 4), pointwise as in Saito et al. (WSDM 2020, eq. 9).

    Args:
        relevant: `[B]`, d1: the error if the item were relevant.
        irrelevant: `[B]`, d0: the error if it were not.
        click: `[B]`, c in {0, 1}.
        examined: `[B]`, theta_k: the probability that slot k is examined.
        clip: the least theta divided by.

    >>> d1, d0, c = torch.tensor([1.0, 1.0]), torch.tensor([3.0, 3.0]), torch.tensor([1.0, 0.0])
    >>> debiased_click(d1, d0, c, torch.tensor([0.5, 0.5]))
    tensor([-1.,  3.])
    """
    return unbiased_relevance(relevant, irrelevant, click, examined, clip=clip)


@dataclass(frozen=True, kw_only=True)
class PositionIPS(AbstractObjective):
    """Learns from shown rows what would be clicked in the slot that is always examined.

    The propensity is that of *examination* (`propensity=position`), relative to the best slot. Which items are shown is
    taken as it is: only their place is corrected for. `clip`: least theta. A click weighs more than one where slots are
    seldom examined, which leaves the loss without a lower bound: weight decay must hold it. Outcomes must be clicks.
    """

    reads_row_propensity: ClassVar[bool] = True
    feedback_types: ClassVar[frozenset[Feedback]] = frozenset({"exposure_logged"})
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    propensity_kinds: ClassVar[frozenset[PropensityKind]] = frozenset({"examination"})
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    clip_unit: ClassVar[ClipUnit] = "probability"
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.01

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        raw = outputs[OUTCOME]
        d1 = pointwise_error(raw, torch.ones_like(raw), outputs.link)
        d0 = pointwise_error(raw, torch.zeros_like(raw), outputs.link)
        click = batch.observed * batch.outcome
        value = batch.observed * debiased_click(d1, d0, click, batch.propensity, clip=self.clip)
        return {"outcome": Term(value, OUTCOME, normaliser=batch.observed)}
