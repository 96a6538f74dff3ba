"""Error imputation based learning (Steck, KDD 2010; as in Wang et al., ICML 2019, eq. 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from causalrec.estimators.doubly_robust import ImputationErrors
from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role, Space, Term


def imputed_mean(error: Tensor, imputed: Tensor, observed: Tensor) -> Tensor:
    """Return `o * e + (1 - o) * e_hat`, `[B]`; its mean over all pairs estimates the mean error.

    >>> import torch
    >>> imputed_mean(torch.tensor([2.0, 9.0]), torch.ones(2), torch.tensor([1.0, 0.0]))
    tensor([2., 1.])
    """
    return observed * error + (1 - observed) * imputed


@dataclass(frozen=True, kw_only=True)
class EIB(AbstractObjective):
    """Fills every unobserved error by an imputed one; no propensity is read.

    Assumption: unbiased when the imputed errors of unobserved pairs are true.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = ANY_LINK
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        errors = ImputationErrors.from_outputs(batch, outputs)
        value = imputed_mean(errors.error, errors.imputed, batch.observed)
        return {"outcome": Term(value, OUTCOME), "imputation": errors.imputation_term(batch.observed)}
