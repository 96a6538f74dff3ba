"""How all items of many users are ranked at once: by products of towers where the model has some, else pair by pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.data.pair_lists import PairLists
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.prepared import PreparedData
from causalrec.types import Floats, Ints, LabelKind

if TYPE_CHECKING:  # what is asked is judged without torch
    from causalrec.learners.predictor import AbstractPredictor


@dataclass(frozen=True, kw_only=True)
class CatalogueRequest:
    """All items of many users, to be ranked.

    Attributes:
        treatment: the arm whose effect is meant, 1..A.
        excluded: pairs that are no candidates, whose scores nobody reads; None: none are.
        memory: bytes that the scores of a block, and what makes them, may take.
    """

    treatment: int = 1
    excluded: PairLists | None = None
    memory: int = 1 << 28


@dataclass(frozen=True, kw_only=True)
class CatalogueRanking:
    """How all items of users are ranked.

    Attributes:
        column: what the number is called, as of `Ranking`.
        score: users int64[B] -> float32[B,I], the higher the better; to write to, until the next call.
        note: what must be read with it, one line; None: nothing.
    """

    column: str
    score: Callable[[Ints], Floats]
    note: str | None = None


def score_catalogue(
    prepared: PreparedData, predictor: AbstractPredictor, request: CatalogueRequest, kind: LabelKind
) -> Callable[[Ints], Floats]:
    """Return what predicts all items of users int64[B], float32[B,I].

    Args:
        prepared: whose users and items they are.
        predictor: what was learnt.
        request: for whom, and within which memory.
        kind: `effect` for that of the treatment, `rate` for mean outcomes.
    """
    from causalrec.evaluation.catalogue_predictions import catalogue_scorer

    log = prepared.dataset.logged
    data = CatalogueData(
        name="all items",
        kind=kind,
        users=np.arange(max(log.num_users, 1)),
        num_users=log.num_users,
        num_items=log.num_items,
        excluded=request.excluded,
        arm=request.treatment if kind == "effect" else 0,
    )
    scorer = catalogue_scorer(predictor, data, request.memory)
    return lambda users: scorer(users).cpu().numpy()


def score_by_pairs(
    rank: Callable[[Ints, Ints], Floats], num_items: int, pairs_at_once: int
) -> Callable[[Ints], Floats]:
    """Return what ranks all items of users pair by pair, so many at a time.

    >>> score_by_pairs(lambda user, item: np.float32(10 * user + item), 3, 2)(np.array([4, 2])).tolist()
    [[40.0, 41.0, 42.0], [20.0, 21.0, 22.0]]
    """

    def score(users: Ints) -> Floats:
        values = np.empty(len(users) * num_items, np.float32)
        for start in range(0, len(values), pairs_at_once):
            codes = np.arange(start, min(start + pairs_at_once, len(values)))
            values[codes] = rank(users[codes // num_items], codes % num_items)
        return values.reshape(len(users), num_items)

    return score
