"""The contract of metrics of whole rankings of which a sample of the pairs has outcomes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from causalrec.errors import CausalRecError
from causalrec.metrics.base import AbstractMetric, Scored, Subsets

Form = Literal["ips", "snips"]
LEAST = 20.0  # effective rows, below which intervals are warned of


@dataclass(frozen=True, kw_only=True)
class RankedSample:
    """The rows of a sample that stand among the first K of their user's ranking of all candidates.

    Attributes:
        users: int64[M], whose rankings they are, all that are averaged over.
        candidates: int64[M], how many items are ranked.
        user: int64[P], the user of each row.
        greater: int64[P], how many of the user's candidates have a higher score.
        equal: int64[P], how many have the same, the row among them: its place is any of the `equal` after `greater`.
        gain: float64[P], the outcome.
        weight: float64[P], one over the probability of being in the sample.
        pair_ratio: float64[P], P(both in the sample) over the product of both probabilities, of two rows of a user
            neither of which has 1.
    """

    users: Tensor
    candidates: Tensor
    user: Tensor
    greater: Tensor
    equal: Tensor
    gain: Tensor
    weight: Tensor
    pair_ratio: Tensor


class AbstractSampledMetric(AbstractMetric):
    """A mean over users of `sum over candidates i (or pairs of them) of c_i y_i`, from a sample of the candidates.

    The coefficients c follow from the ranking alone, which needs no outcome. With the sample's rows weighted by
    w = 1 / P(in the sample), `ips` is `sum w c y` and unbiased (Horvitz & Thompson 1952); `snips` is
    `(sum w c y / sum w c) * sum over candidates of c`, sums over all users: what it estimates is the same, within the
    range of the outcomes, with less variance where c is not 0 for few rows; it is consistent in users, not unbiased
    (Hajek 1971; Swaminathan & Joachims, NeurIPS 2015). Equal scores count by the mean over their orders.
    """

    labels = frozenset({"sampled"})
    higher_is_better = True
    ranks_users = True
    labels_are_gains = True
    streams = True
    under_affine = "undefined"
    gained: Tensor
    weighed: Tensor
    total: Tensor
    rankings: Tensor
    row_weight: Tensor

    def __init__(self, num_clusters: int, *, k: Annotated[int, Field(gt=0)] = 10, form: Form = "ips") -> None:
        super().__init__()
        self.k, self.form = k, form
        for state in ("gained", "weighed", "total", "rankings"):
            self.add_state(state, torch.zeros(num_clusters, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("row_weight", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    @abstractmethod
    def row_terms(self, rows: RankedSample) -> tuple[Tensor, Tensor]:
        """Return `w c y` and `w c` of each row, float64[P]."""

    @abstractmethod
    def candidate_terms(self, candidates: Tensor) -> Tensor:
        """Return the sum of c over all candidates, float64[M], of rankings of so many items."""

    def update_sampled(self, rows: RankedSample) -> None:
        """Add the rankings of some users, none of whom comes again."""
        self._computed, self._update_count = None, self._update_count + 1
        gained, weighed = self.row_terms(rows)
        self.gained.index_add_(0, rows.user, gained)
        self.weighed.index_add_(0, rows.user, weighed)
        self.total.index_add_(0, rows.users, self.candidate_terms(rows.candidates))
        self.rankings.index_add_(0, rows.users, torch.ones_like(rows.users, dtype=torch.float64))
        self.row_weight += torch.stack([weighed.sum(), weighed.square().sum()])

    @property
    def effective_rows(self) -> float:
        """How many rows of equal weight would say as much, `(sum w c)^2 / sum (w c)^2`; 0 without any."""
        total, squares = self.row_weight.tolist()
        return total**2 / squares if squares else 0.0

    @property
    def note(self) -> str:
        return f"{self.effective_rows:.0f} effective rows" if self.effective_rows < LEAST else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        if self.effective_rows >= LEAST:
            return ()
        return (
            f"the sampled rows among the first {self.k} of the rankings weigh as much as {self.effective_rows:.0f} "
            f"alike, too few for intervals to hold the truth as often as they say",
        )

    def compute(self) -> Tensor:
        return self.replicates(torch.ones(1, len(self.rankings), dtype=torch.float64))[0]

    def replicates(self, weights: Tensor) -> Tensor:
        mean = (weights @ self.gained) / (weights @ self.rankings)
        if self.form == "ips":
            return mean
        return mean * (weights @ self.total) / (weights @ self.weighed)

    def update(self, scored: Scored) -> None:
        raise CausalRecError(f"{type(self).__name__}: is of whole rankings, not of rows")

    def on_subsets(self, subsets: Subsets) -> Tensor:
        raise CausalRecError(f"{type(self).__name__}: is of whole rankings, not of rows")


class AbstractPlaceSum(AbstractSampledMetric):
    """A sum over the first k places of the outcome there times what the place is worth."""

    @abstractmethod
    def place_values(self) -> Tensor:
        """Return what each of the first k places is worth, float64[k]."""

    def row_terms(self, rows: RankedSample) -> tuple[Tensor, Tensor]:
        until = self._worth_until()
        last, first = (rows.greater + rows.equal).clamp_max(self.k), rows.greater.clamp_max(self.k)
        weighed = rows.weight * (until[last] - until[first]) / rows.equal
        return weighed * rows.gain, weighed

    def candidate_terms(self, candidates: Tensor) -> Tensor:
        return self._worth_until()[candidates.clamp_max(self.k)]

    def _worth_until(self) -> Tensor:
        """Return what the first 0, 1, .. k places are worth together, float64[k+1]."""
        return torch.cat([torch.zeros(1, dtype=torch.float64), self.place_values().cumsum(0)])
