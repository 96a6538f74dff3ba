"""IPS by weights that balance kernels of centres chosen by the error: AKBIPS (Li et al., ICLR 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from causalrec.estimators.objective.base import Claim
from causalrec.estimators.objective.kernel_weighted import AbstractAdaptiveKernelWeighted
from causalrec.types import OUTCOME, WEIGHT, Batch, Outputs, Role, Term


@dataclass(frozen=True, kw_only=True)
class AKBIPS(AbstractAdaptiveKernelWeighted):
    """KBIPS, with centres that the error of the outcome model needs most (`kernel_weighted.py`).

    Assumption as of `kbips`.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, WEIGHT)
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent"})

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return self.ips_terms(batch, outputs)
