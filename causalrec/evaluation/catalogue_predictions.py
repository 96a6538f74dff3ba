"""Predictions of all items for blocks of users, by whatever predicts: a product of towers, or pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from causalrec.evaluation.slice.base import AnySliceData, SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.types import Floats, Ints

Predict = Callable[[SliceData], Floats]
CatalogueScorer = Callable[[Ints], Tensor]  # users int64[B] -> float32[B,I], to write to, until the next call
PAIR_BYTES = 1 << 10  # that predicting a pair takes, at most, where it is not one entry of a product


class ScoreBuffer:
    """Memory for the scores of a block that those of the next block are written to: fresh memory takes longer to touch
    than a product to make.
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def __call__(self, rows: int, columns: int, device: torch.device | str = "cpu") -> Tensor:
        """Return float32[rows,columns], of any values."""
        if self._memory.numel() < rows * columns or self._memory.device != torch.device(device):
            self._memory = torch.empty(rows * columns, device=device)
        return self._memory[: rows * columns].view(rows, columns)


@runtime_checkable
class PredictsCatalogue(Protocol):
    """Something that predicts all items of a user cheaper than pair by pair."""

    def catalogue_scorer(self, data: CatalogueData, pairs_at_once: int) -> CatalogueScorer:
        """Return what predicts all items of users.

        Args:
            data: the slice.
            pairs_at_once: how many pairs may be predicted together where they are predicted one by one.
        """


def catalogue_scorer(predict: Predict, data: CatalogueData, memory: int) -> CatalogueScorer:
    """Return what predicts all items of users for a slice, at most `memory` bytes in use."""
    pairs_at_once = max(1, memory // PAIR_BYTES)
    if isinstance(predict, PredictsCatalogue):
        return predict.catalogue_scorer(data, pairs_at_once)
    return pair_scorer(predict, data, pairs_at_once)


def pair_scorer(predict: Predict, data: CatalogueData, pairs_at_once: int) -> CatalogueScorer:
    """Return what predicts all items of users pair by pair, `pairs_at_once` at a time."""

    def score(users: Ints) -> Tensor:
        scores = np.empty(len(users) * data.num_items, np.float32)
        for start in range(0, len(scores), pairs_at_once):
            codes = np.arange(start, min(start + pairs_at_once, len(scores)))
            pairs = pairs_of(data, users[codes // data.num_items], codes % data.num_items)
            scores[codes] = of_arm(predict(pairs), data.arm)
        return torch.from_numpy(scores.reshape(len(users), -1))

    return score


def predict_some(predict: Predict, data: CatalogueData, most: int) -> tuple[Floats, Floats]:
    """Return predictions beside true numbers of all items of evenly spread users, float32[N] each, N at most `most`."""
    assert data.truth is not None
    count = min(max(1, most // data.num_items), len(data.users))
    users = data.users[np.unique(np.linspace(0, len(data.users) - 1, count).astype(np.int64))]
    prediction = catalogue_scorer(predict, data, most * PAIR_BYTES)(users).cpu().numpy()
    return prediction.ravel(), data.truth(users[:, None], data.every_item).ravel()


def blocks_of_rows(data: AnySliceData, pairs_at_once: int) -> Iterator[SliceData]:
    """Yield a slice as it is, or the rows of a whole catalogue with their true numbers, at most so many at a time."""
    if isinstance(data, SliceData):
        yield data
        return
    assert data.truth is not None
    for users in data.blocks(max(1, pairs_at_once // data.num_items)):
        user, item = np.repeat(users, data.num_items), np.tile(data.every_item[0], len(users))
        yield replace(pairs_of(data, user, item), label=data.truth(user, item))


def pairs_of(data: CatalogueData, user: Ints, item: Ints) -> SliceData:
    """Return some pairs of a slice as rows without labels, as a predictor reads them."""
    nothing = np.zeros(len(item), np.float32)
    return SliceData(
        name=data.name, kind=data.kind, user=user, item=item, label=nothing, num_users=data.num_users, arm=data.arm
    )


def of_arm(prediction: Floats, arm: int) -> Floats:
    """Return float32[N] of float32[N] numbers, float32[N,C] chances of classes, or float32[N,A] effects of arms."""
    if arm:
        return prediction if prediction.ndim == 1 else prediction[:, arm - 1]
    return means(prediction)


def means(prediction: Floats) -> Floats:
    """Return mean outcomes float32[N]; the expected class of chances float32[N,C].

    >>> means(np.array([[0.5, 0.0, 0.5]], dtype=np.float32)).tolist()
    [1.0]
    """
    if prediction.ndim == 1:
        return prediction
    return (prediction @ np.arange(prediction.shape[1])).astype(np.float32)
