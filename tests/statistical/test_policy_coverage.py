"""Intervals of a policy's value cover it where the estimator's assumption holds, and fail where it is broken."""

from __future__ import annotations

import numpy as np
import pytest
from coverage_counts import exact_interval, write_counts
from policy_designs import GREEDY, ROUNDS, Design, designs, draw_actions

from causalrec.estimators.policy_value.estimator.dr import DRValue
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.interval.base import AbstractValueInterval
from causalrec.estimators.policy_value.interval.bootstrap import PoissonBootstrap
from causalrec.estimators.policy_value.interval.empirical_bernstein import EmpiricalBernstein
from causalrec.estimators.policy_value.interval.normal import NormalInterval
from causalrec.estimators.policy_value.rounds import LoggedRounds

DRAWS = 200
FEW = 12
TABLE = "intervals of a policy's value"
INTERVALS: dict[str, AbstractValueInterval] = {
    "bootstrap": PoissonBootstrap(replicates=1000),
    "normal": NormalInterval(),
    "empirical Bernstein": EmpiricalBernstein(),
}
Counts = dict[str, dict[str, int]]  # estimator -> interval -> draws that it covered


def count_covered(design: Design, draws: int, replicates: int = 1000) -> tuple[Counts, float]:
    """Return how many of the draws cover the truth, and how many rounds were effective in the mean."""
    counts: Counts = {}
    effective = np.zeros(draws)
    intervals = INTERVALS | {"bootstrap": PoissonBootstrap(replicates=replicates)}
    for seed in range(draws):
        contributions, user = design.draw(seed)
        weight = contributions["ips"].weight
        effective[seed] = weight.sum() ** 2 / (weight**2).sum()
        for name, interval in intervals.items():
            sums = interval.start(list(contributions), int(user.max()) + 1 if design.clustered else 0, seed)
            sums.update(contributions, user)
            for column in contributions:
                ends = sums.interval(column, 0.95)
                cell = counts.setdefault(column, dict.fromkeys(INTERVALS, 0))
                cell[name] += ends.low <= design.world.value <= ends.high
    return counts, float(effective.mean())


def bounds_of(interval: str, effective: float) -> tuple[float, float]:
    """Return the ends of the shares that 95 % intervals may cover: fewer effective rounds have more skewed means."""
    if interval == "empirical Bernstein":
        return 0.95, 1.0
    return (0.9, 0.99) if effective >= 1000 else (0.88, 0.99)


def wrong_cells(design: Design, counts: Counts, effective: float, draws: int) -> list[str]:
    """Return the cells whose exact 99.9 % interval misses what is allowed, or, of a broken assumption, meets it."""
    wrong = []
    for estimator, cells in counts.items():
        for interval, covered in cells.items():
            (low, high), (least, most) = exact_interval(covered, draws), bounds_of(interval, effective)
            meets = high >= least and low <= most
            if estimator in design.holds and not meets:
                wrong.append(f"{estimator}, {interval}: {covered} of {draws}")
            if estimator not in design.holds and high >= least and interval != "empirical Bernstein":
                wrong.append(f"{estimator}, {interval}: {covered} of {draws}, though its assumption is broken")
    return wrong


def write_row(design: Design, counts: Counts, effective: float) -> None:
    """Write down a row of the table: effective rounds to two digits, and the estimators whose assumption holds."""
    digits = f"{float(f'{effective:.2g}'):,.0f}"
    holds = "all" if design.holds == set(counts) else ", ".join(sorted(design.holds)) or "none"
    cells = {f"{e}, {interval}": covered for e, cell in counts.items() for interval, covered in cell.items()}
    write_counts(TABLE, f"{design.name} ({digits} effective; holds: {holds})", DRAWS, cells)


@pytest.mark.long
@pytest.mark.parametrize("design", designs(), ids=lambda design: design.name)
def test_the_value_is_covered_where_the_assumption_holds(design: Design) -> None:
    counts, effective = count_covered(design, DRAWS)
    write_row(design, counts, effective)
    assert effective >= 300
    assert wrong_cells(design, counts, effective, DRAWS) == []


@pytest.mark.long
def test_few_effective_rounds_cover_too_seldom() -> None:
    """What the mark of tables is for: with some 30 effective rounds of 10,000 a ratio is far from normal."""
    counts, effective = count_covered(GREEDY, DRAWS)
    write_row(GREEDY, counts, effective)
    assert effective < 300
    assert exact_interval(counts["snips"]["normal"], DRAWS)[1] < 0.93


@pytest.mark.parametrize("design", [designs()[0], designs()[6]], ids=lambda design: design.name)
def test_a_few_draws_are_covered(design: Design) -> None:
    """Of 12 draws at 95 %, 7 or fewer are covered with a chance of 2 in 10,000."""
    counts, _ = count_covered(design, FEW, replicates=200)
    assert min(covered for cells in counts.values() for covered in cells.values()) > 7


@pytest.mark.parametrize("design", [designs()[-2], designs()[-1]], ids=lambda design: design.name)
def test_a_few_draws_of_a_broken_assumption_are_not(design: Design) -> None:
    """Of 12 draws at 95 %, 8 or fewer are covered with a chance of 2 in 1,000."""
    counts, _ = count_covered(design, FEW, replicates=200)
    assert max(cells[interval] for cells in counts.values() for interval in ("bootstrap", "normal")) <= 8


def test_both_assumptions_of_dr_are_seen_apart() -> None:
    """The same wrong propensities: with the right model DR alone is near the truth, without it no estimate is."""
    right, wrong = designs()[9], designs()[10]
    errors = {
        design.name: {name: c.value - design.world.value for name, c in design.draw(0)[0].items()}
        for design in (right, wrong)
    }
    assert abs(errors[right.name]["dr"]) < 0.02 < 0.05 < min(abs(error) for error in errors[wrong.name].values())


def test_what_rounds_contribute_is_what_the_components_say() -> None:
    """The designs write it down again, for a row of 1,682 probabilities a round is much to hold 200 times."""
    design = designs()[0]
    contributions, _ = design.draw(0)
    rng = np.random.default_rng(0)
    context = rng.integers(0, len(design.world.mean), ROUNDS)
    action = draw_actions(design.world.logging, context, rng)
    rounds = LoggedRounds(
        reward=(rng.random(ROUNDS) < design.world.mean[context, action]).astype(float),
        action=action,
        propensity=design.world.logging[context, action],
        target=design.world.target[context, action],
        target_distribution=design.world.target[context],
        model=np.full((ROUNDS, 10), 0.5),
    )
    for name, estimator in {"ips": IPSValue(), "snips": SNIPSValue(), "dr": DRValue()}.items():
        np.testing.assert_allclose(contributions[name].terms, estimator.contributions(rounds).terms, atol=1e-12)
