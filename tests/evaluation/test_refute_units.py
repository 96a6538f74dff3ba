"""Refuters where rows depend on each other: whole units are permuted, left out and counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest
from causalrec.estimators.effect.base import LearnerData
from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem
from causalrec.evaluation.refuter.data_subset import DataSubset
from causalrec.evaluation.refuter.dummy_outcome import DummyOutcome
from causalrec.evaluation.refuter.placebo_exposure import PlaceboExposure
from causalrec.evaluation.refuter.randomised_rows import RandomisedRows
from causalrec.running.prepare import plan_run, prepare_data
from causalrec.tasks.effect_refutation import effect_problem
from causalrec.types import Ints

UNITS, ROWS = 50, 8
EVEN = np.full((UNITS * ROWS, 2), 0.5)


def draw(seed: int, clustered: bool = True) -> AdjustedRows:
    """Rows of users who each have one treatment, drawn evenly, and an intercept; no effect."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(UNITS), ROWS)
    treatment = rng.permutation(np.arange(UNITS) % 2)[user]
    outcome = rng.normal(size=UNITS)[user] + rng.normal(size=len(user))
    return AdjustedRows.from_random_assignment(outcome, treatment, EVEN, (user,) if clustered else ())


def problem_of_users(seed: int, clustered: bool) -> RefutationProblem:
    """A log and a randomised sample of other users."""
    log = draw(2 * seed, clustered)
    rows = as_learner_data(log.treatment, log.outcome, clusters=log.clusters)
    return RefutationProblem(
        rows=rows,
        estimate=lambda rows, seed: log.average(AverageRequest()),
        original=log.average(AverageRequest()),
        propensities=EVEN,
        randomised=draw(2 * seed + 1, clustered),
    )


def as_learner_data(
    treatment: Ints, outcome: np.ndarray, groups: Ints | None = None, clusters: tuple[Ints, ...] = ()
) -> LearnerData:
    x = np.random.default_rng(0).normal(size=(len(outcome), 1))
    return LearnerData(x, x[:, :0], treatment, outcome, 1, False, groups=groups, clusters=clusters)


@pytest.mark.parametrize(("clustered", "least", "most"), [(True, 0.0, 0.08), (False, 0.2, 1.0)])
def test_randomised_rows_of_treatment_by_user_agree_with_the_log(clustered: bool, least: float, most: float) -> None:
    """No effect in either: 300 draws; rows taken for independent disagree falsely in many."""
    refuter = RandomisedRows()
    fails = [refuter(problem_of_users(seed, clustered))[0].verdict == "fails" for seed in range(300)]
    assert least <= float(np.mean(fails)) <= most


def test_the_command_clusters_the_randomised_sample_by_its_own_units(tmp_path: Path) -> None:
    """Also where the split tests by rows of the log, whose units are others."""
    overrides = ["task=effect", "learner=linear_dml", "logger=none", "split=random", f"paths.cache={tmp_path}"]
    overrides += ["dataset.units=300", "dataset.rows_per_unit=3", "dataset.unit_spread=1", "dataset.randomised=90"]
    config = validate_config(compose_config(normalise_overrides(overrides)))
    prepared = prepare_data(config, plan_run(config))
    problem, _ = effect_problem(config, prepared, seed=0, controls=(), repeats=3)
    assert problem.randomised is not None and len(problem.randomised) == 270
    (cluster,) = problem.randomised.clusters
    assert len(np.unique(cluster)) == 90 and problem.means is not None


def test_a_placebo_permutes_the_largest_units_that_have_one_treatment() -> None:
    """Users of two rows in cities of ten: treatment was assigned to cities, rows are grouped by user."""
    user = np.repeat(np.arange(100), 2)
    city = user // 5
    treatment = (city % 2).astype(np.int64)
    rows = as_learner_data(treatment, np.random.default_rng(1).normal(size=200), groups=user, clusters=(city, user))
    for permuted in record_rows(PlaceboExposure(), rows):
        by_city = permuted.treatment.reshape(20, 10)
        assert (by_city == by_city[:, :1]).all() and by_city[:, 0].sum() == 10


def test_a_dummy_outcome_permutes_rows_not_units() -> None:
    user = np.repeat(np.arange(50), 4)
    rows = as_learner_data(np.arange(200) % 2, user.astype(np.float64), clusters=(user,))
    for permuted in record_rows(DummyOutcome(), rows):
        by_user = permuted.outcome.reshape(50, 4)
        assert (by_user != by_user[:, :1]).any() and (np.sort(permuted.outcome) == user).all()


def test_a_subset_takes_whole_clusters() -> None:
    user = np.repeat(np.arange(50), 4)
    rows = as_learner_data(np.arange(200) % 2, np.random.default_rng(1).normal(size=200), clusters=(user,))
    for subset in record_rows(DataSubset(), rows):
        assert set(np.unique(subset.clusters[0], return_counts=True)[1]) == {4} and len(subset) == 160


def record_rows(refuter: AbstractEffectRefuter, rows: LearnerData) -> Iterator[LearnerData]:
    """Yield the rows that a refuter estimates again."""
    seen: list[LearnerData] = []
    effect = AverageEffect(*(np.array([end]) for end in (0.5, 0.1, 0.3, 0.7)))

    def record(changed: LearnerData, seed: int) -> AverageEffect:
        seen.append(changed)
        return effect

    probabilities = np.full((len(rows), 2), 0.5)
    refuter(RefutationProblem(rows=rows, estimate=record, original=effect, propensities=probabilities, repeats=3))
    assert len(seen) == 3
    yield from seen
