"""Conservative DR-BIAS (Song et al., CIKM 2023, "CDR")."""

from dataclasses import dataclass

from torch import Tensor

from causalrec.estimators.conservative import AbstractConservativeJoint
from causalrec.estimators.doubly_robust import bias_weight


@dataclass(frozen=True, kw_only=True)
class CDRDRBias(AbstractConservativeJoint):
    """DR-BIAS whose uncertain imputed errors are dropped: such a row is weighed by inverse propensity alone.

    `max_variation` large: DR-BIAS itself; 0: IPS.
    """

    def miss_weight(self, observed: Tensor, propensity: Tensor) -> Tensor:
        return bias_weight(observed, propensity, self.clip)
