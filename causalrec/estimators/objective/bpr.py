"""Bayesian personalised ranking (Rendle et al., UAI 2009)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from causalrec.estimators.objective.base import POSITIVE, AbstractObjective
from causalrec.types import OUTCOME, Batch, Feedback, Outputs, Space, Term


def bpr(score: Tensor, negative: Tensor) -> Tensor:
    """Return `-log sigmoid(score - negative)`, `[B]` in nats: the chosen item ought to stand before the negative.

    Assumption: a user prefers what they chose to what they did not; no exposure is corrected for. Source: Rendle et al.
    (UAI 2009, section 4.1).

    >>> import torch
    >>> bpr(torch.tensor([2.0, 0.0]), torch.tensor([2.0, 3.0]))
    tensor([0.6931, 3.0486])
    """
    return functional.softplus(negative - score)


def negatives_of(outputs: Outputs) -> Outputs:
    """Return the outputs of the negatives (ValueError outside the spaces `triples` and `item_pairs`)."""
    if outputs.negatives is None:
        raise ValueError("these outputs have no negatives: the objective's space must be 'triples' or 'item_pairs'")
    return outputs.negatives


@dataclass(frozen=True, kw_only=True)
class BPR(AbstractObjective):
    """Ranks each logged pair above a pair its user has no row with; its score is no probability.

    Biased by design: what was never shown counts as not chosen.
    """

    space: ClassVar[Space] = "triples"
    feedback_types: ClassVar[frozenset[Feedback]] = POSITIVE

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return {"outcome": Term(bpr(outputs[OUTCOME], negatives_of(outputs)[OUTCOME]), OUTCOME)}

    def score(self, outputs: Outputs) -> Tensor:
        return outputs[OUTCOME]
