"""A slice: the test rows of the afternoon, by a column of the row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource
from causalrec.evaluation.slice.test import HeldOutSlice


@dataclass(frozen=True, kw_only=True)
class Afternoon(AbstractSlice):
    """Test rows from `hour` on."""

    hour: float = 12.0

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        for data in HeldOutSlice().select(source):
            if "hour" in data.columns:
                yield data.subset(f"{data.name}_afternoon", np.flatnonzero(data.columns["hour"] >= self.hour))
