"""Disentangling interest and conformity (DICE; Zheng et al., WWW 2021)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import POSITIVE, AbstractObjective
from causalrec.estimators.objective.bpr import bpr, negatives_of
from causalrec.estimators.objective.pda import popularities
from causalrec.types import OUTCOME, Batch, Feedback, Outputs, Role, Space, Term

CONFORMITY = Role("conformity")
CAUSES = (OUTCOME, CONFORMITY)


def _squared_distance(vector: Tensor, other: Tensor) -> Tensor:
    """Return the mean squared difference over the last axis: `[..., D]`, `[..., D]` -> `[...]`.

    >>> import torch
    >>> _squared_distance(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([2.])
    """
    return (vector - other).square().mean(-1)


def conformity_error(score: Tensor, negative: Tensor, popularity: Tensor, negative_popularity: Tensor) -> Tensor:
    """Return the BPR error of conformity, `[B]` in nats: whichever item is the more popular ought to stand first.

    Source: Zheng et al. (WWW 2021).

    Args:
        score: `[B]`, of the chosen item.
        negative: `[B]`, the score of the negative.
        popularity: `[B]`, share of users who have the chosen item.
        negative_popularity: `[B]`, share of users who have the negative.

    >>> import torch
    >>> shares = torch.tensor([0.2, 0.2]), torch.tensor([0.1, 0.3])
    >>> conformity_error(torch.tensor([3.0, 3.0]), torch.zeros(2), *shares)
    tensor([0.0486, 3.0486])
    """
    sign = (popularity - negative_popularity).sign()
    return bpr(sign * score, sign * negative)


@dataclass(frozen=True, kw_only=True)
class DICE(AbstractObjective):
    """Learns what a user likes (role outcome) beside what they take because others do (role conformity), and adds them.

    `loss = click + causes * (interest + conformity) - discrepancy * distance`: click is BPR on the sum; interest is BPR
    where the negative is more popular, as such a choice cannot be conformity; conformity ranks by popularity; a pair
    whose shares of users lie within `margin` tells no cause and only trains the click. The distance of the two
    networks' vectors is the mean square, the paper's L2 form (its dCor looks at all pairs of a batch); it has no upper
    bound, so that weight decay must hold it. The errors that two networks share come once for each, the other held
    still. Negatives are uniform (the paper draws them beyond the margin), and the paper's decay of `causes` and
    `margin` by epoch is left out. Defaults: the authors' alpha 0.1, beta 0.01 and margin of 40 among 37,962 users of
    ML-10M (their code). Biased by design: causes are told apart by popularity, and exposure is not weighed. Source:
    Zheng et al. (WWW 2021).
    """

    roles: ClassVar[tuple[Role, ...]] = CAUSES
    prediction_roles: ClassVar[tuple[Role, ...]] = CAUSES
    space: ClassVar[Space] = "triples"
    feedback_types: ClassVar[frozenset[Feedback]] = POSITIVE
    causes: Annotated[float, Field(ge=0)] = 0.1
    discrepancy: Annotated[float, Field(ge=0)] = 0.01
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.001

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        negatives, shares = negatives_of(outputs), popularities(batch)
        gap = shares[1] - shares[0]
        interest = (gap > self.margin) * bpr(outputs[OUTCOME], negatives[OUTCOME])
        conformity = (gap.abs() > self.margin) * conformity_error(outputs[CONFORMITY], negatives[CONFORMITY], *shares)
        return {
            "interest": Term(self.causes * interest, OUTCOME),
            "conformity": Term(self.causes * conformity, CONFORMITY),
            **{f"click_{role}": Term(_click(outputs, negatives, role), role) for role in CAUSES},
            **{f"distance_{role}": Term(-self.discrepancy * _distance(outputs, role), role) for role in CAUSES},
        }

    def score(self, outputs: Outputs) -> Tensor:
        return outputs[OUTCOME] + outputs[CONFORMITY]


def _click(outputs: Outputs, negatives: Outputs, trained: Role) -> Tensor:
    fixed = CONFORMITY if trained == OUTCOME else OUTCOME
    return bpr(*(side[trained] + side[fixed].detach() for side in (outputs, negatives)))


def _distance(outputs: Outputs, trained: Role) -> Tensor:
    """Return how far apart the networks' vectors of the user, and on average of the two items, lie: `[B]`."""
    fixed = CONFORMITY if trained == OUTCOME else OUTCOME
    user, item, negative = (_squared_distance(a, b.detach()) for a, b in _vectors(outputs, trained, fixed))
    return user + (item + negative) / 2


def _vectors(outputs: Outputs, trained: Role, other: Role) -> Iterator[tuple[Tensor, Tensor]]:
    positive, negative = outputs.vectors, negatives_of(outputs).vectors
    yield positive[trained][0], positive[other][0]
    yield positive[trained][1], positive[other][1]
    yield negative[trained][1], negative[other][1]
