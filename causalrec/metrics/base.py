"""The contract of a metric: a torchmetrics.Metric that can also be recomputed under resampled users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from causalrec.data.card import DatasetCard
from causalrec.metrics.ranks import RankedRows, order_of, rank_sorted_rows
from causalrec.types import LabelKind

UnderAffine = Literal["invariant", "scales", "squares", "shifts", "undefined"]


@dataclass(frozen=True)
class Scored:
    """Predictions beside labels.

    Attributes:
        prediction: `[N]`, the mean outcome in the outcome's unit, or an effect.
        label: `[N]`, observed outcomes, true rates, or true effects.
        cluster: int64[N], the user (the row, in userless logs).
        constant: the training mean outcome.
        chosen: int64[N], the likeliest class, where the chance of each was predicted.
        treatment: int64[N], 1 under the arm compared and 0 under none, where effects were predicted.
        propensity: `[N]`, the probability of treatment 1.
        drawn_effect: `[N]`, the difference of both drawn outcomes, which only a simulation tells.
        centred_label: `[N]`, labels less what a regression that is the same for every model predicts of them.
        weight: `[N]`, how many rows a row stands for; None: 1.
    """

    prediction: Tensor
    label: Tensor
    cluster: Tensor
    constant: float
    chosen: Tensor | None = None
    treatment: Tensor | None = None
    propensity: Tensor | None = None
    drawn_effect: Tensor | None = None
    centred_label: Tensor | None = None
    weight: Tensor | None = None

    def where(self, mask: Tensor) -> Scored:
        """Return the rows of a mask `[N]`, or at places `[M]`."""
        columns = {name: column for name, column in vars(self).items() if isinstance(column, Tensor)}
        taken: dict[str, Any] = {f.name: columns[f.name][mask] for f in fields(self) if f.name in columns}
        return replace(self, **taken)

    @property
    def classes(self) -> tuple[Tensor, Tensor]:
        """The predicted and the true class of each row, int64[N]: a mean outcome counts as the nearest whole number."""
        chosen = torch.floor(self.prediction + 0.5).long() if self.chosen is None else self.chosen
        return chosen, torch.floor(self.label + 0.5).long()

    @cached_property
    def orders(self) -> tuple[Tensor, Tensor]:
        """The rows by user, then falling prediction; and by user, then falling label."""
        return order_of(self.prediction, self.cluster), order_of(self.label, self.cluster)

    @cached_property
    def ranked_rows(self) -> RankedRows:
        """The rows ranked within users."""
        order, best = self.orders
        return rank_sorted_rows(self.prediction[order], self.label[order], self.label[best], self.cluster[order])


@dataclass(frozen=True)
class Subsets:
    """Subsets of scored rows, looked at together: `mask` bool[S,N] says who is in each; `num_clusters` in all rows."""

    scored: Scored
    mask: Tensor
    num_clusters: int

    def __len__(self) -> int:
        return len(self.mask)

    @cached_property
    def rows(self) -> Scored:
        """All subsets' rows one after another; cluster c of subset s is `s * num_clusters + c`."""
        subset, row = self.mask.nonzero(as_tuple=True)
        return self._take(subset, row)

    @cached_property
    def ranked_rows(self) -> RankedRows:
        """The rows ranked within users and subsets: what was sorted once stays sorted where rows are left out."""
        order, best = self.scored.orders
        subset, position = self.mask[:, order].nonzero(as_tuple=True)
        rows = self._take(subset, order[position])
        ideal = self.scored.label[best[self.mask[:, best].nonzero(as_tuple=True)[1]]]
        return rank_sorted_rows(rows.prediction, rows.label, ideal, rows.cluster)

    def _take(self, subset: Tensor, row: Tensor) -> Scored:
        rows = self.scored.where(row)
        return replace(rows, cluster=rows.cluster + subset * self.num_clusters)


class AbstractMetric(Metric, ABC):
    """Built by the evaluator as `Metric(num_clusters, **yaml)`; `labels` says which labels it is defined for,
    `ranks_users` whether it ranks the rows of a user, and so is undefined in a userless log; `labels_are_gains` whether
    it adds labels up as gains, and so is undefined where one is negative; `counts_positives` whether it is undefined
    where a label is neither 0 nor 1, of a kind that may be either; `absolute` whether it is the absolute value
    |m| of a mean: on resampled rows and on subsets it is `sign(m) m*` then, which may be negative; `reflects` whether
    chance adds to it, on resampled rows once more, so that replicates are reflected at the value; `weighs_first`
    whether it is of a curve over all rows by rank, so that few rows decide where it begins; `streams` whether it keeps
    sums by user alone of what `update_users` adds, and no rows.

    `under_affine` says how its value moves where outcomes y become `a y + b`, a > 0, and predictions with them:
    `invariant`: not; `scales`: times a; `squares`: times a squared; `shifts`: to a times it plus b; `undefined`: it is
    for outcomes 0 and 1, classes, counts or gains from 0 alone, so that none of these holds. Of observed outcomes that
    are weighed by inverse propensity it holds where both arms have the same weight at every step of a ranking.
    """

    labels: ClassVar[frozenset[LabelKind]]
    ranks_users: ClassVar[bool] = False
    labels_are_gains: ClassVar[bool] = False
    counts_positives: ClassVar[bool] = False
    absolute: ClassVar[bool] = False
    reflects: ClassVar[bool] = False
    weighs_first: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    under_affine: ClassVar[UnderAffine]

    def check(self, card: DatasetCard) -> None:
        """Raise RequestError where the data set lacks what it reads beside predictions, before any file is read.

        Its message begins with the setting (`column=x: ..`): the run puts the metric's name before it.
        """
        return

    @property
    def note(self) -> str:
        """What stands beside the value wherever it is shown, in a few words; empty for nothing."""
        return ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be read with the value, a line each."""
        return ()

    @abstractmethod
    def update(self, scored: Scored) -> None:
        """Add scored rows."""

    def update_users(self, scored: Scored) -> None:
        """Add all rows of some users, none of whom comes again: where a metric ranks users, it need keep no rows."""
        self.update(scored)

    @abstractmethod
    def compute(self) -> Tensor:
        """Return the value, a scalar."""

    def of_empirical(self) -> Tensor:
        """Return what the values of resampled rows estimate, a scalar: the metric, were these rows all there are."""
        value: Tensor = self.compute()
        return value

    @property
    def cuts_at_zero(self) -> bool:
        """Whether its value is never negative though replicates may be, so that its interval ends at 0."""
        return self.absolute or self.reflects

    @abstractmethod
    def replicates(self, weights: Tensor) -> Tensor:
        """Return the value under each row of user weights float64[R,U], `[R]`."""

    @abstractmethod
    def on_subsets(self, subsets: Subsets) -> Tensor:
        """Return the value on each of the subsets, `[S]`, whatever was added before."""


class AbstractRatio(AbstractMetric):
    """A metric that is a ratio of sums over users: a mean over rows, or over users."""

    streams = True
    numerator: Tensor
    denominator: Tensor

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        for state in ("numerator", "denominator"):
            self.add_state(state, torch.zeros(num_clusters, dtype=torch.float64), dist_reduce_fx="sum")

    @abstractmethod
    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        """Return (numerator, denominator, cluster) of each row or user that counts."""

    def finish(self, ratio: Tensor) -> Tensor:
        """Turn the ratio into the metric (the identity, unless overridden)."""
        return ratio

    def finish_resampled(self, ratio: Tensor, whole_ratio: Tensor) -> Tensor:
        """Turn ratios of resampled rows or subsets into the metric (`finish`, unless it is an absolute value).

        `whole_ratio`: that of all rows, a scalar.
        """
        return self.finish(ratio)

    def update(self, scored: Scored) -> None:
        numerator, denominator, cluster = self.ratio_terms(scored)
        self.numerator.index_add_(0, cluster, numerator.double())
        self.denominator.index_add_(0, cluster, denominator.double())

    def compute(self) -> Tensor:
        return self.finish(self.numerator.sum() / self.denominator.sum())

    def replicates(self, weights: Tensor) -> Tensor:
        ratio = (weights @ self.numerator) / (weights @ self.denominator)
        return self.finish_resampled(ratio, self.numerator.sum() / self.denominator.sum())

    def on_subsets(self, subsets: Subsets) -> Tensor:
        numerator, denominator, cluster = self.ratio_terms(subsets.rows)
        subset, zeros = cluster // subsets.num_clusters, torch.zeros(2, len(subsets), dtype=torch.float64)
        sums = zeros.index_add_(1, subset, torch.stack([numerator.double(), denominator.double()]))
        whole_numerator, whole_denominator, _ = self.ratio_terms(subsets.scored)
        return self.finish_resampled(sums[0] / sums[1], whole_numerator.sum() / whole_denominator.sum())
