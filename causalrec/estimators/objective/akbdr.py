"""Doubly robust by weights that balance kernels of centres chosen by the residual: AKBDR (Li et al., ICLR 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from causalrec.estimators.objective.base import Claim
from causalrec.estimators.objective.kernel_weighted import AbstractAdaptiveKernelWeighted
from causalrec.types import IMPUTATION, OUTCOME, WEIGHT, Batch, Outputs, Role, Term


@dataclass(frozen=True, kw_only=True)
class AKBDR(AbstractAdaptiveKernelWeighted):
    """KBDR, with centres that the residual `e - e_hat` needs most (`kernel_weighted.py`).

    Assumption as of `kbdr`.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION, WEIGHT)
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent", "doubly_robust"})

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return self.dr_terms(batch, outputs)
