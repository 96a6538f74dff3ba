"""Which differences between rows are real: paired, clustered by user and by item, corrected for many rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from causalrec.estimators.jackknife import two_way_variance
from causalrec.ids import score_key
from causalrec.records.names import parse_column
from causalrec.records.propensity_scores import propensity_scores
from causalrec.records.run_folder import RunFolder, finished_runs
from causalrec.records.run_record import RunRecord
from causalrec.reporting.table_rows import rows_of
from causalrec.types import Doubles

LEVEL = 0.05
Draw = tuple[int, str]  # the seed of a run, and the settings that draw its rows or outcomes: what pairs runs
Values = dict[Draw, tuple[float, Doubles]]  # by draw: a row's value, and its leave-groups-out values [3,G]
ALONE: Doubles = np.zeros((3, 0))  # in their place: of data that every run draws anew, runs alone tell the error


@dataclass(frozen=True)
class Comparison:
    """The difference between two rows of a table in one column, tested.

    Attributes:
        row: name of the row.
        to: name of the row it is compared to.
        column: `metric@slice`.
        difference: mean over pairs of runs of `row` minus `to`; unit of the metric.
        se: standard error of the difference.
        df: degrees of freedom of its t distribution.
        p: two-sided p-value of no difference.
        adjusted: `p` after Holm's correction over the rows of the column.
        real: whether `adjusted` is at most 0.05.
        seeds: pairs of runs, one for each common draw.
        seed_se: standard error over the pairs alone, the test rows held fixed; None for one pair.
    """

    row: str
    to: str
    column: str
    difference: float
    se: float
    df: float
    p: float
    adjusted: float
    real: bool
    seeds: int
    seed_se: float | None = None


def compare_rows(folders: Sequence[RunFolder], reference: str, column: str) -> list[Comparison]:
    """Compare every row and baseline of finished records to the row `reference` in a column, draw by draw.

    Runs are paired where seed and drawn rows or outcomes are the same; a baseline is that of the very runs it is
    compared with. `column`: `metric@slice`. Rows without a common draw or a defined value do not come; nor do those
    without leave-groups-out values, unless each run has data of its own, as of a simulation drawn anew.
    """
    done = finished_runs(folders)
    rows = rows_of(done)
    baselines = dict.fromkeys(score.model for run in done for score in run.record.baselines)
    if reference not in rows and reference not in baselines:
        return []
    comparisons = []
    for name in (name for name in [*baselines, *rows] if name != reference):
        runs = rows.get(name) or rows.get(reference) or done
        mine = _values(runs, name if name in baselines else None, column)
        theirs = _values(rows.get(reference, runs), reference if reference in baselines else None, column)
        comparisons.append(_compare_pair(name, reference, column, mine, theirs))
    tested = [comparison for comparison in comparisons if comparison is not None]
    adjusted = holm([comparison.p for comparison in tested])
    return [replace(comparison, adjusted=p, real=p <= LEVEL) for comparison, p in zip(tested, adjusted, strict=True)]


def compare_runs(
    mine: Sequence[RunFolder], theirs: Sequence[RunFolder], column: str, names: tuple[str, str]
) -> Comparison | None:
    """Compare two sets of runs in a column, draw by draw; None without a common draw with its values.

    Args:
        mine: the runs of one model.
        theirs: those of another.
        column: `metric@slice`.
        names: of the two, for the comparison.
    """
    return _compare_pair(*names, column, _values(mine, None, column), _values(theirs, None, column))


def half_width(comparison: Comparison) -> float:
    """Return half the width of a difference's two-sided interval of level 1 - `LEVEL`, in the unit of the column."""
    from scipy.stats import t

    return float(t.ppf(1 - LEVEL / 2, comparison.df)) * comparison.se


def draw_of(record: RunRecord) -> Draw:
    """Return what pairs runs of two rows: the seed, and every setting that draws rows or outcomes anew."""
    drawn_by = sorted((key, record.setting(key)) for key in record.audit.resampled_by)
    return record.seed, repr(drawn_by)


def _values(runs: Sequence[RunFolder], baseline: str | None, column: str) -> Values:
    """Return the values of a row's runs, or of a baseline of theirs."""
    metric, slice_name = parse_column(column)
    values: Values = {}
    for run in runs:
        key = score_key(run.record.name if baseline is None else baseline, slice_name, metric)
        jackknife = run.jackknife.get(key)
        for score in (*run.record.all_scores, *propensity_scores(run.record)):
            if score.key != key or score.value is None:
                continue
            if jackknife is not None and is_usable(jackknife):
                values[draw_of(run.record)] = (score.value, jackknife)
            elif jackknife is None and any(name.startswith("dataset.") for name in run.record.audit.resampled_by):
                values[draw_of(run.record)] = (score.value, ALONE)
    return values


def _compare_pair(row: str, reference: str, column: str, mine: Values, reference_values: Values) -> Comparison | None:
    draws = common_draws(mine, reference_values)
    if not draws:
        return None
    values = np.array([mine[draw][0] - reference_values[draw][0] for draw in draws])
    if not mine[draws[0]][1].size and len({data for _, data in draws}) < max(len(draws), 2):
        return None  # neither rows nor draws of the data tell an error
    jackknife = np.mean([mine[draw][1] - reference_values[draw][1] for draw in draws], axis=0)
    difference, se, df, p = paired_test(values, jackknife)
    seed_se = float(np.std(values, ddof=1)) / math.sqrt(len(draws)) if len(draws) > 1 else None
    return Comparison(row, reference, column, difference, se, df, p, p, False, len(draws), seed_se)


def is_usable(jackknife: Doubles) -> bool:
    """Whether leave-groups-out values are [3,G], two groups at least, and all of them defined."""
    return (
        jackknife.ndim == 2
        and jackknife.shape[0] == 3
        and jackknife.shape[1] > 1
        and bool(np.isfinite(jackknife).all())
    )


def common_draws(mine: Values, theirs: Values) -> list[Draw]:
    """Return the draws that two rows share, in as many groups as the first of them: only those can be paired."""
    shared = sorted(mine.keys() & theirs.keys())
    shapes = {draw: {mine[draw][1].shape, theirs[draw][1].shape} for draw in shared}
    return [draw for draw in shared if shapes[draw] == shapes[shared[0]] and len(shapes[draw]) == 1]


def paired_test(differences: Doubles, jackknife: Doubles) -> tuple[float, float, float, float]:
    """Return (mean difference, standard error, degrees of freedom, two-sided p-value of no difference).

    The variance is that of the test rows (`two_way_variance`) plus that of the seeds, sd^2 / S, where there are two or
    more. Degrees of freedom are Satterthwaite's (Biometrics 1946), at most G - 1. Without groups it is that of the
    seeds alone, with S - 1: of seeds that draw data and test rows anew, each an experiment of its own.

    Args:
        differences: differences by seed [S]; unit of the metric.
        jackknife: seed average without each group of rows along two axes and their intersection [3,G].
    """
    from scipy.stats import t

    seeds, groups = len(differences), jackknife.shape[1]
    most = float((groups or seeds) - 1)
    components = [(two_way_variance(jackknife), groups - 1)] if groups else []
    if seeds > 1:
        components.append((float(np.var(differences, ddof=1)) / seeds, seeds - 1))
    variance = sum(component for component, _ in components)
    difference, se = float(np.mean(differences)), math.sqrt(variance)
    if se == 0:
        return difference, 0.0, most, 1.0 if difference == 0 else 0.0
    spread = sum(component * component / free for component, free in components)  # a power of a float may overflow
    df = min(most, variance * variance / spread) if spread > 0 else most
    return difference, se, df, 2 * float(t.sf(abs(difference) / se, df))


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjustment of p-values: the k-th smallest of m times m - k + 1, never falling, at most 1.

    Source: Holm (Scandinavian Journal of Statistics 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, least = [0.0] * len(p), 0.0
    for rank, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        least = max(least, min(1.0, p[k] * (len(p) - rank)))
        adjusted[k] = least
    return adjusted
