"""The kernel test of (conditional) independence, with its statistic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from causalrec.data.log import RowValues
from causalrec.types import Doubles


class KernelTest(NamedTuple):
    """What a test says: the statistic (trace of the product of centred kernel matrices) and its p-value."""

    statistic: float
    p_value: float


def kernel_test(left: RowValues, right: RowValues, given: Sequence[RowValues] = ()) -> KernelTest:
    """Test whether two columns are independent given others; categories are text, `[N]` each.

    Widths of the kernels are medians of distances, the null distribution is that of a gamma variable. Source: Zhang et
    al. (UAI 2011), by causal-learn.
    """
    from causallearn.utils.KCI.KCI import KCI_CInd, KCI_UInd  # type: ignore[import-untyped]

    x, y = _numbers([left]), _numbers([right])
    held = [column for column in given if len(np.unique(column)) > 1]
    if held:
        p_value, statistic = KCI_CInd(est_width="median").compute_pvalue(x, y, _numbers(held))
    else:
        p_value, statistic = KCI_UInd(est_width="median").compute_pvalue(x, y)
    return KernelTest(float(np.real(statistic)), float(np.real(p_value)))


def _numbers(columns: Sequence[RowValues]) -> Doubles:
    """Return columns as numbers, float64[N,D]: categories as indicators of their levels."""
    blocks = []
    for column in columns:
        if column.dtype.kind in "OUS":
            levels, codes = np.unique(column.astype(str), return_inverse=True)
            blocks.append(np.eye(len(levels))[codes])
        else:
            blocks.append(column.astype(np.float64)[:, None])
    return np.hstack(blocks)
