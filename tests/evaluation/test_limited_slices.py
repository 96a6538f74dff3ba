"""Slices of a trial: fewer rows, and parts of a slice that still point to theirs."""

from __future__ import annotations

import numpy as np

from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.limit import limit_slices


def test_a_part_keeps_those_of_its_rows_that_are_left_of_the_slice() -> None:
    rows = np.arange(1000)
    label = (rows % 7).astype(np.float32)
    test = SliceData(name="test", kind="graded", user=rows // 10, item=rows, label=label, num_users=100)
    odd = test.subset("odd", rows[rows % 2 == 1])
    limited = limit_slices({"test": [test], "parts": [odd]}, 100)
    (small,), (smaller_odd,) = limited["test"], limited["parts"]
    assert len(small) == 100 and set(small.item) <= set(rows)
    assert smaller_odd.subset_of is small and smaller_odd.rows is not None
    assert (small.item[smaller_odd.rows] == smaller_odd.item).all() and (smaller_odd.item % 2 == 1).all()
    assert (smaller_odd.label == label[smaller_odd.item]).all() and len(smaller_odd) == (small.item % 2 == 1).sum()
    assert len(limit_slices({"test": [test]}, 5000)["test"][0]) == 1000
