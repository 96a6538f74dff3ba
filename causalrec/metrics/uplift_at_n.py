"""Uplift@N: what recommending each user's N best rows gains, by the outcomes of those that were exposed and not."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from causalrec.metrics.base import Scored, Subsets
from causalrec.metrics.ranks import order_of, rank_sorted_rows
from causalrec.metrics.uplift_rows import AbstractObservedOutcomeMetric, Clip

Variant = Literal["naive", "ips", "snips"]
TOGETHER = 1 << 22  # rows of subsets that are held at once


def uplift_by_user(
    scored: Scored, num_users: int, k: int, variant: Variant = "naive", clip: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Return (Uplift@N, whether it is defined), each `[U]`, of the rows of an `uplift` slice, N = k.

    In the outcome's unit; equal predictions at the cut count as fractions.

    Args:
        scored: the rows, with treatment and propensity.
        num_users: U.
        k: length of the list.
        variant: `naive`: mean outcome of the exposed among the user's k best rows, less that of the others among them
            (eq. 4); `snips`: means weighted by `1 / e` and `1 / (1 - e)` (eq. 5); both need both kinds among the k
            best. `ips`: sums so weighted over the number of the k best (eq. 2).
        clip: propensities are clipped to [clip, 1 - clip].

    Assumption: `naive`: exposure is random within the k best; the others: it is random given the propensity. Source:
    Sato et al. (RecSys 2019).

    >>> rows = torch.tensor([0.9, 0.8]), torch.tensor([1.0, 1.0]), torch.tensor([0, 0])
    >>> exposed = Scored(*rows, 0.0, None, torch.tensor([1, 0]), torch.tensor([0.5, 0.25]))
    >>> [round(float(uplift_by_user(exposed, 1, 2, variant)[0]), 4) for variant in ("naive", "ips")]
    [0.0, 0.3333]
    """
    return _of_sorted_rows(scored.where(order_of(scored.prediction, scored.cluster)), num_users, k, variant, clip)


def _of_sorted_rows(scored: Scored, num_users: int, k: int, variant: Variant, clip: float) -> tuple[Tensor, Tensor]:
    """Return what `uplift_by_user` does, of rows by user, then falling prediction."""
    assert scored.treatment is not None and scored.propensity is not None
    score, outcome, user = scored.prediction, scored.label.double(), scored.cluster
    exposed = (scored.treatment == 1).double()
    probability = scored.propensity.double().clamp(clip, 1 - clip)
    treated, control = (
        (exposed, 1 - exposed) if variant == "naive" else (exposed / probability, (1 - exposed) / (1 - probability))
    )

    def of_best(column: Tensor) -> Tensor:
        ranks = rank_sorted_rows(score, column, column, user)
        return ranks.per_user(torch.where(ranks.rank < k, ranks.gain, 0.0), num_users)

    gained, lost = of_best(treated * outcome), of_best(control * outcome)
    if variant == "ips":
        count = torch.bincount(user, minlength=num_users).clamp_max(k)
        return (gained - lost) / count.clamp_min(1), count > 0
    exposed_weight, other_weight = of_best(treated), of_best(control)
    defined = (exposed_weight > 0) & (other_weight > 0)
    return torch.where(defined, gained / exposed_weight - lost / other_weight, 0.0), defined


class UpliftAtN(AbstractObservedOutcomeMetric):
    """Mean over users of Uplift@N; users whose k best rows are all exposed, or all not, are left out.

    Args:
        num_clusters: number of users (of rows, in userless logs).
        k: N, the length of the list.
        variant: of `uplift_by_user`.
        clip: propensities are clipped to [clip, 1 - clip].
    """

    ranks_users = True
    under_affine = "scales"

    def __init__(
        self,
        num_clusters: int,
        *,
        k: Annotated[int, Field(gt=0)] = 10,
        variant: Variant = "naive",
        clip: Clip = 0.01,
    ) -> None:
        super().__init__(num_clusters)
        self.k, self.variant, self.clip = k, variant, clip

    def compute(self) -> Tensor:
        value, defined = self._by_user()
        return value.sum() / defined.sum()

    def replicates(self, weights: Tensor) -> Tensor:
        value, defined = self._by_user()
        return (weights @ value) / (weights @ defined.double())

    def on_subsets(self, subsets: Subsets) -> Tensor:
        order = subsets.scored.orders[0]
        rows, mask = subsets.scored.where(order), subsets.mask[:, order]
        few = max(1, TOGETHER // max(1, len(order)))
        return torch.cat([self._on_few(rows, some, subsets.num_clusters) for some in torch.split(mask, few)])

    def _on_few(self, rows: Scored, mask: Tensor, num_clusters: int) -> Tensor:
        """Return the value on subsets of sorted rows that are held at once: what is sorted stays so without others."""
        subset, row = mask.nonzero(as_tuple=True)
        taken = rows.where(row)
        taken = replace(taken, cluster=taken.cluster + subset * num_clusters)
        value, defined = _of_sorted_rows(taken, len(mask) * num_clusters, self.k, self.variant, self.clip)
        return value.view(len(mask), -1).sum(1) / defined.view(len(mask), -1).sum(1)

    def _by_user(self) -> tuple[Tensor, Tensor]:
        return uplift_by_user(self._concatenate(), self.num_clusters, self.k, self.variant, self.clip)
