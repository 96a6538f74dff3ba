"""Popularity deconfounding (PD of PDA; Zhang et al., SIGIR 2021)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import POSITIVE, AbstractObjective
from causalrec.estimators.objective.bpr import bpr, negatives_of
from causalrec.types import OUTCOME, Batch, Feedback, Outputs, Space, Term


def matching_score(raw: Tensor) -> Tensor:
    """Return `elu(raw) + 1`, `[B]` > 0: raw + 1 above zero, exp(raw) below (exact where adding 1 would round it off).

    >>> import torch
    >>> matching_score(torch.tensor([2.0, 0.0, -30.0]))
    tensor([3.0000e+00, 1.0000e+00, 9.3576e-14])
    """
    return raw.clamp_min(0) + raw.clamp_max(0).exp()


def popularities(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the popularity of the chosen and of the negative (ValueError outside the space `triples`)."""
    if batch.popularity is None or batch.negative_popularity is None:
        raise ValueError("this batch has no popularity: the objective's space must be 'triples'")
    return batch.popularity, batch.negative_popularity


@dataclass(frozen=True, kw_only=True)
class PDA(AbstractObjective):
    """Trains `(elu(f) + 1) * m ** gamma` by BPR and ranks by `elu(f) + 1` alone, as if all items were as popular.

    `m`: share of the training users who chose the item. It both exposes an item and draws users to it; ranking without
    it is P(choice | do(user, item)) up to a factor the items share. The paper takes m anew in each of several spans of
    time; here it is that of the whole log. Popularity is not put back at inference (the paper's PDA proper): that takes
    a forecast of it. `gamma`: the authors' value for PD on Kwai and Douban (their README). A user's products are known
    up to one constant c, hence the matches up to c * m ** -gamma, which weight decay settles. Source: Zhang et al.
    (SIGIR 2021). Biased by design: popularity is a factor of a model, and exposure is not weighed.
    """

    space: ClassVar[Space] = "triples"
    feedback_types: ClassVar[frozenset[Feedback]] = POSITIVE
    gamma: Annotated[float, Field(ge=0)] = 0.02

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        pull, negative_pull = (m**self.gamma for m in popularities(batch))
        value = bpr(
            matching_score(outputs[OUTCOME]) * pull, matching_score(negatives_of(outputs)[OUTCOME]) * negative_pull
        )
        return {"outcome": Term(value, OUTCOME)}

    def score(self, outputs: Outputs) -> Tensor:
        return matching_score(outputs[OUTCOME])
