"""Slices of a trial: the first rows of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from causalrec.evaluation.slice.base import AnySliceData, SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData


def limit_slices(selected: Mapping[str, list[AnySliceData]], most: int) -> dict[str, list[AnySliceData]]:
    """Return slices of at most so many rows, evenly spread; a part of a slice has the rows that are left of that one,
    and goes where none is.

    Args:
        selected: slices by the name of their component.
        most: rows of a slice.
    """
    limited: dict[int, SliceData] = {}
    every = {
        name: [
            _limit_users(data, most) if isinstance(data, CatalogueData) else _limit(data, most, limited)
            for data in yielded
        ]
        for name, yielded in selected.items()
    }
    return {name: [data for data in yielded if len(data)] for name, yielded in every.items()}


def _limit(data: SliceData, most: int, limited: dict[int, SliceData]) -> SliceData:
    if id(data) not in limited:
        parent = data.subset_of
        if parent is None:
            kept_rows = np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).astype(np.int64))
            limited[id(data)] = data.take(kept_rows)
        else:
            assert data.rows is not None
            smaller = _limit(parent, most, limited)
            of_parent = np.unique(np.linspace(0, len(parent) - 1, min(most, len(parent))).astype(np.int64))
            kept_rows = np.flatnonzero(np.isin(data.rows, of_parent))
            positions = np.searchsorted(of_parent, data.rows[kept_rows])
            limited[id(data)] = replace(data.take(kept_rows), subset_of=smaller, rows=positions)
    return limited[id(data)]


def _limit_users(data: CatalogueData, most: int) -> CatalogueData:
    """Return the slice of evenly spread users who, one at least, have no more pairs than `most`."""
    users = (data.subset_of or data).users
    count = min(max(1, most // data.num_items), len(users))
    users = users[np.unique(np.linspace(0, len(users) - 1, count).astype(np.int64))]
    larger = None if data.subset_of is None else data.subset_of.take_users(users)
    return replace(data.take_users(users), subset_of=larger)
