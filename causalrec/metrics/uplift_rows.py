"""Metrics of predicted effects against outcomes seen under treatment and under none."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from causalrec.errors import DataError
from causalrec.metrics.base import AbstractMetric, Scored, Subsets

BLOCK, TOGETHER = 1 << 13, 8  # rows and replicates a thread looks at together: what a core's cache holds
CELLS = ((1, 1), (1, 0), (0, 0), (0, 1))  # treated or not, and the outcome
Clip = Annotated[float, Field(ge=0, lt=0.5)]


@dataclass(frozen=True)
class Block:
    """Rows `first` to before `end`; `runs` int64[B+1]: how many of them there are at its start and after each run of
    equal predictions, None where no two are equal.
    """

    first: int
    end: int
    runs: Tensor | None = None


@dataclass(frozen=True)
class UpliftRows:
    """Rows by falling prediction.

    Attributes:
        prediction: float64[N], predicted effects.
        outcome: float64[N], observed outcomes.
        treated: float64[N], the inverse propensity weight `T / e`: 0 of a control.
        control: float64[N], the inverse propensity weight `(1 - T) / (1 - e)`: 0 of a treated row.
        propensity: float64[N], e, the probability of treatment 1.
        ends: int64[B], the last row of each run of equal predictions; a run is a single step, so that neither the order
            of rows nor chance matters.
        order: int64[N], the position of each row before sorting.
        weight: float64[N], how many rows each stands for; None: all as many.
    """

    prediction: Tensor
    outcome: Tensor
    treated: Tensor
    control: Tensor
    propensity: Tensor
    ends: Tensor
    order: Tensor
    weight: Tensor | None = None

    @cached_property
    def binary(self) -> bool:
        """Whether all outcomes are 0 or 1."""
        return bool(((self.outcome == 0) | (self.outcome == 1)).all())

    def blocks(self, size: int | None = None) -> list[Block]:
        """Return blocks of about `size` rows (None: `BLOCK`), none of which cuts a run in two."""
        count, size = len(self.order), size or BLOCK
        if len(self.ends) == count:
            return [Block(first, min(first + size, count)) for first in range(0, count, size)]
        goals = torch.tensor(range(size - 1, count - 1, size), dtype=torch.int64)
        last = torch.searchsorted(self.ends, goals).tolist()
        boundaries = sorted({-1, *last, len(self.ends) - 1})
        blocks = []
        for before, run in pairwise(boundaries):
            first = int(self.ends[before]) + 1 if before >= 0 else 0
            runs = pad(self.ends[before + 1 : run + 1] - first + 1, (1, 0))
            blocks.append(Block(first, int(self.ends[run]) + 1, runs))
        return blocks

    @cached_property
    def columns(self) -> tuple[Tensor, ...]:
        """What curves sum, float64[N] each: weights and weighted outcomes of the treated, then of controls."""
        return self.treated, self.treated * self.outcome, self.control, self.control * self.outcome

    @cached_property
    def cells(self) -> Tensor:
        """In which of `CELLS` each row is, float64[4,N] of 0 and 1; of outcomes 0 and 1."""
        arm = self.treated > 0
        inside = [(arm == bool(treated)) & (self.outcome == y) for treated, y in CELLS]
        return torch.stack(inside).double()


def uplift_rows(
    prediction: Tensor, outcome: Tensor, treatment: Tensor, propensity: Tensor | None = None, clip: float = 0.01
) -> UpliftRows:
    """Sort rows by falling prediction and weigh them by inverse propensity.

    Args:
        prediction: `[N]`, predicted effects.
        outcome: `[N]`, observed outcomes.
        treatment: `[N]`, 1 where treated, else 0.
        propensity: `[N]`, the probability of treatment 1; None: the same for all rows, so that nothing is weighed.
        clip: propensities are clipped to [clip, 1 - clip].
    """
    order = torch.argsort(prediction, descending=True, stable=True)
    _, counts = torch.unique_consecutive(prediction[order], return_counts=True)
    probability = torch.full_like(prediction, 0.5) if propensity is None else propensity.clamp(clip, 1 - clip)
    probability, treated = probability[order].double(), treatment[order] == 1
    return UpliftRows(
        prediction[order].double(),
        outcome[order].double(),
        torch.where(treated, 1 / probability, 0.0),
        torch.where(treated, 0.0, 1 / (1 - probability)),
        probability,
        counts.cumsum(0) - 1,
        order,
    )


class AbstractObservedOutcomeMetric(AbstractMetric):
    """Keeps the rows of an `uplift` slice until asked, as a metric of a ranking needs them all."""

    labels = frozenset({"uplift"})
    higher_is_better = True
    STATES: ClassVar = ("prediction", "label", "treatment", "propensity", "cluster", "weight")
    prediction: list[Tensor]
    label: list[Tensor]
    treatment: list[Tensor]
    propensity: list[Tensor]
    cluster: list[Tensor]
    weight: list[Tensor]

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        self.num_clusters = num_clusters
        for state in self.STATES:
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, scored: Scored) -> None:
        if scored.treatment is None or scored.propensity is None:
            raise DataError("metrics of uplift need the treatment of each row and its propensity; the slice has none")
        weight = torch.ones_like(scored.propensity) if scored.weight is None else scored.weight
        columns = (scored.prediction, self.outcome(scored), scored.treatment, scored.propensity, scored.cluster, weight)
        for state, column in zip(self.STATES, columns, strict=True):
            getattr(self, state).append(column)

    def outcome(self, scored: Scored) -> Tensor:
        """Return what counts as the outcome of each row, `[N]`: the label, unless overridden."""
        return scored.label

    def _concatenate(self) -> Scored:
        columns = (torch.cat(list(getattr(self, state))) for state in self.STATES)
        prediction, label, treatment, propensity, cluster, weight = columns
        return Scored(prediction, label, cluster, 0.0, None, treatment, propensity, weight=weight)


class AbstractUplift(AbstractObservedOutcomeMetric):
    """A function of all rows, sorted by falling prediction, and of their weights: sorted once for all replicates.

    `weights`: by inverse propensity (the same as none where the propensity is constant); `clip` bounds propensities.
    """

    weighs_first = True

    def __init__(self, num_clusters: int, *, weights: bool = True, clip: Clip = 0.01) -> None:
        super().__init__(num_clusters)
        self.weights, self.clip = weights, clip

    @abstractmethod
    def value(self, rows: UpliftRows, weight: Tensor) -> Tensor:
        """Return the metric `[R]` under row weights float64[R,N]; nan where it is not defined."""

    def compute(self) -> Tensor:
        rows = self._sort(self._concatenate())
        return self._values(rows, torch.ones(1, len(rows.order)), torch.arange(len(rows.order)))[0]

    def replicates(self, weights: Tensor) -> Tensor:
        scored = self._concatenate()
        rows = self._sort(scored)
        return self._values(rows, weights, scored.cluster[rows.order])

    def on_subsets(self, subsets: Subsets) -> Tensor:
        rows = self._sort(replace(subsets.scored, label=self.outcome(subsets.scored)))
        return self._values(rows, subsets.mask, rows.order)

    def _sort(self, scored: Scored) -> UpliftRows:
        assert scored.treatment is not None
        propensity = scored.propensity if self.weights else None
        rows = uplift_rows(scored.prediction, scored.label, scored.treatment, propensity, self.clip)
        if not self.weights or scored.weight is None or not (scored.weight != scored.weight[:1]).any():
            return rows
        return replace(rows, weight=scored.weight[rows.order].double())

    def _values(self, rows: UpliftRows, weights: Tensor, column: Tensor) -> Tensor:
        """Return the metric under the weights `[R,...]` of which `column[N]` is each row's."""
        if not len(column):
            return torch.full((len(weights),), float("nan"), dtype=torch.float64)
        chunks = torch.split(weights, max(TOGETHER, TOGETHER * BLOCK // len(column)))
        stands_for = 1.0 if rows.weight is None else rows.weight
        return torch.cat(
            in_threads(lambda chunk: self.value(rows, weight_columns(chunk.double(), column) * stands_for), chunks)
        )


def weight_columns(weights: Tensor, column: Tensor) -> Tensor:
    """Return the columns `[N]` of weights `[R,U]`, `[R,N]`."""
    return weights.gather(1, column.expand(len(weights), -1))


def in_threads(work: Callable[[Tensor], Tensor], chunks: Sequence[Tensor]) -> list[Tensor]:
    """Return the work on each part, a part to a thread: operations this small would wait for all threads each time."""
    threads = torch.get_num_threads()
    if len(chunks) == 1:
        return [work(chunks[0])]
    torch.set_num_threads(1)  # of an operation; new threads take it over
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, chunks))
    finally:
        torch.set_num_threads(threads)
