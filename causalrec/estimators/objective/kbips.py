"""IPS by weights that balance kernels of random centres: KBIPS (Li et al., ICLR 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from causalrec.estimators.objective.base import Claim
from causalrec.estimators.objective.kernel_weighted import AbstractKernelWeighted
from causalrec.types import OUTCOME, WEIGHT, Batch, Outputs, Role, Term


@dataclass(frozen=True, kw_only=True)
class KBIPS(AbstractKernelWeighted):
    """`mean over O of v e`, the weights v balanced on kernels of the pair's vectors (`kernel_weighted.py`).

    Right where the mean error given the pair is a sum of the centres' kernels, or where v is in proportion to the
    inverse of the true propensity; the certificate judges the second, the weight network being at its start. With
    `balance=0` the weights see no moment at all.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, WEIGHT)
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent"})

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return self.ips_terms(batch, outputs)
