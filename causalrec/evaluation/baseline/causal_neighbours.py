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
    """`m_a - m_0`, `[N,A]`, `m_a = sum of s y / (shrink + sum of s)` over the neighbours' rows of the item under a.

    `by`: neighbours are users (CUBN), or items whose rows of the same user count (CIBN). `alike`: s is the cosine of
    what two of them chose (`outcome`, weighed by it) or were exposed to (`treatment`), to the power `power`, of the
    `neighbours` most similar with a cosine above 0, but oneself. `shrink`, in units of s, pulls each mean to 0. Pairs
    without a row count under no arm; the published code counts them as unexposed and not chosen. Assumption: exposure
    is random among neighbours. Outcomes must not be negative. Source: causal neighbourhoods, Sato et al. (2021); the
    defaults are those published for ML-100K by users and outcomes.
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
        rows, columns = self._sided(log.users, log.item)
        shape = self._sided(max(log.num_users, 1), log.num_items)
        arms = [log.treatment == arm for arm in range(int(log.treatment.max()) + 1)]

        def table(kept: Bools, value: Floats) -> sparse.csr_matrix:
            return sparse.csr_matrix((value[kept], (rows[kept], columns[kept])), shape, np.float64)

        ones, every = np.ones(len(log), np.float32), np.ones(len(log), bool)
        self._chosen = [table(arm, log.outcome) for arm in arms]
        self._logged = [table(arm, ones) for arm in arms]
        told = table(every, log.outcome) if self.alike == "outcome" else table(~arms[0], ones)
        self._similar = most_similar(told, self.neighbours, self.power)

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        row, column = self._sided(user, item)
        found = np.zeros((len(row), len(self._logged) - 1), np.float32)
        for block, inside in _blocks(row, max(1, CELLS // self._logged[0].shape[1])):
            means = [self._mean(block, arm) for arm in range(len(self._logged))]
            place = np.searchsorted(block, row[inside]), column[inside]
            for arm, mean in enumerate(means[1:]):
                found[inside, arm] = mean[place] - means[0][place]
        return found

    def _mean(self, block: Ints, arm: int) -> Doubles:
        similar = self._similar[block]
        weight = (similar @ self._logged[arm]).toarray()
        return np.asarray((similar @ self._chosen[arm]).toarray() / (self.shrink + weight))

    def _sided(self, of_user: Side, of_item: Side) -> tuple[Side, Side]:
        return (of_user, of_item) if self.by == "user" else (of_item, of_user)


def most_similar(told: sparse.csr_matrix, most: int, power: float) -> sparse.csr_matrix:
    """Return the cosines of rows of `told[M,K]` to the power `power`, `[M,M]`: of each row the `most` largest above 0,
    but itself. Of equal ones the first are kept.

    >>> told = sparse.csr_matrix([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> most_similar(told, 1, 2.0).toarray().round(2).tolist()
    [[0.0, 0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    norm = np.sqrt(np.asarray(told.multiply(told).sum(axis=1)).ravel())
    unit = sparse.csr_matrix(sparse.diags(1 / np.maximum(norm, 1e-12)) @ told)
    kept, step = [], max(1, CELLS // unit.shape[0])
    for start in range(0, unit.shape[0], step):
        cosine = (unit[start : start + step] @ unit.T).toarray()
        within = np.arange(len(cosine))
        cosine[within, start + within] = 0
        least = np.argsort(-cosine, axis=1, kind="stable")[:, most:]
        np.put_along_axis(cosine, least, 0, axis=1)
        kept.append(sparse.csr_matrix(np.where(cosine > 0, cosine, 0) ** power))
    return sparse.csr_matrix(sparse.vstack(kept))


def _blocks(row: Ints, step: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield the distinct rows, `step` at a time, and the places in `row` where these stand."""
    order = np.argsort(row, kind="stable")
    known = np.unique(row)
    for start in range(0, len(known), step):
        block = known[start : start + step]
        first = np.searchsorted(row, block[0], sorter=order)
        last = np.searchsorted(row, block[-1], side="right", sorter=order)
        yield block, order[first:last]
