"""What objectives share that learn the propensity beside the outcome: its likelihood, the entire space, the balance."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from causalrec.estimators.doubly_robust import ImputationErrors, doubly_robust
from causalrec.estimators.pointwise_error import inverse_propensity, mean_of, pointwise_error
from causalrec.types import OUTCOME, PROPENSITY, Batch, Outputs, Role, Term, Truth


def learned_propensity(outputs: Outputs, role: Role = PROPENSITY) -> Tensor:
    """Return a propensity network's probability `[B]`, without gradient: a weight must not train it."""
    return torch.sigmoid(outputs[role]).detach()


def exposure_term(batch: Batch, outputs: Outputs, role: Role = PROPENSITY) -> Term:
    """Return the cross-entropy of exposure, `[B]` in nats, over all pairs; it trains the network of that role."""
    return Term(functional.binary_cross_entropy_with_logits(outputs[role], batch.observed, reduction="none"), role)


def joint_error(exposure: Tensor, outcome: Tensor, label: Tensor) -> Tensor:
    """Return the cross-entropy of "exposed and positive", `[B]`, from the product of two probabilities (ESMM).

    >>> joint_error(torch.tensor([0.5]), torch.tensor([0.5]), torch.zeros(1))
    tensor([0.2877])
    """
    both = (exposure * outcome).clamp(1e-7, 1 - 1e-7)
    return functional.binary_cross_entropy(both, label, reduction="none")


def joint_terms(batch: Batch, outputs: Outputs, weight: float) -> Mapping[str, Term]:
    """Return the entire-space error once for each network, the other held still (Ma et al., SIGIR 2018)."""
    exposure, outcome = torch.sigmoid(outputs[PROPENSITY]), mean_of(outputs[OUTCOME], outputs.link)
    label = batch.observed * batch.outcome
    return {
        "joint_outcome": Term(weight * joint_error(exposure.detach(), outcome, label), OUTCOME),
        "joint_exposure": Term(weight * joint_error(exposure, outcome.detach(), label), PROPENSITY),
    }


def entire_space_ideal(outputs: Outputs, truth: Truth, *, counterfactual: float, joint: float) -> Tensor:
    """Return what the outcome's terms estimate were all known, `[B]`: `counterfactual * e + joint * joint error`.

    Args:
        outputs: of the outcome and the propensity network.
        truth: of the rows.
        counterfactual: weight of the error against the mean outcome.
        joint: weight of the entire-space error, whose label is the probability of "exposed and positive".
    """
    exposure, outcome = torch.sigmoid(outputs[PROPENSITY]), mean_of(outputs[OUTCOME], outputs.link)
    error = pointwise_error(outputs[OUTCOME], truth.mean, outputs.link)
    return counterfactual * error + joint * joint_error(exposure, outcome, truth.propensity * truth.mean)


def imbalance(observed: Tensor, propensity: Tensor, function: Tensor, clip: float) -> Tensor:
    """Return `(o / p - (1 - o) / (1 - p)) * f`, `[B]`: its mean over all pairs is 0 for every f under the true p.

    Source: Li et al. (ICML 2023, "Propensity matters", eq. 8).

    Args:
        observed: `[B]`, o in {0, 1}.
        propensity: `[B]`, p, a probability.
        function: `[B]`, f of the pair.
        clip: p is held within `clip` and `1 - clip`.

    >>> imbalance(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]), torch.ones(2), 0.0)
    tensor([ 2., -2.])
    """
    safe = propensity.clamp(clip, 1 - clip)
    return (observed / safe - (1 - observed) / (1 - safe)) * function


def balance_term(batch: Batch, outputs: Outputs, weight: float, clip: float) -> Term:
    """Return the squared mean imbalance of the predicted outcome; it trains the propensity.

    Args:
        batch: of all pairs.
        outputs: of the outcome and the propensity network.
        weight: of the squared mean.
        clip: as in `imbalance`.
    """
    predicted = mean_of(outputs[OUTCOME], outputs.link).detach()
    value = imbalance(batch.observed, torch.sigmoid(outputs[PROPENSITY]), predicted, clip)
    return Term(weight**0.5 * value, PROPENSITY, squared=True)


def learned_doubly_robust(batch: Batch, outputs: Outputs, *, clip: float, weight: float = 1.0) -> Mapping[str, Term]:
    """Return DR-JL's terms by the learnt propensity, and the likelihood of exposure.

    Args:
        batch: of all pairs.
        outputs: of the outcome, the imputation and the propensity network.
        clip: the least propensity divided by.
        weight: of the outcome's term.
    """
    errors, rows = ImputationErrors.from_outputs(batch, outputs), (batch.observed, learned_propensity(outputs))
    return {
        "outcome": Term(weight * doubly_robust(errors.error, errors.imputed, *rows, clip=clip), OUTCOME),
        "imputation": errors.imputation_term(inverse_propensity(*rows, clip)),
        "exposure": exposure_term(batch, outputs),
    }
