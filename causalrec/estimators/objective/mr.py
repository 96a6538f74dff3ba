"""Multiple robust learning (Li, Dai, Li, Lyu, Dong, Zhou & Wu, AAAI 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.learned_propensity import exposure_term, learned_propensity
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.estimators.pointwise_error import pointwise_error, soft_label
from causalrec.estimators.reduction import batch_sum
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Batch, Outputs, Role, Space, Term, role_number

PROPENSITIES = (role_number(PROPENSITY, 0), role_number(PROPENSITY, 1))
IMPUTATIONS = (role_number(IMPUTATION, 0), role_number(IMPUTATION, 1))


@dataclass(frozen=True, kw_only=True)
class MR(AbstractObjective):
    """Regresses observed errors on two inverse propensities and two imputed errors; the loss is the mean of the fit.

    With `u = [1/p_1, 1/p_2, e_1, e_2]` the loss is `mean_D u' eta`, `eta = (mean_O u u' + s I)^-1 mean_O u e` of each
    batch: consistent where one of the four models is true, or a linear combination of the inverse propensities
    or of the imputed errors. Its gradient is exact, also that of the imputed errors in the outcome network. The second
    model of each kind reads by the learner's second encoder (the paper: MF and NCF). Imputations learn by
    `(e - e_k)^2` over observed rows, which no propensity weighs, so that one of them can be right where both
    propensities are wrong. Outcomes must be one number: a head of classes gives a propensity none.

    Attributes:
        clip: the least propensity divided by.
        ridge: s, where inverse propensities have mean square 1 over O; the paper adds 1e-6 to sums that are singular,
            here it is always added.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, *PROPENSITIES, *IMPUTATIONS)
    second_encoder_roles: ClassVar[tuple[Role, ...]] = (PROPENSITIES[1], IMPUTATIONS[1])
    space: ClassVar[Space] = "all_pairs"
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent", "doubly_robust"})
    reads_whole_batch: ClassVar[bool] = True
    clip: Annotated[float, Field(ge=0)] = 0.1
    ridge: Annotated[float, Field(gt=0)] = 1e-6

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        raw, link = outputs[OUTCOME], outputs.link
        error = pointwise_error(raw, batch.outcome, link)
        labels = {role: soft_label(outputs[role], link) for role in IMPUTATIONS}
        chances = [learned_propensity(outputs, role).clamp_min(self.clip) for role in PROPENSITIES]
        imputed = torch.stack([pointwise_error(raw, label.detach(), link) for label in labels.values()], -2)
        candidates = torch.cat([_standardise(1 / torch.stack(chances, -2), batch), imputed], -2)
        terms = {"outcome": Term(multiple_robust(error, candidates, batch, self.ridge), OUTCOME)}
        terms |= {str(role): exposure_term(batch, outputs, role) for role in PROPENSITIES}
        for role, label in labels.items():
            miss = error.detach() - pointwise_error(raw.detach(), label, link)
            terms[str(role)] = Term(batch.observed * miss.square(), role, normaliser=batch.observed)
        return terms


def _standardise(inverses: Tensor, batch: Batch) -> Tensor:
    """Return inverse propensities `[J,B]`, each over its root mean square of observed rows: the fit knows no scale."""
    seen = (batch.weight * batch.observed)[..., None, :]
    mean_square = batch_sum(seen * inverses.square()) / batch_sum(seen).clamp_min(1e-12)  # a batch may have no row
    return inverses / mean_square.clamp_min(1e-12).sqrt()


def multiple_robust(error: Tensor, candidates: Tensor, batch: Batch, ridge: Tensor | float) -> Tensor:
    """Return rows `[B]` whose weighted mean is that of `u' eta`, and has its gradient though eta has none.

    `u' eta + o (u' lam) (e - u' eta)` less a constant of the ridge, with `lam = (sum_O u u' + s |O| I)^-1 sum_D u`:
    the loss is stationary in eta and lam, so that both may be held fixed, and `o u' lam` stands where a doubly robust
    loss has `o / p` (`o / p_j` as rows grow, where p_j is true). A gradient through e alone, with u held fixed, is
    right under true propensities only. Solved in float64: in training two models of a kind are almost alike.

    Args:
        error: `[B]`, e.
        candidates: `[K,B]`, u, which may carry a gradient.
        batch: of all pairs; read are observed and weight.
        ridge: s, of stacked fits `[R,1]`.

    >>> ones = torch.ones(2)
    >>> batch = Batch(ones, ones, ones, torch.tensor([1.0, 0.0]), ones, ones, ones[:, None])
    >>> multiple_robust(torch.tensor([3.0, 0.0]), torch.tensor([[2.0, 4.0]]), batch, 1e-9)  # eta 1.5, lam 1.5
    tensor([3., 6.])
    """
    u, e, weight = candidates.double(), error.double(), batch.weight.double()
    seen = weight * batch.observed
    outer = _over_ranks((seen[..., None, :] * u) @ u.transpose(-1, -2))
    sums = _over_ranks(u @ torch.stack([seen * e, weight], -1))
    added = torch.as_tensor(ridge).to(outer) * batch_sum(seen).clamp_min(1.0)
    damped = outer + added[..., None] * torch.eye(u.shape[-2]).to(outer)
    eta, lam = torch.linalg.solve(damped, sums).split(1, -1)
    fit, clever = (u * eta).sum(-2), (u * lam).sum(-2)
    constant = added * (eta * lam).sum(-2) / batch_sum(weight)
    value: Tensor = fit + batch.observed * clever * (e - fit) - constant
    return value.to(error.dtype)


def _over_ranks(sums: Tensor) -> Tensor:
    """Add sums of the rows of a rank, `[...]`, over all ranks, without gradient."""
    return batch_sum(sums[..., None])[..., 0]
