"""Lists of users, made of the scores of all items a block of users at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from causalrec.catalogue.lists import NO_ITEM, Candidates, Lists
from causalrec.config.component import ComponentConfig
from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import AbstractSlice, AnySliceData
from causalrec.evaluation.slice.catalogue import CatalogueData, ListRequest
from causalrec.evaluation.tie_breaks import best_items
from causalrec.metrics.base import AbstractMetric
from causalrec.metrics.list.base import AbstractListMetric
from causalrec.types import Ints


def lacks_gains(metric: type[AbstractMetric], data: AnySliceData) -> bool:
    """Whether a metric reads what places of lists are worth, and nothing tells it of this slice."""
    if not (issubclass(metric, AbstractListMetric) and metric.reads_gains and isinstance(data, CatalogueData)):
        return False
    return data.lists is not None and data.lists.gains is None


def require_lists(
    metrics: Mapping[str, ComponentConfig[AbstractMetric]], slices: Mapping[str, ComponentConfig[AbstractSlice]]
) -> None:
    """Raise RequestError where a metric is of lists and no slice makes any, so that it would say nothing."""
    names = _list_metrics(metrics)
    if names and not any(_makes_lists(component) for component in slices.values()):
        raise RequestError(
            f"metric={names[0]}: is of the lists that users are shown, and no slice makes any; add '+slice=[lists]'"
        )


def require_list_rows(
    metrics: Mapping[str, ComponentConfig[AbstractMetric]], slices: Sequence[AnySliceData], name: str
) -> None:
    """Raise RequestError where a metric is of lists, and the data set of that name has none."""
    if (names := _list_metrics(metrics)) and not any(data.kind == "lists" for data in slices):
        raise RequestError(
            f"metric={names[0]}: is of the lists that users are shown, and {name} has no users, or no items to choose "
            f"from; leave it out"
        )


def _list_metrics(metrics: Mapping[str, ComponentConfig[AbstractMetric]]) -> list[str]:
    return [name for name, metric in metrics.items() if issubclass(metric.target, AbstractListMetric)]


def _makes_lists(component: ComponentConfig[AbstractSlice]) -> bool:
    inner = component.arguments.get("of")
    return component.target.makes_lists or (isinstance(inner, ComponentConfig) and _makes_lists(inner))


def exclude_pairs(data: CatalogueData, users: Ints, score: Tensor) -> None:
    """Give the pairs that are no candidates the score -inf, in `score[B,I]` of some users."""
    if data.candidate_items is not None:
        score[:, torch.from_numpy(~data.candidate_items).to(score.device)] = -torch.inf
    if data.excluded is not None:
        row, item = map(torch.from_numpy, data.excluded.of_users(users))
        score[row.to(score.device), item.to(score.device)] = -torch.inf


def update_lists(
    slices: Sequence[CatalogueData],
    metrics: Sequence[Mapping[str, AbstractMetric]],
    users: Ints,
    score: Tensor,
    constant: float,
) -> None:
    """Make the lists of some users, and add them to the metrics of each slice.

    Args:
        slices: of the same users and candidates.
        metrics: of each slice.
        users: int64[B].
        score: float32[B,I], which is written to.
        constant: the training mean outcome, which no list reads.
    """
    exclude_pairs(slices[0].subset_of or slices[0], users, score)
    requests = [data.lists for data in slices if data.lists is not None]
    candidates = best_candidates(users, score, max(max(each.k, each.num_candidates) for each in requests))
    for data, request, of_slice in zip(slices, requests, metrics, strict=True):
        inside = data.is_user[users]
        lists = make_lists(request, candidates, inside)
        for metric in of_slice.values():
            assert isinstance(metric, AbstractListMetric)
            metric.update_lists(lists)


def best_candidates(users: Ints, score: Tensor, count: int) -> Candidates:
    """Return the best `count` items (or all) of users by `score[B,I]`, of which -inf marks what is no candidate.

    Items whose scores tie are ordered at random, alike for every model and list: a constant ranks like chance.
    """
    user = torch.from_numpy(users).to(score.device)
    value, item = (best.cpu().numpy() for best in best_items(user, score, min(count, score.shape[1])))
    return Candidates(users, np.where(np.isfinite(value), item, NO_ITEM), value)


def make_lists(request: ListRequest, candidates: Candidates, inside: np.ndarray) -> Lists:
    """Return the lists of the users of a mask, bool[B], of a slice."""
    user, item, score = candidates.user[inside], candidates.item[inside], candidates.score[inside]
    if request.rerank is None:
        chosen = item[:, : request.k]
    else:
        width = max(request.k, request.num_candidates)
        position = request.rerank(Candidates(user, item[:, :width], score[:, :width]), request.k)
        chosen = np.where(position < 0, NO_ITEM, np.take_along_axis(item, np.maximum(position, 0), 1))
    gain = None if request.gains is None else request.gains(user, chosen)
    return Lists(user, chosen, gain, request.facts)
