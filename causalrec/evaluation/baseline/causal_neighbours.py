"""Causal neighbours: the effect on a pair is read off what happened to similar users, or to similar items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field
from scipy import sparse

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.types import Bools, Count, Doubles, Estimand, Floats, Ints

CELLS = 1 << 22  # of similarities, or of effects, held at once
Side = TypeVar("Side")


@dataclass(kw_only=True)
class CausalNeighbours(AbstractBaseline):
    """The effect on a pair, from what happened to similar users, or to similar items.

    `m_a - m_0`, `[N,A]`, `m_a = sum of s y / (shrink + sum of s)` over the neighbours' rows of the item under a; `s` is
    a cosine to the power `power`. Pairs without a row count under no arm; the published code counts them as unexposed
    and not chosen. Outcomes must not be negative.

    Attributes:
        by: `user`: neighbours are users (CUBN); `item`: they are items, whose rows of the same user count (CIBN).
        alike: neighbours are alike in what they chose (`outcome`, weighed by it) or were exposed to (`treatment`).
        neighbours: how many count: the most similar with a cosine above 0, but not oneself.
        power: of the cosine.
        shrink: pulls each mean to 0, in units of s.

    Assumption: exposure is random among neighbours. Source: causal neighbourhoods, Sato et al. (2021); the defaults are
    those published for ML-100K by users and outcomes.
    """

    estimand: ClassVar[Estimand] = "effect"
    by: Literal["user", "item"] = "user"
    alike: Literal["outcome", "treatment"] = "outcome"
    neighbours: Count = 1000
    power: Annotated[float, Field(gt=0)] = 0.33
    shrink: Annotated[float, Field(gt=0)] = 30.0
    _chosen: list[sparse.csr_matrix] = field(init=False, repr=False)
    _logged: list[sparse.csr_matrix] = field(init=False, repr=False)
    _similar: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        rows, columns = self._orient(log.users, log.item)
        shape = self._orient(max(log.num_users, 1), log.num_items)
        arms = [log.treatment == arm for arm in range(int(log.treatment.max()) + 1)]

        def table(mask: Bools, value: Floats) -> sparse.csr_matrix:
            return sparse.csr_matrix((value[mask], (rows[mask], columns[mask])), shape, np.float64)

        indicator, every = np.ones(len(log), np.float32), np.ones(len(log), bool)
        self._chosen = [table(arm, log.outcome) for arm in arms]
        self._logged = [table(arm, indicator) for arm in arms]
        profiles = table(every, log.outcome) if self.alike == "outcome" else table(~arms[0], indicator)
        self._similar = most_similar(profiles, self.neighbours, self.power)

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        row, column = self._orient(user, item)
        effects = np.zeros((len(row), len(self._logged) - 1), np.float32)
        for block, inside in _blocks(row, max(1, CELLS // self._logged[0].shape[1])):
            means = [self._mean(block, arm) for arm in range(len(self._logged))]
            cell = np.searchsorted(block, row[inside]), column[inside]
            for arm, mean in enumerate(means[1:]):
                effects[inside, arm] = mean[cell] - means[0][cell]
        return effects

    def _mean(self, block: Ints, arm: int) -> Doubles:
        similar = self._similar[block]
        weight = (similar @ self._logged[arm]).toarray()
        return np.asarray((similar @ self._chosen[arm]).toarray() / (self.shrink + weight))

    def _orient(self, of_user: Side, of_item: Side) -> tuple[Side, Side]:
        return (of_user, of_item) if self.by == "user" else (of_item, of_user)


def most_similar(profiles: sparse.csr_matrix, max_neighbours: int, power: float) -> sparse.csr_matrix:
    """Return the cosines of rows of `profiles[M,K]` to the power `power`, `[M,M]`.

    Of each row the `max_neighbours` largest above 0 stay (the first of equals), without the row itself; the others are
    0.

    >>> profiles = sparse.csr_matrix([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> most_similar(profiles, 1, 2.0).toarray().round(2).tolist()
    [[0.0, 0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    norm = np.sqrt(np.asarray(profiles.multiply(profiles).sum(axis=1)).ravel())
    unit = sparse.csr_matrix(sparse.diags(1 / np.maximum(norm, 1e-12)) @ profiles)
    blocks, step = [], max(1, CELLS // unit.shape[0])
    for start in range(0, unit.shape[0], step):
        cosine = (unit[start : start + step] @ unit.T).toarray()
        within = np.arange(len(cosine))
        cosine[within, start + within] = 0
        least = np.argsort(-cosine, axis=1, kind="stable")[:, max_neighbours:]
        np.put_along_axis(cosine, least, 0, axis=1)
        blocks.append(sparse.csr_matrix(np.where(cosine > 0, cosine, 0) ** power))
    return sparse.csr_matrix(sparse.vstack(blocks))


def _blocks(row: Ints, step: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield the distinct rows, `step` at a time, and the places in `row` where these stand."""
    order = np.argsort(row, kind="stable")
    distinct = np.unique(row)
    for start in range(0, len(distinct), step):
        block = distinct[start : start + step]
        first = np.searchsorted(row, block[0], sorter=order)
        last = np.searchsorted(row, block[-1], side="right", sorter=order)
        yield block, order[first:last]
