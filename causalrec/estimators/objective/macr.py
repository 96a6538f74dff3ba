"""Model-agnostic counterfactual reasoning against popularity bias (MACR; Wei et al., KDD 2021)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from causalrec.estimators.objective.base import POSITIVE, AbstractObjective
from causalrec.estimators.objective.bpr import negatives_of
from causalrec.types import ITEM_ONLY, OUTCOME, USER_ONLY, Batch, Feedback, Outputs, Role, Space, Term

BRANCHES = (OUTCOME, ITEM_ONLY, USER_ONLY)


def fuse(match: Tensor, item: Tensor, user: Tensor) -> Tensor:
    """Return `y_k * sigmoid(y_i) * sigmoid(y_u)`, `[B]`, the log-odds of a choice (Wei et al., KDD 2021).

    >>> import torch
    >>> fuse(torch.tensor([2.0]), torch.zeros(1), torch.zeros(1))
    tensor([0.5000])
    """
    return match * functional.sigmoid(item) * functional.sigmoid(user)


def choice_error(chosen: Tensor, negative: Tensor) -> Tensor:
    """Return the cross-entropy of a choice (label 1) plus that of its negative (label 0), `[B]` in nats, from log-odds.

    >>> import torch
    >>> choice_error(torch.zeros(1), torch.zeros(1))
    tensor([1.3863])
    """
    return functional.softplus(-chosen) + functional.softplus(negative)


@dataclass(frozen=True, kw_only=True)
class MACR(AbstractObjective):
    """Explains a choice by the match, the item's own pull and the user's own activity; ranks by what the match adds.

    `loss = BCE(fused) + item * BCE(y_i) + user * BCE(y_u)`, one negative to a choice; the score is the total effect
    less the natural direct effect, `(y_k - reference) * sigmoid(y_i) * sigmoid(y_u)`. The fused error comes once for
    each network, the others held still: the same gradient. As each user has as many negatives as choices, the last
    error only draws sigmoid(y_u) to a half, in the authors' code too. `reference`: the paper's c, the match of no pair
    in particular, in the unit of y_k; more pushes popular items down. The default 0 ranks by the fused score and
    corrects nothing: the paper tunes c (30 on ML-10M), but on the scale of its own networks, where each branch reads
    the embeddings of the match; here each has its own. A large c can also make the criterion rise at first, so that
    early stopping keeps an untrained model: give patience. `item`, `user`: the authors' alpha and beta on ML-10M (their
    README). Biased by design: what is corrected is the score, not the loss. Source: Wei et al. (KDD 2021).
    """

    roles: ClassVar[tuple[Role, ...]] = BRANCHES
    prediction_roles: ClassVar[tuple[Role, ...]] = BRANCHES
    space: ClassVar[Space] = "triples"
    feedback_types: ClassVar[frozenset[Feedback]] = POSITIVE
    item: Annotated[float, Field(ge=0)] = 1e-3
    user: Annotated[float, Field(ge=0)] = 1e-3
    reference: float = 0.0

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        negatives = negatives_of(outputs)
        alone = {ITEM_ONLY: self.item, USER_ONLY: self.user}
        return {
            **{
                f"fused_{role}": Term(choice_error(_fuse(outputs, role), _fuse(negatives, role)), role)
                for role in BRANCHES
            },
            **{str(role): Term(alone[role] * choice_error(outputs[role], negatives[role]), role) for role in alone},
        }

    def score(self, outputs: Outputs) -> Tensor:
        return fuse(outputs[OUTCOME] - self.reference, outputs[ITEM_ONLY], outputs[USER_ONLY])


def _fuse(outputs: Outputs, trained: Role) -> Tensor:
    """Return the fused log-odds, with gradient to one role alone."""
    return fuse(*(outputs[role] if role == trained else outputs[role].detach() for role in BRANCHES))
