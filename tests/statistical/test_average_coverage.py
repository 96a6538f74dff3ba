"""Average effects of every target are covered under every design, by the functions that all learners share."""

from __future__ import annotations

import pytest
import yaml
from coverage_counts import exact_interval, is_covered, write_counts
from effect_designs import DESIGNS, Design

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.estimators.effect.aipw import CrossFit
from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.learners.econml import EconML

DRAWS = 200
FEW = 12


def linear_nuisances() -> CrossFit:
    """Return the nuisances of `learner=linear_dml`: ridge and logistic regressions, right in every design."""
    node = yaml.safe_load((package_folder("conf") / "learner" / "linear_dml.yaml").read_text(encoding="utf-8"))
    nuisances = validate_component("learner", node, EconML).build().average
    assert nuisances is not None
    return nuisances


def count_covered(design: Design, draws: int) -> dict[str, int]:
    """Return how many of the draws cover the truth, by target and arm."""
    nuisances, covered = linear_nuisances(), dict[str, int]()
    for seed in range(draws):
        rows = nuisances.adjust(design.draw(seed), seed)
        for target, truth in design.truths.items():
            average = rows.average(AverageRequest(target=target))  # type: ignore[arg-type]  # one of its words
            for arm, held in enumerate((average.low <= truth) & (truth <= average.high)):
                column = target if not arm else f"{target}, arm {arm + 1}"
                covered[column] = covered.get(column, 0) + int(held)
    return covered


@pytest.mark.long
@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_every_target_is_covered(design: Design) -> None:
    covered = count_covered(design, DRAWS)
    write_counts("cross-fitted averages", design.name, DRAWS, covered)
    assert {column: count for column, count in covered.items() if not is_covered(count, DRAWS)} == {}


@pytest.mark.parametrize("design", [DESIGNS[2]], ids=lambda design: design.name)
def test_a_few_draws_are_covered(design: Design) -> None:
    """Of 12 draws at 95 %, 7 or fewer are covered with a chance of 2 in 10,000."""
    assert min(count_covered(design, FEW).values()) > 7


def test_a_share_fails_only_where_it_cannot_be_that_of_95_percent_intervals() -> None:
    low, high = exact_interval(190, 200)
    assert (round(low, 3), round(high, 3)) == (0.878, 0.986)
    assert is_covered(170, 200) and is_covered(200, 200) and not is_covered(168, 200)
