"""Every row against every row a reader may choose: paired differences, computed here, drawn by the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from causalrec.records.names import parse_column
from causalrec.records.sections import ScoreRecord
from causalrec.reporting.compare import LEVEL, Draw, Values, common_draws, draw_of, holm, is_usable, paired_test
from causalrec.reporting.html.page_data import PageTable
from causalrec.types import Doubles

MAX_REFERENCE_ROWS = 80  # with more rows than this only baselines and best rows can be compared to
ZERO_IS_BEST = frozenset({"bias"})  # metrics


@dataclass(frozen=True)
class Difference:
    """The paired difference of a row to its reference in a column.

    Attributes:
        row: name of the row.
        difference: mean over seeds of the row's value minus its reference's, in the unit of the column.
        half: half the width of the difference's interval, same unit.
        adjusted: p-value, corrected by Holm's method over the rows compared to this reference in this column.
        real: whether `adjusted` is at most `LEVEL`.
        seeds: number of seeds that both have a value for, which is the number of pairs of runs.
    """

    row: str
    difference: float
    half: float
    adjusted: float
    real: bool
    seeds: int


def direction(page_table: PageTable, column: str) -> int:
    """Return 1 where more of a column is better, -1 where less is, 0 where neither or where the records do not tell."""
    metric, slice_name = parse_column(column)
    for run in page_table.runs:
        for score in run.record.all_scores:
            if score.metric == metric and score.slice == slice_name and score.higher_is_better is not None:
                return 1 if score.higher_is_better else -1
    return 0


def order_rows(page_table: PageTable) -> list[str]:
    """Return the rows by the first column, best mean first, those without a value last."""
    first = next(iter(page_table.table.columns), "")
    sign = direction(page_table, first) or 1
    cells = {row: row_cells.get(first) for row, row_cells in page_table.table.rows.items()}
    return sorted(cells, key=lambda row: -sign * cell.mean if (cell := cells[row]) else math.inf)


def best_row(page_table: PageTable, column: str) -> str | None:
    """Return the row of the best mean in a column, None where neither more nor less is better."""
    sign = direction(page_table, column)
    means = {row: cells[column].mean for row, cells in page_table.table.rows.items() if column in cells}
    return max(means, key=lambda row: sign * means[row]) if sign and means else None


def reference_rows(page_table: PageTable) -> list[str]:
    """Return the rows that one may compare to."""
    names = list(page_table.table.rows)
    if len(names) <= MAX_REFERENCE_ROWS:
        return names
    best = [best_row(page_table, column) for column in page_table.table.columns]
    plain = [row for row in page_table.rows if row.endswith("naive")][:4]
    return list(dict.fromkeys([*page_table.table.baselines, *plain, *(row for row in best if row)]))


def differences(page_table: PageTable) -> dict[str, dict[str, list[Difference]]]:
    """Compare the rows of a table by column and reference as `reporting.compare` does: two-way clusters, then Holm."""
    chosen, level = reference_rows(page_table), _level(page_table)
    return {
        column: {reference: _compare_to(values, reference, level) for reference in chosen if values.get(reference)}
        for column, values in _values(page_table).items()
    }


def _level(page_table: PageTable) -> float:
    return page_table.runs[0].record.level


def _values(page_table: PageTable) -> dict[str, dict[str, Values]]:
    """Return value and leave-groups-out values by column, row and draw; baselines are taken from the first run of a
    draw.
    """
    columns = {parse_column(column): column for column in page_table.table.columns}
    values: dict[str, dict[str, Values]] = {column: {} for column in columns.values()}
    for row, group in page_table.rows.items():
        for run in group:
            draw, record = draw_of(run.record), run.record
            for model, score in (*((row, score) for score in record.scores), *((s.model, s) for s in record.baselines)):
                column = columns.get((score.metric, score.slice))
                of_draw = {} if column is None else values[column].setdefault(model, {})
                if column is not None and (model == row or draw not in of_draw):
                    _add(of_draw, draw, score, run.jackknife)
    return values


def _add(values: Values, draw: Draw, score: ScoreRecord, jackknife: Mapping[str, Doubles]) -> None:
    groups = jackknife.get(score.key)
    if score.value is not None and groups is not None and is_usable(groups):
        values[draw] = (score.value, groups)


def _compare_to(values: dict[str, Values], reference: str, level: float) -> list[Difference]:
    from scipy.stats import t

    reference_values, tested = values[reference], []
    for row, mine in values.items():
        draws = common_draws(mine, reference_values)
        if row == reference or not draws:
            continue
        apart = np.array([mine[draw][0] - reference_values[draw][0] for draw in draws])
        jackknife = np.mean([mine[draw][1] - reference_values[draw][1] for draw in draws], axis=0)
        outcome = paired_test(apart, jackknife)
        if all(map(math.isfinite, outcome)):  # the page draws no other
            tested.append((row, len(draws), *outcome))
    adjusted = holm([p for *_, p in tested])
    reach = t.ppf((1 + level) / 2, [df for *_, df, _ in tested]) if tested else []
    return [
        Difference(row, difference, float(width) * se, p_value, p_value <= LEVEL, seeds)
        for (row, seeds, difference, se, _, _), p_value, width in zip(tested, adjusted, reach, strict=True)
    ]


def forest_data(page_table: PageTable) -> dict[str, object]:
    """Return what the page draws from: rows by number, differences by column and reference, numbers of four digits."""
    names = list(page_table.table.rows)
    row_numbers = {row: k for k, row in enumerate(names)}
    cells = {
        column: {
            str(row_numbers[reference]): [
                _forest_row(row_numbers[difference.row], difference) for difference in row_differences
            ]
            for reference, row_differences in by_reference.items()
        }
        for column, by_reference in differences(page_table).items()
    }
    return {
        "rows": names,
        "colours": [page_table.colours.get(name) for name in names],
        "baselines": len(page_table.table.baselines),
        "real": LEVEL,
        "better": {column: direction(page_table, column) for column in page_table.table.columns},
        "cells": cells,
    }


def _forest_row(row: int, difference: Difference) -> list[float]:
    return [
        row,
        _round_to_four_digits(difference.difference),
        _round_to_four_digits(difference.half),
        _round_to_four_digits(difference.adjusted),
        difference.seeds,
    ]


def _round_to_four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def first_reference(page_table: PageTable) -> str | None:
    """Return the row that a page compares to at first: a naive one if there is one, else the last baseline."""
    naive = [row for row in page_table.rows if row.endswith("naive")]
    names = [*naive, *reversed(page_table.table.baselines), *page_table.rows]
    return names[0] if names else None
