"""Whether an obtained number agrees with a printed one, and whether a printed gain is there: rules fixed beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from causalrec.reporting.compare import Comparison
from causalrec.reporting.published_numbers import Published, half_digit

NotJudged = Literal["cannot be", "not run", "smoke: not judged"]
ValueWord = Literal["below", "within", "above"] | NotJudged
GainWord = Literal["reproduced", "not reproduced", "undecided"] | NotJudged


@dataclass(frozen=True)
class Obtained:
    """Our number.

    Attributes:
        mean: over runs (seeds, or draws of a simulation).
        sd: their standard deviation; None for one run.
        low: lower end of the interval of the mean; nan where there is none.
        high: upper end.
        n: how many runs.
    """

    mean: float
    sd: float | None
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class ValueVerdict:
    """Where an obtained number lies beside a published one.

    Attributes:
        word: the verdict.
        difference: obtained - published; None where one of them is missing.
        tolerance: largest absolute difference that is `within`; None where it is not defined.
        reason: why there is no judgement; None where there is one.
    """

    word: ValueWord
    difference: float | None = None
    tolerance: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class GainVerdict:
    """Whether the published gain over the study's reference row is there.

    Attributes:
        word: the verdict; `undecided` where neither the published gain nor none at all lies outside the tolerance.
        published: published gain; None where one of the two numbers is missing.
        obtained: mean of our paired differences; None where one of the two rows is missing.
        tolerance: largest absolute difference of the gains that counts as none.
        reason: why there is no judgement; None where there is one.
    """

    word: GainWord
    published: float | None = None
    obtained: float | None = None
    tolerance: float | None = None
    reason: str | None = None


def judge_value(published: Published, obtained: Obtained, factor: float = 3.0) -> ValueVerdict:
    """Return `within` where |obtained - published| <= factor * sd * sqrt(1/n_p + 1/n_o) + half a printed digit.

    `sd` is the larger of both standard deviations over runs, `n_p` and `n_o` the runs behind each number (one where the
    paper does not say). Without any standard deviation there is nothing to judge by.

    >>> printed = Published(row="ips", column="auc", value=".717", sd=".007", n=10)
    >>> judge_value(printed, Obtained(0.726, 0.004, 0.7, 0.75, 10))
    ValueVerdict(word='within', difference=0.009, tolerance=0.00989, reason=None)
    """
    difference = obtained.mean - float(published.value)
    if not math.isfinite(difference):
        return ValueVerdict("cannot be", reason="ours is no finite number")
    sds = [sd for sd in (obtained.sd, published.deviation) if sd is not None]
    if not sds:
        reason = "one run and no published standard deviation: nothing to judge by"
        return ValueVerdict("cannot be", _round(difference), None, reason)
    error = max(sds) * math.sqrt(1 / (published.n or 1) + 1 / obtained.n)
    tolerance = factor * error + half_digit(published.value)
    inside = abs(difference) <= tolerance + 1e-12
    word: ValueWord = "within" if inside else "above" if difference > 0 else "below"
    return ValueVerdict(word, _round(difference), _round(tolerance))


def judge_gain(
    row: Published,
    reference: Published,
    comparison: Comparison,
    sds: tuple[float | None, float | None] = (None, None),
    *,
    same_test: bool = False,
    factor: float = 3.0,
) -> GainVerdict:
    """Return whether our gain over the reference row is the published one, within a tolerance.

    `tolerance = factor * sqrt(s_row^2 / n_row + s_ref^2 / n_ref + se^2)`: s the published standard deviations over n
    runs (one where the paper does not say; ours where it prints none), se the standard error of our paired difference:
    over seeds alone where the test rows are the paper's, for then both papers share what the rows contribute.

    Args:
        row: the published number.
        reference: that of the reference row, in the same column.
        comparison: ours of the two rows.
        sds: our standard deviations over runs of the row and of the reference; None where they cannot stand for a
            published one: of one run, or of runs that differ by the data they draw, which pairs share.
        same_test: whether the test rows are the paper's.
        factor: standard errors that count as none.
    """
    published, obtained = float(row.value) - float(reference.value), comparison.difference
    if not math.isfinite(obtained):
        return GainVerdict("cannot be", _round(published), reason="ours is no finite number")
    deviations = [
        cell.deviation if cell.deviation is not None else sd for cell, sd in zip((row, reference), sds, strict=True)
    ]
    if None in deviations:
        reason = "no published standard deviation, and none of ours stands for it: nothing to judge by"
        return GainVerdict("cannot be", _round(published), _round(obtained), None, reason)
    se = comparison.seed_se if same_test and comparison.seed_se is not None else comparison.se
    printed = sum((s or 0.0) * (s or 0.0) / (cell.n or 1) for s, cell in zip(deviations, (row, reference), strict=True))
    tolerance = factor * math.sqrt(printed + se * se) + 1e-12
    near_published, near_none = abs(obtained - published) <= tolerance, abs(obtained) <= tolerance
    word: GainWord = "not reproduced" if not near_published else "undecided" if near_none else "reproduced"
    return GainVerdict(word, _round(published), _round(obtained), _round(tolerance))


def _round(value: float) -> float:
    return float(f"{value:.3g}")
