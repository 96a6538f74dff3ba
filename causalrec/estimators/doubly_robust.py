"""What the doubly robust family shares: imputed errors, the weights an imputation model learns under, and its terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from causalrec.estimators.pointwise_error import dynamic_propensity, inverse_propensity, pointwise_error, soft_label
from causalrec.types import IMPUTATION, OUTCOME, Batch, Outputs, Term


@dataclass(frozen=True)
class ImputationErrors:
    """Errors of a batch, `[B]` each, in the unit of the pointwise error.

    Attributes:
        error: of the outcome model on the observed outcome; its gradient is that of the outcome model alone.
        imputed: of the outcome model on the label that the imputation model gives; gradient as above.
        imputed_trainable: the imputed error with the gradient of the imputation model alone.
    """

    error: Tensor
    imputed: Tensor
    imputed_trainable: Tensor

    @classmethod
    def from_outputs(cls, batch: Batch, outputs: Outputs) -> ImputationErrors:
        """Compute them from the outcome and the imputation network."""
        raw, link = outputs[OUTCOME], outputs.link
        label = soft_label(outputs[IMPUTATION], link)
        return cls(
            pointwise_error(raw, batch.outcome, link),
            pointwise_error(raw, label.detach(), link),
            pointwise_error(raw.detach(), label, link),
        )

    def shift(self, shift: Tensor) -> ImputationErrors:
        """Return the same with both imputed errors moved by `shift[B]`."""
        return ImputationErrors(self.error, self.imputed + shift, self.imputed_trainable + shift)

    def imputation_term(self, weight: Tensor) -> Term:
        """Return `weight * (e - e_hat)^2`, which trains the imputation model (Wang et al., ICML 2019, eq. 8)."""
        return Term(weight * (self.error.detach() - self.imputed_trainable).square(), IMPUTATION)


def variance_weight(observed: Tensor, propensity: Tensor, clip: float) -> Tensor:
    """Return `o (1 - p) / p^2`, `[B]`: the variance of a doubly robust estimate per squared imputation miss (MRDR).

    >>> import torch
    >>> variance_weight(torch.ones(1), torch.tensor([0.5]), 0.0)
    tensor([2.])
    """
    inverse = inverse_propensity(observed, propensity, clip)
    return inverse * (inverse - observed)


def bias_weight(observed: Tensor, propensity: Tensor, clip: float) -> Tensor:
    """Return `o (1 - p)^2 / p^3`, `[B]`: the squared bias of a doubly robust estimate per squared imputation miss.

    >>> import torch
    >>> bias_weight(torch.ones(1), torch.tensor([0.5]), 0.0)
    tensor([2.])
    """
    inverse = inverse_propensity(observed, propensity, clip)
    return inverse * (inverse - observed).square()


def doubly_robust(error: Tensor, imputed: Tensor, observed: Tensor, propensity: Tensor, *, clip: float = 0.0) -> Tensor:
    """Return `e_hat + o * (e - e_hat) / max(p, clip)`, `[B]`; its mean over all pairs estimates the mean error.

    Both errors of the residual are divided by `p` (much public code divides only the first: not doubly robust).
    Assumption: unbiased when either the propensities are true (and `clip=0`) or the imputed errors are. Source: Wang et
    al. (ICML 2019, eq. 5).

    Args:
        error: `[B]`, e.
        imputed: `[B]`, e_hat, in the unit of the error.
        observed: `[B]`, o in {0, 1}.
        propensity: `[B]`, p in (0, 1].
        clip: the least propensity divided by.

    >>> import torch
    >>> doubly_robust(torch.tensor([2.0, 9.0]), torch.ones(2), torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]))
    tensor([3., 1.])
    """
    return imputed + (error - imputed) * inverse_propensity(observed, propensity, clip)


def doubly_robust_terms(
    error: Tensor, imputed: Tensor, observed: Tensor, propensity: Tensor, *, clip: float, legacy: bool
) -> Mapping[str, Term]:
    """Return the outcome model's term; under `legacy` the two terms of much public code, which are not doubly robust.

    Public code divides only `e` by the propensity, and adds the mean over *observed* rows of `e / p - e_hat` to the
    mean over all pairs of `e_hat`, without the factor |O| / |D|.

    Args:
        error: `[B]`, e.
        imputed: `[B]`, e_hat, in the unit of the error.
        observed: `[B]`, o in {0, 1}.
        propensity: `[B]`, p in (0, 1].
        clip: the least propensity divided by.
        legacy: whether the terms are those of public code.
    """
    if not legacy:
        return {"outcome": Term(doubly_robust(error, imputed, observed, propensity, clip=clip), OUTCOME)}
    inverse = inverse_propensity(observed, propensity, clip)
    return {
        "outcome": Term(imputed, OUTCOME),
        "observed": Term(inverse * error - observed * imputed, OUTCOME, normaliser=observed),
    }


def joint_learning(
    batch: Batch,
    outputs: Outputs,
    weight: Callable[[Tensor, Tensor, float], Tensor],
    *,
    clip: float,
    legacy: bool,
    dynamic: float | None = None,
) -> Mapping[str, Term]:
    """Return both models' terms under joint learning.

    Args:
        batch: of the objective.
        outputs: of the outcome and the imputation network.
        weight: `weight(o, p, clip)`, `[B]`: what the squared misses of the imputation weigh.
        clip: the least propensity divided by.
        legacy: as in `doubly_robust_terms`.
        dynamic: as in `dynamic_propensity`, for the outcome's term; `weight` is given p.
    """
    errors, divisor = ImputationErrors.from_outputs(batch, outputs), dynamic_propensity(batch.propensity, dynamic)
    outcome = doubly_robust_terms(errors.error, errors.imputed, batch.observed, divisor, clip=clip, legacy=legacy)
    imputation_weight = weight(batch.observed, batch.propensity, clip)
    return {**outcome, "imputation": errors.imputation_term(imputation_weight)}
