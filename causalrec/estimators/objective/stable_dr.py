"""Stabilised doubly robust (Li, Zheng & Wu, ICLR 2023, "StableDR")."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.doubly_robust import ImputationErrors, variance_weight
from causalrec.estimators.learned_propensity import exposure_term, learned_propensity
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.estimators.objective.snips import snips
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.estimators.reduction import batch_mean
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY, Batch, Outputs, Role, Space, Term


@dataclass(frozen=True, kw_only=True)
class StableDR(AbstractObjective):
    """SNIPS with a learnt propensity that must zero the mean of `(1 - o/p)(e_hat - mean e_hat)`: so doubly robust.

    The paper updates the three models in turn; here every step updates all of them. The learnt propensity is a network,
    not the paper's smoothed naive Bayes.

    Attributes:
        clip: the least propensity divided by.
        stability: weight of that constraint, the square of a batch's sum over its number of rows, as in the published
            code.
        imputation_weight: of the squared misses of the imputation: `inverse`, o / p, or `variance`, o (1 - p) / p^2 as
            MRDR has it (Stable MRDR). The learnt propensity gets no gradient from it.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, PROPENSITY)
    space: ClassVar[Space] = "all_pairs"
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent"})
    reads_whole_batch: ClassVar[bool] = True
    clip: Annotated[float, Field(ge=0)] = 0.1
    stability: Annotated[float, Field(ge=0)] = 1.0
    imputation_weight: Literal["inverse", "variance"] = "inverse"

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        errors, propensity = ImputationErrors.from_outputs(batch, outputs), learned_propensity(outputs)
        value, weight = snips(errors.error, batch.observed, propensity, clip=self.clip)
        imputed = errors.imputed.detach()
        chance = torch.sigmoid(outputs[PROPENSITY])
        centred = imputed - batch_mean(imputed, batch.weight)
        imputation_weight = variance_weight if self.imputation_weight == "variance" else inverse_propensity
        unstable = instability(centred, batch.observed, chance, self.clip)
        return {
            "outcome": Term(value, OUTCOME, normaliser=weight),
            "imputation": errors.imputation_term(imputation_weight(batch.observed, propensity, self.clip)),
            "exposure": exposure_term(batch, outputs),
            "stability": Term((self.stability * unstable.shape[-1]) ** 0.5 * unstable, PROPENSITY, squared=True),
        }


def instability(centred: Tensor, observed: Tensor, propensity: Tensor, clip: float) -> Tensor:
    """Return `(1 - o / p) * (e_hat - mean e_hat)`, `[B]`: where its mean is 0, SNIPS equals the doubly robust estimate.

    Args:
        centred: `[B]`, the imputed error less its mean.
        observed: `[B]`, o in {0, 1}.
        propensity: `[B]`, p in (0, 1].
        clip: the least propensity divided by.

    >>> instability(torch.tensor([2.0, -2.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]), 0.0)
    tensor([-2., -2.])
    """
    return (1 - observed / propensity.clamp_min(clip)) * centred
