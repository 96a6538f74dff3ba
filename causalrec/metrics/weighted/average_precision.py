"""Average precision at K of whole rankings, from pairs of sampled outcomes."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.weighted.base import AbstractSampledMetric, RankedSample


class WeightedAP(AbstractSampledMetric):
    """Mean over users of AP@k of all candidates over k places, from pairs of test rows among the k best.

    `(1 / k) sum over candidates i with rank r_i <= k of y_i (1 / r_i) sum over j with r_j <= r_i of y_j`: relevance
    times precision, averaged over the k places and not over the user's positives, of which a sample tells no unbiased
    inverse. A pair i, j of test rows is weighted by 1 / (p_i p_j), a row with itself by 1 / p_i; where n of a user's N
    items were drawn without replacement, which no two rows are in independently, by N (N - 1) / (n (n - 1)).

    Assumption: any other two rows are in the test independently of each other.
    """

    counts_positives = True

    def row_terms(self, rows: RankedSample) -> tuple[Tensor, Tensor]:
        with_above, with_tied = self._coefficients(rows.greater, rows.equal)
        terms = []
        for mass in (rows.weight * rows.gain, rows.weight):
            above, tied = _mass_of_others(mass, rows)
            terms.append(mass * (with_above * (1 + above) + with_tied * tied))
        return terms[0], terms[1]

    def candidate_terms(self, candidates: Tensor) -> Tensor:
        return candidates.clamp_max(self.k).double() / self.k

    def _coefficients(self, greater: Tensor, equal: Tensor) -> tuple[Tensor, Tensor]:
        """Return c of a row with itself and with any row above it, and with any of the same score, float64[P] each.

        The places of a row are those of its run: the first is the mean of 1 / place over these, the second that of
        (rows of the run before it) / place over (rows of the run but it).
        """
        inverse = 1 / torch.arange(1, self.k + 1, dtype=torch.float64)
        until = torch.cat([torch.zeros(1, dtype=torch.float64), inverse.cumsum(0)])
        last, first = (greater + equal).clamp_max(self.k), greater.clamp_max(self.k)
        inverses = until[last] - until[first]
        before = (last - first) - (greater + 1) * inverses
        return inverses / equal / self.k, before / (equal * (equal - 1)).clamp_min(1) / self.k


def _mass_of_others(mass: Tensor, rows: RankedSample) -> tuple[Tensor, Tensor]:
    """Return what the user's rows of higher scores have of `mass[P]` together, and other rows of the same score, each
    over what the probability of both is of the product.
    """
    codes = rows.user * (int(rows.greater.max()) + 1 if len(rows.greater) else 1) + rows.greater
    _, run = torch.unique(codes, return_inverse=True)
    _, user = torch.unique(rows.user, return_inverse=True)
    alone = rows.pair_ratio == 1
    above, tied = torch.zeros(2, len(mass), dtype=torch.float64)
    for drawn_together, of_kind in ((False, mass * alone), (True, mass * ~alone)):
        of_run, of_user = (torch.zeros(len(mass), dtype=torch.float64).index_add_(0, at, of_kind) for at in (run, user))
        before_run, before_user = of_run.cumsum(0) - of_run, of_user.cumsum(0) - of_user
        ratio = torch.where(alone, 1.0, rows.pair_ratio) if drawn_together else 1.0
        above += (before_run[run] - before_user[user]) / ratio
        tied += (of_run[run] - of_kind) / ratio
    return above, tied
