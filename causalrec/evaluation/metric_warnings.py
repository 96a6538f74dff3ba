"""What a reader must know of a metric on a slice: where it is left out, where any order scores alike, and where an
interval rests on little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from causalrec.config.component import ComponentConfig
from causalrec.evaluation.evaluator import Score
from causalrec.evaluation.jackknife import FEW_CLUSTERS
from causalrec.evaluation.list_updates import lacks_gains
from causalrec.evaluation.slice.base import AnySliceData, SliceData
from causalrec.metrics.base import AbstractMetric

SHORT_LISTS = 0.5  # of the users, from which on a ranking's scores are warned of


def undefined_metrics(
    metrics: Mapping[str, ComponentConfig[AbstractMetric]], slices: Sequence[AnySliceData]
) -> list[str]:
    """Return one line for each slice on which metrics of gains are left out: one is negative, or none is told."""
    gains = [name for name, chosen in metrics.items() if chosen.target.labels_are_gains]
    lines = []
    for data in slices:
        names = [name for name in gains if data.kind in metrics[name].target.labels and data.num_users]
        counting = [name for name in names if metrics[name].target.counts_positives]
        if counting and data.subset_of is None and not data.has_negative_labels and data.has_graded_labels:
            lines.append(
                f"{', '.join(counting)} are left out on {data.name}: they count positives, and outcomes are graded"
            )
        if names and data.subset_of is None and data.has_negative_labels:
            lines.append(f"{', '.join(names)} are left out on {data.name}: they add outcomes up, and some are negative")
        names = [name for name, chosen in metrics.items() if lacks_gains(chosen.target, data)]
        if names and data.subset_of is None:
            lines.append(f"{', '.join(names)}: left out on {data.name}, as nothing tells what its items are worth")
    return lines


def unjudged_samples(
    metrics: Mapping[str, ComponentConfig[AbstractMetric]], slices: Sequence[AnySliceData]
) -> list[str]:
    """Return one line for each slice of a sample that no metric of the run is of."""
    defined = {kind for chosen in metrics.values() for kind in chosen.target.labels}
    unjudged = [data.name for data in slices if data.kind == "sampled" and data.kind not in defined]
    return [f"{name}: no metric of the run is of it; add '+metric=[weighted_precision]'" for name in unjudged]


def short_lists(metrics: Mapping[str, ComponentConfig[AbstractMetric]], slices: Sequence[AnySliceData]) -> list[str]:
    """Return one line for each slice on which half of the users, or more, have no more candidates than a list takes.

    Such a user's list holds all candidates whoever ranks them: recall is 1, and NDCG of a constant comes near 1.
    """
    ranking = {
        name: chosen for name, chosen in metrics.items() if chosen.target.ranks_users and "k" in chosen.keyword_names
    }
    lines = []
    for data in slices:
        names = [name for name, chosen in ranking.items() if data.kind in chosen.target.labels]
        if data.subset_of is not None or not data.num_users or not len(data):
            continue
        candidates = data.list_lengths
        cut = {name: float((candidates <= cast("int", ranking[name].setting("k"))).mean()) for name in names}
        if short := [name for name, share in cut.items() if share >= SHORT_LISTS]:
            lines.append(
                f"{', '.join(short)} on {data.name}: {max(cut.values()):.0%} of the users have no more candidates "
                f"than the list takes (median {np.median(candidates):g}), so that even a constant scores high"
            )
    return lines


def missing_arms(slices: Sequence[AnySliceData]) -> list[str]:
    """Return one line for each slice that compares nothing: none of its rows received the arm, or none no treatment."""
    lines = []
    for data in slices:
        if data.lacks_arm:
            treated = data.treatment is not None and bool((data.treatment == 1).any())
            which = "is without treatment" if treated else f"received arm {data.arm}"
            lines.append(f"{data.name}: none of its {len(data):,} rows {which}, so that no effect is told there")
    return lines


def few_clusters(slices: Sequence[AnySliceData]) -> list[str]:
    """Return a line of the slices whose rows depend along an axis of few clusters: what an interval there is worth."""
    judged = [data for data in slices if isinstance(data, SliceData) and data.kind == "uplift" and not data.lacks_arm]
    counts = [(data.name, min(data.axis_sizes)) for data in judged]
    few = [f"{name} ({count})" for name, count in counts if count < FEW_CLUSTERS]
    if not few:
        return []
    return [
        f"few clusters on {', '.join(few)}: intervals take t quantiles of one degree of freedom fewer than clusters, "
        "and rest on a rough estimate of the variance"
    ]


def unknown_intervals(scores: Sequence[Score]) -> list[str]:
    """Return a line of the scores that have no interval, as they are not defined without some group of rows."""
    names = {
        f"{score.metric}@{score.slice}": None
        for score in scores
        if np.isfinite(score.value) and score.jackknife is not None and not np.isfinite(score.low)
    }
    if not names:
        return []
    return [f"{', '.join(names)}: no interval, as without some of the clusters there is no value, or there is but one"]
