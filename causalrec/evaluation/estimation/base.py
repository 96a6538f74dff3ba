"""The contract of an estimation study: a known population, fixed predictions, estimators compared over draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from causalrec.data.datasets.base import AbstractDataset
from causalrec.errors import RequestError
from causalrec.evaluation.normal_interval import NORMAL_95
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A cell of a study's table, in the unit of its loss.

    Attributes:
        row: the prediction matrix.
        column: `loss/estimator`.
        truth: what a perfect estimator would report.
        value: mean over draws.
        sd: standard deviation over draws (n - 1).
        low: lower end of the normal 95 % interval of the mean.
        high: upper end of that interval.
        draws: how many there are.
    """

    row: str
    column: str
    truth: float
    value: float
    sd: float
    low: float
    high: float
    draws: int

    @property
    def rmse(self) -> float:
        """Root mean squared distance of the single draws from the truth."""
        return float(np.sqrt((self.value - self.truth) ** 2 + self.sd**2 * (self.draws - 1) / self.draws))


def summarise_cell(row: str, column: str, truth: float, estimates: Doubles) -> Estimate:
    """Summarise the estimates of a cell.

    Args:
        row: the prediction matrix.
        column: `loss/estimator`.
        truth: what a perfect estimator would report.
        estimates: float64[R], of each draw; R >= 2.

    >>> cell = summarise_cell("rec_ones", "mae/ips", 0.5, np.array([0.4, 0.8]))
    >>> round(cell.value, 3), round(cell.sd, 3), round(cell.rmse, 3), cell.draws
    (0.6, 0.283, 0.224, 2)
    """
    value, sd = float(estimates.mean()), float(estimates.std(ddof=1))
    half = NORMAL_95 * sd / float(np.sqrt(len(estimates)))
    return Estimate(
        row=row,
        column=column,
        truth=truth,
        value=value,
        sd=sd,
        low=value - half,
        high=value + half,
        draws=len(estimates),
    )


def row_name(row: str, key: str, value: float, usual: float) -> str:
    """Name a row of another setting than the paper's table, so that a study never pools the two.

    Args:
        row: the prediction matrix.
        key: the setting.
        value: its value in this run.
        usual: its value in the paper.

    >>> row_name("rotate", "alpha", 0.25, 0.25), row_name("rotate", "alpha", 0.5, 0.25)
    ('rotate', 'rotate@alpha=0.5')
    """
    return row if value == usual else f"{row}@{key}={value:g}"


def exposure_scale(shape: Doubles, share: Doubles, exposed: float, setting: str) -> float:
    """Return the k for which `k * shape`, weighed by the share of each level, averages to `exposed`.

    Args:
        shape: float64[L], exposure by level, up to the factor k.
        share: float64[L], the share of cells at each level.
        exposed: the share of all cells that is exposed.
        setting: what the error calls `exposed`.

    Raises RequestError where a probability would pass 1.
    """
    mean = float(shape @ share / share.sum())
    if exposed * float(shape.max()) > mean:
        raise RequestError(f"{setting}={exposed}: at most {mean / shape.max():.3f} can be exposed; set it lower")
    return exposed / mean


class AbstractEstimation(ABC):
    """One study. Constructor keywords are its YAML keys; concrete classes are final."""

    title: ClassVar[str]
    source: ClassVar[str]

    @property
    @abstractmethod
    def dataset(self) -> AbstractDataset:
        """The data set whose raw files the population is made from."""

    @abstractmethod
    def run(self, root: Path, cache: Path, seed: int) -> list[Estimate]:
        """Simulate from the raw files below `root` (`paths.data`); `cache` keeps what is derived from them.

        `seed` determines predictions and draws. Raises DataError on bad files, RequestError on impossible settings.
        """
