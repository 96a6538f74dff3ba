"""The values of metrics without groups of rows: what paired differences, and intervals along two axes, rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from causalrec.evaluation.slice.base import SliceData
from causalrec.metrics.base import AbstractMetric, Scored, Subsets
from causalrec.types import Doubles, Ints

GROUPS = 20  # on each axis
MOST_JACKKNIFED = 100_000  # rows that judge outcomes: more are scored without
MANY_CLUSTERS = 1_000  # from which on percentiles of resamples cover (of 600 rows in 89 to 95 % for 95)
FEW_ROWS = 20_000  # up to which what is left without each group is kept from metric to metric
FEW_CLUSTERS = 30  # on an axis: below it each is a group, and no estimate of a variance is a good one


@dataclass(frozen=True)
class LeaveGroupsOut:
    """The same rows without each of G groups, along one axis, or along two and their intersection.

    Attributes:
        scored: all rows.
        num_clusters: number of users (of rows, in userless logs).
        axes: int64[N] each, which group a row is in.
        groups: G.
    """

    scored: Scored
    num_clusters: int
    axes: Sequence[Ints]
    groups: int

    def values(self, metric: AbstractMetric) -> Doubles:
        """Return the metric without each group, float64[3,G]; three times those of a single axis.

        Args:
            metric: all rows have been added to it.
        """
        values = np.stack([self._along(axis, metric) for axis in range(len(self.axes))])
        return values if len(values) == 3 else np.repeat(values, 3, axis=0)

    def _along(self, axis: int, metric: AbstractMetric) -> Doubles:
        left = self._left[axis] if len(self.scored.label) <= FEW_ROWS else self._left_along(self.axes[axis])
        return _doubles(metric.on_subsets(left) if isinstance(left, Subsets) else metric.replicates(left))

    @cached_property
    def _left(self) -> list[Subsets | Tensor]:
        """What is left along each axis, the same for all metrics: what is ranked there is ranked once."""
        return [self._left_along(axis) for axis in self.axes]

    def _left_along(self, axis: Ints) -> Subsets | Tensor:
        """Return weights of users float64[G,U] where none is torn apart by the axis, else subsets of rows."""
        group, each = torch.from_numpy(axis), torch.arange(self.groups)[:, None]
        of_cluster = torch.zeros(self.num_clusters, dtype=torch.int64)
        of_cluster[self.scored.cluster] = group
        if bool((of_cluster[self.scored.cluster] == group).all()):
            return (of_cluster != each).double()
        return Subsets(self.scored, group != each, self.num_clusters)


def _doubles(values: Tensor) -> Doubles:
    array: Doubles = values.double().numpy()
    return array


def leave_groups_out(data: SliceData, scored: Scored) -> LeaveGroupsOut | None:
    """Return what a slice's rows are without each group; None where that is neither needed nor worth its time.

    Rows that judge an effect by outcomes seen are grouped along the axes on which they depend; others by user, by item
    and by row. Groups are seeded permutations, the same for every model on a slice, so that differences are paired.

    Args:
        data: the slice.
        scored: its rows beside what was predicted.
    """
    rng = np.random.default_rng(0)
    if data.kind == "uplift":
        if not (data.jackknife or needs_jackknife(data)):
            return None
        fewest = min(data.axis_sizes)
        groups = fewest if fewest < FEW_CLUSTERS else GROUPS
        axes = [(rng.permutation(k) % groups)[axis] for k, axis in zip(data.axis_sizes, data.dependence, strict=True)]
        return LeaveGroupsOut(scored, data.num_clusters, axes, groups)
    if not data.jackknife or len(data) > MOST_JACKKNIFED:
        return None
    by = ((data.cluster, data.num_clusters), (data.item, int(data.item.max()) + 1), (np.arange(len(data)), len(data)))
    return LeaveGroupsOut(scored, data.num_clusters, [(rng.permutation(k) % GROUPS)[ids] for ids, k in by], GROUPS)


def needs_jackknife(data: SliceData) -> bool:
    """Whether intervals of a slice are those of the jackknife, not of the bootstrap.

    The bootstrap resamples users (or rows) alone, and its percentiles come too short where they are few. So an `uplift`
    slice has them where its rows depend along that axis alone, of `MANY_CLUSTERS` or more, and the jackknife elsewhere.
    """
    if data.kind != "uplift":
        return False
    if len(data.dependence) > 1 or min(data.axis_sizes) < MANY_CLUSTERS:
        return True
    return bool(data.clusters) and not _groups_alike(data.dependence[0], data.cluster)


def _groups_alike(first: Ints, second: Ints) -> bool:
    pairs = len(np.unique(first * (second.max() + 1) + second))
    return pairs == len(np.unique(first)) == len(np.unique(second))
