"""Conservative error imputation (Song et al., CIKM 2023, "CDR")."""

from collections.abc import Mapping
from dataclasses import dataclass

from causalrec.estimators.conservative import AbstractConservative
from causalrec.estimators.doubly_robust import ImputationErrors
from causalrec.estimators.objective.eib import imputed_mean
from causalrec.types import OUTCOME, Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class CDREIB(AbstractConservative):
    """EIB whose uncertain imputed errors are dropped: `o e + (1 - o) m e_hat`, m in {0, 1}.

    No propensity stands in for what is dropped, so that such a pair counts 0 where it is not observed: biased by
    design. The formula is that of the doubly robust family with p = 1. `max_variation` large: EIB itself.

    Attributes:
        max_variation: the largest coefficient of variation of an imputed error that is imputed (the paper's eta).
        passes: with dropout.
        dropout: share of a vector's entries that a pass sets to 0.
    """

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        errors = ImputationErrors.from_outputs(batch, outputs)
        value = imputed_mean(errors.error, self.certain(outputs) * errors.imputed, batch.observed)
        return {"outcome": Term(value, OUTCOME), "imputation": errors.imputation_term(batch.observed)}
