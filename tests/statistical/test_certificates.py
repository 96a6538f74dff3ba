"""Every shipped objective passes its certificate, in seconds, and passes it under other draws too."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.estimators.certificate.certificate import certify
from causalrec.estimators.certificate.claims import Effort, check_claims
from causalrec.estimators.certificate.simulation import Simulation
from causalrec.estimators.certificate.world import World, design_of
from causalrec.estimators.objective.base import AbstractObjective

PATHS = {path.stem: path for path in sorted((package_folder("conf") / "objective").glob("*.yaml"))}
SEEDS = 25


def objective_of(name: str) -> AbstractObjective:
    return validate_component("objective", yaml.safe_load(PATHS[name].read_text()), AbstractObjective).build()


CLAIMING = [name for name in PATHS if objective_of(name).claimed]


@pytest.mark.long
@pytest.mark.parametrize("name", PATHS)
def test_a_shipped_objective_is_what_it_claims_within_five_seconds(name: str) -> None:
    started = time.process_time()
    certificate = certify(objective_of(name), name)
    assert time.process_time() - started < 5
    assert [check.sentence for check in certificate.failures] == []


@pytest.mark.long
@pytest.mark.parametrize("name", CLAIMING)
def test_no_claim_that_is_true_fails_by_chance(name: str) -> None:
    """Of 25 certificates of other draws, at 4 standard errors, none fails."""
    objective = objective_of(name).with_clip(0.0)
    world = World.create(design_of(objective), 40, seed=5)
    simulation = Simulation(objective=objective, world=world, claims=objective.claimed)
    effort = Effort(users=40, draws=150, growing_draws=150)
    checks = [check for seed in range(SEEDS) for check in check_claims(simulation, effort, 100 * seed)]
    assert [check.sentence for check in checks if check.failed] == []


def test_the_published_table_has_a_row_of_each_and_no_failure() -> None:
    page = (Path(__file__).parents[2] / "experiments" / "VALIDATION.md").read_text(encoding="utf-8")
    table = page.partition("<!-- certificates -->")[2].partition("<!-- /certificates -->")[0]
    assert re.findall(r"^\| (\w+) \|", table, re.MULTILINE)[1:] == list(PATHS)
    assert "FAILS" not in table
