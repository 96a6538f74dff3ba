"""What kernel-balancing objectives share: the network of weights, the two terms that train it, and what it weighs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.errors import RequestError
from causalrec.estimators.doubly_robust import ImputationErrors
from causalrec.estimators.kernel_balance import (
    Kernel,
    kernel_coefficients,
    kernel_spread,
    kernel_values,
    largest_rows,
    last_columns,
    moment_hinges,
    pair_features,
)
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import inverse_propensity, pointwise_error
from causalrec.types import IMPUTATION, OUTCOME, WEIGHT, Batch, Count, Outputs, Space, Term

LEAST_SPREAD = 0.01  # of a kernel, whose values are in 0..1
JUDGED_CENTRES = 64  # of the spread


@dataclass(frozen=True, kw_only=True)
class AbstractKernelWeighted(AbstractObjective):
    """Weights `v = sigmoid(network) / p` of observed pairs, trained to `min mean over O of v log v + gamma * hinges`.

    The hinges are `sum_j max(0, |mean K(x_j, .) - mean over O of v K(x_j, .)| - C)`: one to each centre x_j, of which a
    batch has J, pairs drawn uniformly. Kernels near 1 bring the mean of v to 1, so that means over O stand for means
    over all pairs; where `gamma J mean K` is below 1 the entropy wins, which is least at v = 1/e, and a doubly robust
    estimate lacks most of its correction (a warning says so). Where kernels hardly follow exposure, v = 1 is within the
    tolerance, and the entropy draws v there and the estimate to `naive` (Coat, MF of width 4: v = 1 is off by .003).
    Public code has p by naive Bayes from a twentieth of the test; here it is the run's propensity. The paper trains
    weights and predictions in turn; here every step moves all networks. Source: Li et al. (ICLR 2024, "Debiased
    collaborative filtering with kernel-based causal balancing"); defaults for Coat.

    Attributes:
        clip: the least propensity divided by.
        kernel: gaussian or exponential.
        bandwidth: what the squared distance (exponential: the distance) is multiplied by.
        centres: J.
        tolerance: C, by which moments may differ.
        balance: gamma, the weight of the hinges.
        legacy_public_code: the terms of public code: features that are not scaled, one hinge of the summed moments,
            and, of a doubly robust estimate, an imputed error that is subtracted without its weight.
    """

    space: ClassVar[Space] = "all_pairs"
    reads_row_propensity: ClassVar[bool] = True
    reads_whole_batch: ClassVar[bool] = True
    clip: Annotated[float, Field(ge=0)] = 0.1
    kernel: Kernel = "gaussian"
    bandwidth: Annotated[float, Field(gt=0)] = 0.1
    centres: Count = 3
    tolerance: Annotated[float, Field(ge=0)] = 0.01
    balance: Annotated[float, Field(ge=0)] = 1.0
    legacy_public_code: bool = False

    def ips_terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        """Return `mean over O of v e`, and the terms of the weights."""
        error, weight = pointwise_error(outputs[OUTCOME], batch.outcome, outputs.link), self._weight(batch, outputs)
        outcome = Term(weight.detach() * error, OUTCOME, normaliser=batch.observed)
        return {"outcome": outcome, **self._weight_terms(batch, outputs, weight, error)}

    def dr_terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        """Return `mean of e_hat + mean over O of v (e - e_hat)`, the imputation's `mean over O of v (e - e_hat)^2`, and
        the terms of the weights.
        """
        errors, weight = ImputationErrors.from_outputs(batch, outputs), self._weight(batch, outputs)
        fixed = weight.detach()
        subtracted = errors.imputed * (batch.observed if self.legacy_public_code else fixed)
        imputation = errors.imputation_term(fixed)
        return {
            "outcome": Term(errors.imputed, OUTCOME),
            "observed": Term(fixed * errors.error - subtracted, OUTCOME, normaliser=batch.observed),
            "imputation": Term(imputation.value, IMPUTATION, normaliser=batch.observed),
            **self._weight_terms(batch, outputs, weight, errors.error - errors.imputed),
        }

    def _weight(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return v, `[B]`, 0 of unobserved pairs; its gradient is the weight network's."""
        return torch.sigmoid(outputs[WEIGHT]) * inverse_propensity(batch.observed, batch.propensity, self.clip)

    def _weight_terms(self, batch: Batch, outputs: Outputs, weight: Tensor, error: Tensor) -> Mapping[str, Term]:
        """Return what trains v, `weight`, where `error[B]` is what its moments are of."""
        kernels = self.kernels(pair_features(outputs, scaled=not self.legacy_public_code), batch, error.detach())
        hinges = moment_hinges(
            kernels, batch.observed, weight, batch.weight, self.tolerance, summed=self.legacy_public_code
        )
        positive = torch.where(batch.observed > 0, weight, 1.0)  # 1 log 1 = 0
        return {
            "entropy": Term(positive * positive.log(), WEIGHT, normaliser=batch.observed),
            "balance": Term(self.balance * hinges, WEIGHT, normaliser=torch.ones_like(hinges)),
        }

    def kernels(self, features: Tensor, batch: Batch, error: Tensor) -> Tensor:
        """Return the kernels whose moments are balanced, `[J,B]`: of pairs at random.

        Args:
            features: `[F,B]`, x.
            batch: of all pairs.
            error: `[B]`, without gradient, what the weights are to be right for; read of observed pairs.
        """
        return kernel_values(features, last_columns(features, self.centres), self.kernel, self.bandwidth)

    def fit_warnings(self, batch: Batch, outputs: Outputs) -> tuple[str, ...]:
        features = pair_features(outputs, scaled=not self.legacy_public_code)
        values = kernel_values(features, last_columns(features, JUDGED_CENTRES), self.kernel, self.bandwidth)
        spread, pull = float(kernel_spread(values)), self.balance * self.centres * float(values.mean())
        light = (
            f"the kernels are too small to hold the weights at a mean of 1: objective.balance={self.balance:g} times "
            f"{self.centres} centres times their mean is {pull:.2g}, below 1, so that the entropy draws all weights "
            f"towards 0.37; lower objective.bandwidth={self.bandwidth:g}, or raise one of the two"
        )
        lines = (light,) if pull < 1 else ()
        if spread >= LEAST_SPREAD:
            return lines
        return (
            *lines,
            f"the {self.kernel} kernel hardly tells pairs apart: its standard deviation over them is {spread:.2g}, "
            f"below {LEAST_SPREAD}, so that the weights are balanced in their mean alone; change "
            f"objective.bandwidth={self.bandwidth:g}, or let the encoder tell pairs apart",
        )


@dataclass(frozen=True, kw_only=True)
class AbstractAdaptiveKernelWeighted(AbstractKernelWeighted):
    """The J centres are those whose kernels an error needs most: of the largest coefficients, in absolute value, in its
    ridge regression on the kernels of `candidates` pairs, over observed pairs weighted by 1/p.

    It is solved in each batch. The paper takes all pairs of a batch and trains the coefficients by steps; public code
    keeps these by their position in a batch that is drawn anew.

    Attributes:
        clip: as of `AbstractKernelWeighted`, as the six below.
        kernel: gaussian or exponential.
        bandwidth: of the kernel.
        centres: J.
        tolerance: C.
        balance: gamma.
        legacy_public_code: the terms of public code.
        candidates: how many uniformly drawn pairs of a batch the centres are chosen from.
        ridge: of the coefficients, against a weighted mean square of the error; the paper's decay of their weights.
    """

    candidates: Count = 64
    ridge: Annotated[float, Field(gt=0)] = 1e-3

    def __post_init__(self) -> None:
        if self.candidates < self.centres:
            raise RequestError(
                f"objective.candidates={self.candidates}: are fewer pairs than objective.centres={self.centres} are to "
                f"be chosen from; raise the first, or lower the second"
            )

    def kernels(self, features: Tensor, batch: Batch, error: Tensor) -> Tensor:
        values = kernel_values(features, last_columns(features, self.candidates), self.kernel, self.bandwidth)
        weight = batch.weight * inverse_propensity(batch.observed, batch.propensity, self.clip)
        return largest_rows(values, kernel_coefficients(values, error, weight, self.ridge), self.centres)
