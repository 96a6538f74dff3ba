"""The rule that says whether a printed number was reproduced, by hand."""

from __future__ import annotations

import math

import pytest

from causalrec.reporting.published_numbers import Published, half_digit
from causalrec.reporting.verdict import Obtained, judge


def make_published(value: str, sd: str | None = None, n: int | None = None) -> Published:
    return Published(row="r", column="c", value=value, sd=sd, n=n)


def make_obtained(mean: float, sd: float | None, n: int = 10) -> Obtained:
    return Obtained(mean, sd, mean - 0.01, mean + 0.01, n)


@pytest.mark.parametrize(
    ("printed", "half"), [(".703", 0.0005), ("0.70", 0.005), ("3", 0.5), ("30.76", 0.005), ("1.0e-3", 5e-5)]
)
def test_half_a_printed_digit(printed: str, half: float) -> None:
    assert half_digit(printed) == pytest.approx(half)


def test_the_tolerance_by_hand() -> None:
    # sd = max(.006, .004); 3 * .006 * sqrt(1/10 + 1/10) + .0005 = 0.00855
    tolerance = 3 * 0.006 * math.sqrt(0.2) + 0.0005
    inside = judge(make_published(".703", ".006", 10), make_obtained(0.703 + tolerance - 1e-6, 0.004))
    outside = judge(make_published(".703", ".006", 10), make_obtained(0.703 + tolerance + 1e-6, 0.004))
    assert (inside.word, outside.word) == ("reproduced", "not reproduced")
    assert inside.tolerance == pytest.approx(0.00855, abs=5e-6)
    below = judge(make_published(".703", ".006", 10), make_obtained(0.703 - tolerance - 1e-6, 0.004))
    assert below.word == "not reproduced" and below.difference is not None and below.difference < 0


def test_the_larger_sd_counts() -> None:
    assert judge(make_published(".700", ".001", 10), make_obtained(0.72, 0.02)).word == "reproduced"
    assert judge(make_published(".700", ".020", 10), make_obtained(0.72, 0.001)).word == "reproduced"
    assert judge(make_published(".700", ".001", 10), make_obtained(0.72, 0.001)).word == "not reproduced"


def test_a_paper_that_does_not_say_how_many_runs_has_one() -> None:
    stated, unstated = (judge(make_published(".7", ".01", n), make_obtained(0.7, 0.01, 4)) for n in (4, None))
    assert stated.tolerance == pytest.approx(3 * 0.01 * math.sqrt(0.5) + 0.05, abs=5e-4)
    assert unstated.tolerance == pytest.approx(3 * 0.01 * math.sqrt(1.25) + 0.05, abs=5e-4)


def test_one_run_against_no_published_sd_is_not_judged() -> None:
    verdict = judge(make_published(".7"), make_obtained(0.7, None, 1))
    assert verdict.word == "cannot be" and verdict.tolerance is None and verdict.reason is not None
    assert judge(make_published(".7"), make_obtained(0.7, 0.01, 2)).word == "reproduced"
    assert judge(make_published(".7", ".01"), make_obtained(0.7, None, 1)).word == "reproduced"


def test_without_any_sd_half_a_digit_is_all_there_is() -> None:
    assert judge(make_published("0.026", "0.000", 50), make_obtained(0.0255, 0.0, 50)).word == "reproduced"
    assert judge(make_published("0.026", "0.000", 50), make_obtained(0.0254, 0.0, 50)).word == "not reproduced"


def test_the_factor_is_the_studys() -> None:
    assert judge(make_published(".700", ".010", 10), make_obtained(0.71, 0.01), factor=3).word == "reproduced"
    assert judge(make_published(".700", ".010", 10), make_obtained(0.71, 0.01), factor=1).word == "not reproduced"
