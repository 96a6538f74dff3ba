"""Multiple robust learning (Li, Dai, Li, Lyu, Dong, Zhou & Wu, AAAI 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.doubly_robust import ImputationErrors
from causalrec.estimators.learned_propensity import exposure_term, learned_propensity
from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.estimators.reduction import batch_sum
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Batch, Link, Outputs, Role, Space, Term, role_number

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
    propensities are wrong.

    Attributes:
        clip: the least propensity divided by.
        ridge: s, where inverse propensities have mean square 1 over O; the paper adds 1e-6 to sums that are singular,
            here it is always added.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, *PROPENSITIES, *IMPUTATIONS)
    second_encoder_roles: ClassVar[tuple[Role, ...]] = (PROPENSITIES[1], IMPUTATIONS[1])
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = ANY_LINK
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent", "doubly_robust"})
    reads_whole_batch: ClassVar[bool] = True
    clip: Annotated[float, Field(ge=0)] = 0.1
    ridge: Annotated[float, Field(gt=0)] = 1e-6

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        inverses = [_inverse(batch, learned_propensity(outputs, role), self.clip) for role in PROPENSITIES]
        errors = {role: ImputationErrors.from_outputs(batch, outputs, role) for role in IMPUTATIONS}
        error = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link)
        candidates = torch.stack([*inverses, *(each.imputed for each in errors.values())], -2)
        terms = {"outcome": Term(multiple_robust(error, candidates, batch, self.ridge), OUTCOME)}
        terms |= {str(role): exposure_term(batch, outputs, role) for role in PROPENSITIES}
        for role, each in errors.items():
            miss = batch.observed * (error.detach() - each.imputed_trainable).square()
            terms[str(role)] = Term(miss, role, normaliser=batch.observed)
        return terms


def _inverse(batch: Batch, propensity: Tensor, clip: float) -> Tensor:
    """Return `1 / max(p, clip)`, `[B]`, over its root mean square of observed rows: the fit knows no scale."""
    inverse, seen = 1 / propensity.clamp_min(clip), batch.weight * batch.observed
    mean_square = batch_sum(seen * inverse.square()) / batch_sum(seen).clamp_min(1e-12)  # a batch may have no row
    return inverse / mean_square.clamp_min(1e-12).sqrt()


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
    outer = batch_sum(seen[..., None, None, :] * u[..., :, None, :] * u[..., None, :, :])[..., 0]
    sums = torch.cat([batch_sum((seen * e)[..., None, :] * u), batch_sum(weight[..., None, :] * u)], -1)
    added = torch.as_tensor(ridge).to(outer) * batch_sum(seen).clamp_min(1.0)
    damped = outer + added[..., None] * torch.eye(u.shape[-2]).to(outer)
    eta, lam = torch.linalg.solve(damped, sums).split(1, -1)
    fit, clever = (u * eta).sum(-2), (u * lam).sum(-2)
    constant = added * (eta * lam).sum(-2) / batch_sum(weight)
    value: Tensor = fit + batch.observed * clever * (e - fit) - constant
    return value.to(error.dtype)
