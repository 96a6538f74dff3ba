"""Conservative imputation: what an imputation model is unsure of, as dropout shows it, is not imputed (CDR)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.doubly_robust import ImputationErrors, doubly_robust_terms
from causalrec.estimators.objective.base import AbstractObjective, Claim
from causalrec.estimators.pointwise_error import pointwise_error, soft_label
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role, Share, Space, Term

LEGACY_VARIANCE = 10.0  # of public code, below which a row is imputed: cross-entropies never spread as far


def is_certain(errors: Tensor, max_variation: float) -> Tensor:
    """Return 1 where `s / mean < max_variation`, `[B]`: where passes with dropout agree on the imputed error.

    Args:
        errors: `[P,B]`, the imputed error in each pass, at least 0; s is their standard deviation (divided by P).
        max_variation: the largest coefficient of variation, without unit.

    >>> import torch
    >>> is_certain(torch.tensor([[1.0, 0.0], [1.2, 2.0]]), 0.5)
    tensor([1., 0.])
    """
    spread = errors.std(0, correction=0)
    return (spread < max_variation * errors.mean(0)).to(errors.dtype)


@dataclass(frozen=True, kw_only=True)
class AbstractConservative(AbstractObjective):
    """Joint learning whose imputed error is dropped, m = 0, where passes with dropout do not agree on it.

    The imputation model learns without dropout, on every observed row. A Poisson error may be negative, which has no
    coefficient of variation: log links are left out. Source: Song et al. (CIKM 2023, "CDR"), a filter by mean and
    variance of the passes; the form s / mean < eta and the grid .1 to 1.5 are those of a reimplementation, for the
    authors' code filters by s^2 < 10 (`legacy_public_code`), which no cross-entropy reaches. The default is of that
    grid: on Coat with factors of width 4 it imputes half (learning rate .05) to four fifths (.01) of the pairs.

    Attributes:
        max_variation: eta, the largest coefficient of variation of an imputed error that is imputed; 0: none is.
        passes: with dropout, N.
        dropout: share of a vector's entries that a pass sets to 0.
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = frozenset({"identity", "logit", "softmax"})
    pass_roles: ClassVar[tuple[Role, ...]] = (IMPUTATION,)
    max_variation: Annotated[float, Field(ge=0)] = 0.5
    passes: Annotated[int, Field(ge=2, le=1000)] = 10
    dropout: Share = 0.5

    def certain(self, outputs: Outputs) -> Tensor:
        """Return m, `[B]`: 1 where a row is imputed, 0 where it is not; without gradient, and blind to exposure."""
        labels = soft_label(outputs.passes[IMPUTATION], outputs.link)
        errors = pointwise_error(outputs[OUTCOME].detach().expand_as(labels), labels, outputs.link)
        if self.legacy_public_code:
            return (errors.var(0, correction=0) < LEGACY_VARIANCE).to(errors.dtype)
        return is_certain(errors, self.max_variation)


@dataclass(frozen=True, kw_only=True)
class AbstractConservativeJoint(AbstractConservative):
    """Both models' terms: `m e_hat + o (e - m e_hat) / p`, and `miss_weight(o, p, clip) (e - e_hat)^2`.

    Assumption: unbiased where propensities are true, for m does not read o; true imputed errors do not suffice, as
    those that are dropped leave the propensities alone.

    Attributes:
        clip: the least propensity divided by.
        legacy_public_code: public code's filter, `s^2 < 10`, and its outcome loss (`doubly_robust.py`).
    """

    reads_row_propensity: ClassVar[bool] = True
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    legacy_public_code: bool = False

    @abstractmethod
    def miss_weight(self, observed: Tensor, propensity: Tensor) -> Tensor:
        """Return what squared misses of the imputation weigh, `[B]`."""

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        errors, rows = ImputationErrors.from_outputs(batch, outputs), (batch.observed, batch.propensity)
        imputed = self.certain(outputs) * errors.imputed
        outcome = doubly_robust_terms(errors.error, imputed, *rows, clip=self.clip, legacy=self.legacy_public_code)
        return {**outcome, "imputation": errors.imputation_term(self.miss_weight(*rows))}
