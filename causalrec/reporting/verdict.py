"""Whether an obtained number reproduces a printed one: a rule fixed before any number is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from causalrec.reporting.published_numbers import Published, half_digit

VerdictLabel = Literal["reproduced", "not reproduced", "cannot be", "not run", "smoke: not judged"]


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
class Verdict:
    """Whether an obtained number reproduces a published one.

    Attributes:
        word: the verdict.
        difference: obtained - published; None where one of them is missing.
        tolerance: largest absolute difference that counts as reproduced; None where it is not defined.
        reason: why there is no judgement; None where there is one.
    """

    word: VerdictLabel
    difference: float | None = None
    tolerance: float | None = None
    reason: str | None = None


def judge(published: Published, obtained: Obtained, factor: float = 3.0) -> Verdict:
    """Return `reproduced` where |obtained - published| <= factor * sd * sqrt(1/n_p + 1/n_o) + half a printed digit.

    `sd` is the larger of both standard deviations over runs, `n_p` and `n_o` the runs behind each number (one where the
    paper does not say). Without any standard deviation there is nothing to judge by.

    >>> judge(Published(row="ips", column="auc", value=".717", sd=".007", n=10), Obtained(0.726, 0.004, 0.7, 0.75, 10))
    Verdict(word='reproduced', difference=0.009, tolerance=0.00989, reason=None)
    """
    difference = obtained.mean - float(published.value)
    sds = [s for s in (obtained.sd, None if published.sd is None else float(published.sd)) if s is not None]
    if not sds:
        return Verdict(
            "cannot be", _round(difference), None, "one run and no published standard deviation: nothing to judge by"
        )
    error = max(sds) * math.sqrt(1 / (published.n or 1) + 1 / obtained.n)
    tolerance = factor * error + half_digit(published.value)
    inside = abs(difference) <= tolerance + 1e-12
    return Verdict("reproduced" if inside else "not reproduced", _round(difference), _round(tolerance))


def _round(value: float) -> float:
    return float(f"{value:.3g}")
