"""Weighted matrix factorisation (Hu, Koren & Volinsky, ICDM 2008)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from causalrec.estimators.objective.base import POSITIVE, AbstractObjective
from causalrec.estimators.pointwise_error import mean_of, pointwise_error
from causalrec.types import OUTCOME, Batch, Feedback, Link, Outputs, Space, Term


@dataclass(frozen=True, kw_only=True)
class WMF(AbstractObjective):
    """`c l(s, 1)` of a positive and `l(s, 0)` of every other pair, over all pairs.

    Biased by design: what was never shown counts as not chosen, only less so the larger c. Under the squared loss,
    `(s - y)^2`, the score itself is fitted to 0 and 1, and is no probability; under the log loss it is the log-odds of
    a weighted share. With c = 1 and the log loss it is `rel_mf` where every pair is sure to be seen.

    Attributes:
        confidence: c, of a positive, where any other pair has 1; `1 + alpha` of the paper, with its alpha of 40.
        loss: `squared`, as in the paper, or `log`, the cross-entropy in nats.
    """

    space: ClassVar[Space] = "all_pairs"
    feedback_types: ClassVar[frozenset[Feedback]] = POSITIVE
    links: ClassVar[frozenset[Link]] = frozenset({"logit"})
    confidence: Annotated[float, Field(gt=0)] = 41.0
    loss: Literal["squared", "log"] = "squared"

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        link: Link = "identity" if self.loss == "squared" else outputs.link
        weight = 1 + (self.confidence - 1) * batch.observed
        return {"outcome": Term(weight * pointwise_error(outputs[OUTCOME], batch.observed, link), OUTCOME)}

    def score(self, outputs: Outputs) -> Tensor:
        return outputs[OUTCOME] if self.loss == "squared" else mean_of(outputs[OUTCOME], outputs.link)
