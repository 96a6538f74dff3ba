"""Targeted doubly robust with joint learning: the TDR-JL of the paper that proposes TDR-CL (Li et al., ICLR 2023)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.doubly_robust import ImputationErrors, doubly_robust_terms
from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.estimators.reduction import batch_sum
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role, Space, Term


@dataclass(frozen=True, kw_only=True)
class TDRJL(AbstractObjective):
    """DR-JL on imputed errors moved by `epsilon * (1/p - 1)`, so that the weighted misses of observed rows cancel.

    The correction reads the propensity of every pair, so it needs a propensity model that tells unlogged pairs apart.
    `legacy_public_code`: the outcome loss of much public code, which is not doubly robust (`doubly_robust.py`).
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = ANY_LINK
    reads_pair_propensity: ClassVar[bool] = True
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent", "doubly_robust"})
    reads_whole_batch: ClassVar[bool] = True
    clip: Annotated[float, Field(ge=0)] = 0.1
    legacy_public_code: bool = False

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        errors = ImputationErrors.from_outputs(batch, outputs)
        weight = inverse_propensity(batch.observed, batch.propensity, self.clip)
        outcome = targeted_terms(errors, batch, clip=self.clip, legacy=self.legacy_public_code)
        return {**outcome, "imputation": errors.imputation_term(weight)}


def targeted_terms(errors: ImputationErrors, batch: Batch, *, clip: float, legacy: bool) -> Mapping[str, Term]:
    """Return the outcome model's terms on corrected imputed errors.

    Args:
        errors: of the outcome and the imputation model.
        batch: of all pairs.
        clip: the least propensity divided by.
        legacy: as in `doubly_robust_terms`.
    """
    rows = (batch.observed, batch.propensity)
    imputed = errors.imputed + targeting_correction(errors.error, errors.imputed, batch, clip)
    moved = Term(fluctuation(errors.error, errors.imputed, batch, clip), OUTCOME)
    return {**doubly_robust_terms(errors.error, imputed, *rows, clip=clip, legacy=legacy), "fluctuation": moved}


def targeting_correction(error: Tensor, imputed: Tensor, batch: Batch, clip: float) -> Tensor:
    """Return the correction `epsilon * h`, `[B]`, with `h = 1/p - 1` and `epsilon = sum o (e - e_hat) h / sum o h^2`.

    Both sums run over observed rows; afterwards `sum o (e - e_hat - epsilon h) h = 0`. It carries no gradient.

    Args:
        error: `[B]`, e.
        imputed: `[B]`, e_hat, before it is moved.
        batch: of all pairs; read are observed, propensity and weight.
        clip: the least propensity divided by.
    """
    clever_covariate = 1 / batch.propensity.clamp_min(clip) - 1
    weight = batch.weight * batch.observed
    epsilon = batch_sum(weight * (error - imputed) * clever_covariate) / batch_sum(
        weight * clever_covariate.square()
    ).clamp_min(1e-12)
    return epsilon * clever_covariate


def fluctuation(error: Tensor, imputed: Tensor, batch: Batch, clip: float) -> Tensor:
    """Return rows `[B]` of value 0 that carry the gradient of epsilon, so that the estimate's gradient is exact.

    `d estimate = (sum (1 - o/p) h / sum o h^2) * d sum o (e - e_hat) h`, up to the number of rows.

    Args:
        error: `[B]`, e.
        imputed: `[B]`, e_hat, before it is moved.
        batch: of all pairs; read are observed, propensity and weight.
        clip: the least propensity divided by.
    """
    clever_covariate = 1 / batch.propensity.clamp_min(clip) - 1
    residual_weight = batch_sum(
        batch.weight * (1 - inverse_propensity(batch.observed, batch.propensity, clip)) * clever_covariate
    )
    scale = batch_sum(batch.weight * batch.observed * clever_covariate.square()).clamp_min(1e-12)
    miss = batch.observed * clever_covariate * (error - imputed)
    return residual_weight / scale * (miss - miss.detach())
