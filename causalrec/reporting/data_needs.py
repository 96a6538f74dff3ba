"""How much data two models need: at each size of a log how far they are apart, and which rows would make them equal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.errors import RequestError, did_you_mean
from causalrec.records.names import parse_column
from causalrec.records.run_folder import RunFolder, finished_runs
from causalrec.reporting.compare import compare_runs, half_width, holm
from causalrec.reporting.numbers import format_interval, format_number
from causalrec.reporting.table_rows import rows_of
from causalrec.reporting.text_table import TextTable

Curve = Sequence[tuple[float, float]]  # rows and value, by rising rows


@dataclass(frozen=True, kw_only=True)
class DataNeed:
    """Two models at one size of the log.

    Attributes:
        level: name of the size.
        rows: training rows, mean over the draws.
        difference: the first model minus the second, in the unit of the column.
        low: of its 95 % interval.
        high: likewise.
        adjusted: p-value of no difference, after Holm's correction over the sizes.
        share: rows that the second needs to equal the first, as a multiple of `rows`; None: it never does with the rows
            that were tried.
        bound: "at most" where it does with the fewest rows that were tried; else empty.
    """

    level: str
    rows: float
    difference: float
    low: float
    high: float
    adjusted: float
    share: float | None
    bound: str


def data_needs(folders: Sequence[RunFolder], levels: Mapping[str, tuple[str, str]], column: str) -> list[DataNeed]:
    """Return what two models need at each size of the log; raise RequestError where a row was not run.

    The second model's value by rows is a line between the sizes that were run, over the logarithm of the rows; what it
    needs is read off where this line first is as good as the first model. Values are means over draws, so that shares
    have no interval; the differences are paired by draw.

    Args:
        folders: finished runs of a study.
        levels: names of the first and of the second model's row, by the name of the size.
        column: `metric@slice`.
    """
    rows = rows_of(finished_runs(folders))
    for name in (name for pair in levels.values() for name in pair):
        if name not in rows:
            raise RequestError(f"{name}: there is no such row; {did_you_mean(name, rows)}")
    curve = sorted(_point(rows[second], column) for _, second in levels.values())
    needs = [
        _compare_models(level, rows[first], rows[second], column, curve) for level, (first, second) in levels.items()
    ]
    adjusted = holm([need.adjusted for need in needs])
    return [DataNeed(**{**vars(need), "adjusted": p}) for need, p in zip(needs, adjusted, strict=True)]


def _compare_models(
    level: str, first: Sequence[RunFolder], second: Sequence[RunFolder], column: str, curve: Curve
) -> DataNeed:
    comparison = compare_runs(first, second, column, (first[0].record.name, second[0].record.name))
    if comparison is None:
        raise RequestError(f"{column}: {first[0].record.name} and the other row share no draw with this score")
    count, value = _point(first, column)
    equal, bound = rows_to_reach(curve, value, higher_is_better=_is_gain(first[0], column))
    width = half_width(comparison)
    return DataNeed(
        level=level,
        rows=count,
        difference=comparison.difference,
        low=comparison.difference - width,
        high=comparison.difference + width,
        adjusted=comparison.p,
        share=None if equal is None else equal / count,
        bound=bound,
    )


def rows_to_reach(curve: Curve, value: float, *, higher_is_better: bool) -> tuple[float | None, str]:
    """Return the fewest rows at which a curve is as good as a value, None: never; and "at most" where it begins so.

    >>> rows_to_reach([(100, 0.4), (1000, 0.2), (10000, 0.1)], 0.2, higher_is_better=False)
    (1000.0, '')
    >>> rows_to_reach([(100, 0.4), (1000, 0.2)], 0.1, higher_is_better=False)
    (None, '')
    >>> rows_to_reach([(100, 0.4), (1000, 0.2)], 0.5, higher_is_better=False)
    (100.0, 'at most')
    """
    sign = 1.0 if higher_is_better else -1.0
    if sign * curve[0][1] >= sign * value:
        return float(curve[0][0]), "" if curve[0][1] == value else "at most"
    for (few, before), (many, after) in itertools.pairwise(curve):
        if sign * after >= sign * value:
            part_way = (value - before) / (after - before)
            return float(round(math.exp(math.log(few) + part_way * math.log(many / few)), 6)), ""
    return None, ""


def _point(runs: Sequence[RunFolder], column: str) -> tuple[float, float]:
    """Return a row's training rows and its value, means over its draws."""
    metric, slice_name = parse_column(column)
    values = [
        score.value
        for run in runs
        for score in run.record.scores
        if (score.metric, score.slice) == (metric, slice_name) and score.value is not None
    ]
    if not values:
        raise RequestError(f"{column}: {runs[0].record.name} has no such score")
    return float(np.mean([run.record.audit.rows["train"] for run in runs])), float(np.mean(values))


def _is_gain(run: RunFolder, column: str) -> bool:
    metric, slice_name = parse_column(column)
    return any(
        bool(score.higher_is_better)
        for score in run.record.scores
        if (score.metric, score.slice) == (metric, slice_name)
    )


def data_needs_table(needs: Sequence[DataNeed], first: str, second: str, column: str) -> TextTable:
    """Return the needs as a table, a size a row.

    Args:
        needs: of `data_needs`.
        first: what the first model is called.
        second: likewise.
        column: `metric@slice`.
    """
    rows = tuple(
        (
            need.level,
            f"{need.rows:,.0f}",
            f"{format_number(need.difference, 4, sign=True)} {format_interval(need.low, need.high, 4, sign=True)}",
            f"{need.adjusted:.3f}",
            "never" if need.share is None else f"{need.bound} {need.share:.2f}".strip(),
        )
        for need in needs
    )
    return TextTable(
        title=f"{first} against {second}: {column}",
        header=("size", "training rows", f"{first} - {second}", "p (Holm)", f"rows {second} needs, per row"),
        rows=rows,
        notes=(
            "Differences are paired by draw, with 95 % intervals; p is corrected for the sizes.",
            f"Rows {second} needs to equal {first}, per row that {first} has: between the sizes that were run; never: "
            f"with none of them.",
        ),
    )
