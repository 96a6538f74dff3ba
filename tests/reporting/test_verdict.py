"""The rules that say whether a printed number, and a printed gain, was reproduced, by hand."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from causalrec.reporting.compare import Comparison
from causalrec.reporting.judge import Judge
from causalrec.reporting.published_numbers import Published, half_digit
from causalrec.reporting.study import Study
from causalrec.reporting.verdict import Obtained, judge_gain, judge_value


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
    inside = judge_value(make_published(".703", ".006", 10), make_obtained(0.703 + tolerance - 1e-6, 0.004))
    outside = judge_value(make_published(".703", ".006", 10), make_obtained(0.703 + tolerance + 1e-6, 0.004))
    assert (inside.word, outside.word) == ("within", "above")
    assert inside.tolerance == pytest.approx(0.00855, abs=5e-6)
    below = judge_value(make_published(".703", ".006", 10), make_obtained(0.703 - tolerance - 1e-6, 0.004))
    assert below.word == "below" and below.difference is not None and below.difference < 0


def test_the_larger_sd_counts() -> None:
    assert judge_value(make_published(".700", ".001", 10), make_obtained(0.72, 0.02)).word == "within"
    assert judge_value(make_published(".700", ".020", 10), make_obtained(0.72, 0.001)).word == "within"
    assert judge_value(make_published(".700", ".001", 10), make_obtained(0.72, 0.001)).word == "above"


def test_a_paper_that_does_not_say_how_many_runs_has_one() -> None:
    stated, unstated = (judge_value(make_published(".7", ".01", n), make_obtained(0.7, 0.01, 4)) for n in (4, None))
    assert stated.tolerance == pytest.approx(3 * 0.01 * math.sqrt(0.5) + 0.05, abs=5e-4)
    assert unstated.tolerance == pytest.approx(3 * 0.01 * math.sqrt(1.25) + 0.05, abs=5e-4)


def test_one_run_against_no_published_sd_is_not_judged() -> None:
    verdict = judge_value(make_published(".7"), make_obtained(0.7, None, 1))
    assert verdict.word == "cannot be" and verdict.tolerance is None and verdict.reason is not None
    assert judge_value(make_published(".7"), make_obtained(0.7, 0.01, 2)).word == "within"
    assert judge_value(make_published(".7", ".01"), make_obtained(0.7, None, 1)).word == "within"


def test_a_deviation_of_0_is_half_a_digit_of_itself() -> None:
    assert judge_value(make_published("0.026", "0.000", 50), make_obtained(0.0255, 0.0, 50)).word == "within"
    assert judge_value(make_published("0.026", "0.000", 50), make_obtained(0.0251, 0.0, 50)).word == "below"


def test_the_factor_is_the_studys() -> None:
    assert judge_value(make_published(".700", ".010", 10), make_obtained(0.71, 0.01), factor=3).word == "within"
    assert judge_value(make_published(".700", ".010", 10), make_obtained(0.71, 0.01), factor=1).word == "above"


def make_comparison(difference: float, se: float = 0.004, seed_se: float | None = 0.001) -> Comparison:
    return Comparison("r", "ref", "c", difference, se, 19.0, 0.5, 0.5, False, 10, seed_se)


def test_the_tolerance_of_a_gain_by_hand() -> None:
    row, reference = make_published(".737", ".006", 10), make_published(".700", ".008", 10)
    over_rows = judge_gain(row, reference, make_comparison(0.03))
    # 3 sqrt(.006^2 / 10 + .008^2 / 10 + .004^2) = 3 * .005099
    assert over_rows.tolerance == pytest.approx(3 * math.sqrt(1e-5 + 1.6e-5), rel=1e-2)
    assert (over_rows.word, over_rows.published, over_rows.obtained) == ("reproduced", 0.037, 0.03)
    over_seeds = judge_gain(row, reference, make_comparison(0.03), same_test=True)
    assert over_seeds.tolerance == pytest.approx(3 * math.sqrt(1e-5 + 1e-6), rel=1e-2)
    one_pair = judge_gain(row, reference, make_comparison(0.03, seed_se=None), same_test=True)
    assert one_pair.tolerance == over_rows.tolerance


@pytest.mark.parametrize(
    ("published", "obtained", "word"),
    [
        (0.037, -0.0105, "not reproduced"),  # a value near the printed one may hide that the gain is not there
        (0.037, 0.036, "reproduced"),
        (0.037, 0.013, "not reproduced"),
        (0.037, 0.0214, "not reproduced"),
        (0.005, 0.001, "undecided"),  # neither the gain nor none at all is excluded
        (0.014, 0.017, "reproduced"),
        (-0.02, -0.021, "reproduced"),  # a loss that is printed is a gain below 0
        (0.0, 0.001, "undecided"),
    ],
)
def test_a_gain_is_there_not_there_or_cannot_be_told_from_none(published: float, obtained: float, word: str) -> None:
    row, reference = make_published(f"{0.7 + published:.4f}", ".006", 10), make_published(".7000", ".008", 10)
    verdict = judge_gain(row, reference, make_comparison(obtained))
    assert verdict.word == word and verdict.tolerance == pytest.approx(0.0153, abs=1e-4)


def test_a_printed_deviation_of_0_is_half_a_digit_and_an_absent_one_is_ours() -> None:
    none, zero = make_published(".737", None, 10), make_published(".737", ".000", 10)
    assert (none.deviation, zero.deviation) == (None, 0.0005)
    reference, comparison = make_published(".700", ".008", 10), make_comparison(0.03)
    tolerances = [
        judge_gain(none, reference, comparison, (0.006, 0.1)).tolerance,
        judge_gain(make_published(".737", ".006", 10), reference, comparison).tolerance,
    ]
    assert tolerances[0] == tolerances[1]
    zeros = judge_gain(zero, make_published(".700", "0.000"), comparison)
    assert zeros.tolerance == pytest.approx(3 * math.sqrt(0.0005**2 * 1.1 + 0.004**2), rel=1e-2)
    unknown = judge_gain(none, reference, comparison, (None, 0.1))
    assert unknown.word == "cannot be" and unknown.reason is not None and unknown.tolerance is None


def test_a_printed_standard_error_is_a_deviation_over_the_root_of_the_runs() -> None:
    printed = Published(row="r", column="c", value=".7", se=".002", n=100)
    assert printed.deviation == pytest.approx(0.02) and printed.text == ".7 ± .002 (SE)"
    for wrong in ({"se": ".002"}, {"se": ".002", "sd": ".01", "n": 5}, {"sd": "-.01"}):
        with pytest.raises(ValidationError, match=r"se: give n beside it|below 0"):
            Published.model_validate({"row": "r", "column": "c", "value": ".7", **wrong})


def test_a_deviation_printed_without_digits_is_no_coarser_than_the_value() -> None:
    assert make_published(".717", "0", 10).deviation == make_published(".717", "0.0", 10).deviation == 0.0005
    assert make_published(".717", "0.0000", 10).deviation == 0.00005


def test_what_is_no_number_is_not_judged() -> None:
    value = judge_value(make_published(".717", ".01", 10), make_obtained(float("nan"), 0.004))
    gain = judge_gain(make_published(".737", ".006"), make_published(".7", ".006"), make_comparison(float("nan")))
    assert (value.word, gain.word) == ("cannot be", "cannot be")
    for text in ("7_1", " .71 "):
        with pytest.raises(ValidationError, match="as one prints it"):
            make_published(text)


@pytest.mark.parametrize(
    ("base", "word"), [(["optimizer.lr=0.1"], "undecided"), (["dataset.replication=${seed}"], "cannot be")]
)
def test_the_spread_of_drawn_data_stands_for_no_published_deviation(base: list[str], word: str) -> None:
    """Ten files whose effects differ: what they spread by is common to both rows, which are paired over the files."""
    cells = [{"row": row, "column": "c", "value": value} for row, value in (("a", ".78"), ("b", ".95"))]
    columns = {"columns": ["c"], "compare": {"to": "b", "columns": ["c"]}, "published": cells}
    rows = {"a": [], "b": []}
    study = Study.model_validate({"title": "t", "sweep": "s", "seeds": [1, 2], "base": base, "rows": rows, **columns})
    obtained = {(row, "c"): Obtained(1.0, 0.6, 0.9, 1.1, 10) for row in rows}
    judge = Judge(study=study, obtained=obtained, differences={("a", "c"): make_comparison(-0.05)}, smoke=False)
    verdict = judge.gain(("a", "c"))
    assert verdict is not None and verdict.word == word
    assert verdict.reason is None or "no published standard deviation" in verdict.reason
