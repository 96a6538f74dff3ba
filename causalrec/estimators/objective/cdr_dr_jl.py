"""Conservative joint learning (Song et al., CIKM 2023, "CDR")."""

from dataclasses import dataclass

from torch import Tensor

from causalrec.estimators.conservative import AbstractConservativeJoint
from causalrec.estimators.pointwise_error import inverse_propensity


@dataclass(frozen=True, kw_only=True)
class CDRDRJL(AbstractConservativeJoint):
    """DR-JL whose uncertain imputed errors are dropped: such a row is weighed by inverse propensity alone.

    `max_variation` large: DR-JL itself; 0: IPS.
    """

    def miss_weight(self, observed: Tensor, propensity: Tensor) -> Tensor:
        return inverse_propensity(observed, propensity, self.clip)
