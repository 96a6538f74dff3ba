"""Doubly robust by weights that balance kernels of random centres: KBDR (Li et al., ICLR 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from causalrec.estimators.objective.base import Claim
from causalrec.estimators.objective.kernel_weighted import AbstractKernelWeighted
from causalrec.types import IMPUTATION, OUTCOME, WEIGHT, Batch, Outputs, Role, Term


@dataclass(frozen=True, kw_only=True)
class KBDR(AbstractKernelWeighted):
    """`mean of e_hat + mean over O of v (e - e_hat)`, v balanced on kernels (`kernel_weighted.py`).

    Both errors of the residual are weighted; public code (`legacy_public_code`) weighs the first alone, which is not
    doubly robust. Right where the imputed errors are, where the mean of `e - e_hat` given the pair is a sum of the
    centres' kernels, or where v is the density of the log over the true propensity, whose mean over O is 1 (in
    proportion to it does not suffice, as for `kbips`); the certificate judges the first and the last, the weight
    network being at its start.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, WEIGHT)
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent", "doubly_robust"})

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return self.dr_terms(batch, outputs)
