"""Doubly robust whose imputed errors are moved by a scalar that is learnt (SuperDR, NeurIPS 2025)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.doubly_robust import ImputationErrors, doubly_robust
from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role, Space, Term

FLUCTUATION = Role("fluctuation")  # a free scalar, epsilon


@dataclass(frozen=True, kw_only=True)
class SuperDR(AbstractObjective):
    """DR-JL on imputed errors `e~ = e_hat + epsilon (o - p)`, with one scalar epsilon, from 0, trained beside them.

    Imputation and epsilon learn by `o (e - e~)^2 / p`, the outcome by `e~ + o (e - e~) / p`. At its minimum in epsilon
    the observed empirical covariance, `sum over O of (e - e~) (1 - p) / p`, is 0. As e~ holds o, the outcome's value is
    biased by `-epsilon mean(1 - p)`; its gradient is not, for the bias does not depend on the prediction. `tdr_jl`
    moves by `1 / p - 1`, in closed form. With epsilon held at 0 it is `dr_jl`. It reads the propensity of every pair,
    which the clip bounds from below wherever it stands. Source: the paper's equations were not at hand in full; these
    are derived from the gradient and the covariance that it states.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, FLUCTUATION)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = ANY_LINK
    reads_pair_propensity: ClassVar[bool] = True
    claims: ClassVar[frozenset[Claim]] = frozenset({"gradient_only", "doubly_robust"})
    clip: Annotated[float, Field(ge=0)] = 0.1

    def free_parameters(self, width: int) -> Mapping[Role, Mapping[str, Tensor]]:
        return {FLUCTUATION: {"epsilon": torch.zeros(())}}

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        errors, propensity = ImputationErrors.from_outputs(batch, outputs), batch.propensity.clamp_min(self.clip)
        weight = inverse_propensity(batch.observed, propensity, 0.0)
        shift = outputs.parameters[FLUCTUATION]["epsilon"] * (batch.observed - propensity)
        moved = errors.shift(shift.detach())
        miss = errors.error.detach() - errors.imputed.detach() - shift
        return {
            "outcome": Term(doubly_robust(errors.error, moved.imputed, batch.observed, propensity), OUTCOME),
            "imputation": moved.imputation_term(weight),
            "fluctuation": Term(weight * miss.square(), FLUCTUATION),
        }
