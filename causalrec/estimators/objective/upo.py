"""Uniform propensity optimisation: a propensity that no weight function finds miscalibrated (UPO, AAAI 2026)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from causalrec.errors import RequestError
from causalrec.estimators.learned_propensity import learned_doubly_robust
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.estimators.reduction import batch_sum, gather_batch
from causalrec.types import ADVERSARY, IMPUTATION, OUTCOME, PROPENSITY, Batch, Count, Outputs, Role, Space, Term

Binning = Literal["width", "mass"]


@dataclass(frozen=True, kw_only=True)
class UPO(AbstractObjective):
    """DR-JL by a propensity that is learnt on `cross-entropy + beta * max over w of (1/|D|) sum_m |sum_m w (o - p)|`.

    The inner sums run over bins of p. With w = 1 the second summand is the calibration error; with w a function of the
    pair it bounds the bias and the imbalance too (w = (e - e_hat) / p is the bias of the doubly robust estimate). The
    adversary gives `w = tanh(its output)`: the sum is homogeneous in w, so that an unbounded w has no maximum, and in
    the paper the weight decay alone holds it. A batch's bins stand for those of all pairs. The paper ascends w, then
    descends p; here every step moves all networks. `beta=0` is `multi_dr`. The paper searched .1 to 10 and saw little
    difference; its number of bins is not stated. Outcomes must be one number.

    Attributes:
        clip: the least propensity divided by.
        beta: weight of the adversarial summand.
        bins: M, how many bins of p there are.
        binning: of equal width between 0 and 1, or of equal mass of a batch's pairs. Where few pairs are exposed, all
            but one of the bins of equal width are empty.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, PROPENSITY, ADVERSARY)
    space: ClassVar[Space] = "all_pairs"
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased", "doubly_robust"})
    reads_whole_batch: ClassVar[bool] = True
    clip: Annotated[float, Field(ge=0)] = 0.1
    beta: Annotated[float, Field(ge=0)] = 1.0
    bins: Count = 10
    binning: Binning = "mass"

    def __post_init__(self) -> None:
        changed = [name for name in ("bins", "binning") if getattr(self, name) != getattr(UPO, name)]
        if changed and not isinstance(self.beta, Tensor) and self.beta == 0:
            raise RequestError(
                f"objective.{changed[0]}={getattr(self, changed[0])}: is not read where objective.beta=0 switches the "
                f"adversary off; leave it out, or set objective.beta"
            )

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        chance, weight = torch.sigmoid(outputs[PROPENSITY]), torch.tanh(outputs[ADVERSARY])
        held = chance.detach()
        membership = bin_membership(held, batch.weight, self.bins, self.binning)
        sign = bin_sign(weight.detach() * (batch.observed - held), batch.weight, membership)
        descended = sign * weight.detach() * (batch.observed - chance)
        return {
            **learned_doubly_robust(batch, outputs, clip=self.clip),
            "miscalibration": Term(self.beta * descended, PROPENSITY),
            "adversary": Term(-sign * weight * (batch.observed - held), ADVERSARY),
        }


def bin_membership(propensity: Tensor, weight: Tensor, bins: int, binning: Binning) -> Tensor:
    """Return which bin each row is in, `[M,B]` of 0 and 1.

    Args:
        propensity: `[B]`, p.
        weight: `[B]`, what a row stands for.
        bins: M.
        binning: `width`: M equal ranges of 0 to 1. `mass`: M ranges with the same sum of weights, rows of equal p
            together.

    >>> p, ones = torch.tensor([0.1, 0.2, 0.3, 0.9]), torch.ones(4)
    >>> bin_membership(p, ones, 2, "width").argmax(0), bin_membership(p, ones, 2, "mass").argmax(0)
    (tensor([0, 0, 0, 1]), tensor([0, 0, 1, 1]))
    """
    levels = torch.arange(1, bins, dtype=propensity.dtype, device=propensity.device) / bins
    edges = levels
    if binning == "mass":
        every, order = gather_batch(propensity).sort(-1)
        mass = gather_batch(weight).gather(-1, order).cumsum(-1)
        position = (mass[..., None, :] < levels[:, None] * mass[..., None, -1:] * (1 - 1e-6)).sum(-1)  # of rounding
        edges = every.gather(-1, position)
    index = (propensity[..., None, :] > edges[..., None]).sum(-2)
    return (index[..., None, :] == torch.arange(bins, device=index.device)[:, None]).to(propensity.dtype)


def bin_sign(value: Tensor, weight: Tensor, membership: Tensor) -> Tensor:
    """Return for each row the sign of its bin's sum of `weight * value`, `[B]`: so `|sum_m x| = sum over m of s * x`.

    Args:
        value: `[B]`, x.
        weight: `[B]`, what a row stands for.
        membership: `[M,B]`, as `bin_membership` has it.

    >>> bin_sign(torch.tensor([1.0, -3.0, 2.0]), torch.ones(3), torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    tensor([-1., -1.,  1.])
    """
    sums = batch_sum(membership * (weight * value)[..., None, :])
    return (sums.sign() * membership).sum(-2)
