"""Where the terms of each column stand in a matrix of terms, and what its estimate is of their sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.errors import DataError, RequestError, did_you_mean
from causalrec.estimators.policy_value.contributions import Contributions, estimate_of_sums
from causalrec.types import Doubles


@dataclass(frozen=True)
class TermLayout:
    """The rows of a matrix of terms `[C,B]`: those of each column, and ones in the last.

    Attributes:
        base: row of the averaged terms, by column.
        ratio: row of the numerator, by column that has one; that of its denominator is the next.
    """

    base: Mapping[str, int]
    ratio: Mapping[str, int]

    @staticmethod
    def from_block(columns: Sequence[str], contributions: Mapping[str, Contributions]) -> TermLayout:
        """Return the layout of columns whose contributions are like those of a block."""
        base, ratio, row = dict[str, int](), dict[str, int](), 0
        for name in columns:
            base[name], row = row, row + 1
            if contributions[name].numerator is not None:
                ratio[name], row = row, row + 2
        return TermLayout(base, ratio)

    @property
    def num_rows(self) -> int:
        """C: the base of every column, numerator and denominator of some, and the ones."""
        return len(self.base) + 2 * len(self.ratio) + 1

    def stack(self, contributions: Mapping[str, Contributions], first: int) -> Doubles:
        """Return the terms of a block of B rounds, float64[C,B], the first of which is number `first` of all.

        Raises:
            DataError: a term is no number, or a column has another length, or lost its normaliser.
        """
        count = len(next(iter(contributions.values())).base)
        terms = np.ones((self.num_rows, count))
        for name, row in self.base.items():
            terms[row] = _check(contributions[name].base, count, first, name)
            given = (contributions[name].numerator, contributions[name].denominator)
            if any((values is not None) != (name in self.ratio) for values in given):
                raise DataError(
                    f"{name}: round {first} on: a numerator and its denominator come together, in all blocks"
                )
            for offset, values in enumerate(values for values in given if values is not None):
                terms[self.ratio[name] + offset] = _check(values, count, first, name)
        return terms

    def estimate(self, column: str, sums: Doubles) -> Doubles:
        """Return a column's estimate of sums float64[C,...] of terms: float64[...]."""
        row = self._ratio_of(column)
        nothing = np.zeros_like(sums[-1])
        ratio = (nothing, sums[-1]) if row is None else (sums[row], sums[row + 1])
        return estimate_of_sums(np.stack([sums[self.base[column]], *ratio]), sums[-1])

    def gradient(self, column: str, sums: Doubles) -> Doubles:
        """Return the derivative of a column's estimate by the sums [C], float64[C]; its product with them is 0."""
        slope, row, count = np.zeros(self.num_rows), self._ratio_of(column), sums[-1]
        slope[self.base[column]], slope[-1] = 1 / count, -sums[self.base[column]] / count**2
        if row is not None:
            numerator, denominator = sums[row], sums[row + 1] or np.nan
            slope[row], slope[row + 1] = 1 / denominator, -numerator / denominator**2
        return slope

    def _ratio_of(self, column: str) -> int | None:
        if column not in self.base:
            raise RequestError(f"column {column!r}: no such estimate; {did_you_mean(column, self.base)}")
        return self.ratio.get(column)


def _check(values: Doubles, count: int, first: int, column: str) -> Doubles:
    if values.shape != (count,):
        raise DataError(f"{column}: {values.shape} terms in a block of {count:,} rounds: they are of unequal length")
    if not (finite := np.isfinite(values)).all():
        raise DataError(f"{column}: what round {first + int(np.argmin(finite))} contributes is {values[~finite][0]}")
    return values
