"""Outcomes without and with exposure stand beside an effect only where it is their difference, for every head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import yaml

from causalrec.config.component import validate_component
from causalrec.config.compose import compose_config, normalise_overrides, package_folder, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.objective.effects import AbstractSecondStage
from causalrec.heads.base import AbstractHead
from causalrec.learners.network_model import build_model, encoder_inputs
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.learners.predictor import AbstractPredictor
from causalrec.learners.table_predictor import TablePredictor
from causalrec.prepared import PreparedData
from causalrec.running.cache import PreparedCache
from causalrec.running.prepare import plan_run
from causalrec.tasks.effect import NO_INTERVAL, SECOND_STAGE, outcomes_of

UNIT = (7000.0, 500.0)  # mean and standard deviation: single precision keeps seven digits of it


def components(group: str, contract: type[Any]) -> dict[str, Any]:
    """Return every component of a group as YAML has it, by name."""
    paths = sorted((package_folder("conf") / group).glob("*.yaml"))
    return {path.stem: validate_component(group, yaml.safe_load(path.read_text()), contract) for path in paths}


HEADS, OBJECTIVES = components("head", AbstractHead), components("objective", AbstractObjective)
PAIRS = [
    (head, objective)
    for objective, chosen in OBJECTIVES.items()
    for head in HEADS
    if chosen.target.required_head_outputs and chosen.target.required_head_outputs <= HEADS[head].target.head_outputs
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExperimentConfig, PreparedData]:
    """A small run of effects, its data prepared."""
    folder = tmp_path_factory.mktemp("world")
    overrides = ["task=effect", "dataset.units=200", "logger=none", "split.unseen=keep"]
    overrides += [f"paths.{name}={folder / name}" for name in ("data", "cache", "runs")]
    config = validate_config(compose_config(normalise_overrides(overrides)))
    return config, PreparedCache().prepare(config, plan_run(config))


def random_network(world: tuple[ExperimentConfig, PreparedData], head: str, objective: str) -> NetworkPredictor:
    """Return a network of random weights, whose outcomes and effects are far from each other where they may be."""
    config, prepared = world[0].replace(head=HEADS[head], objective=OBJECTIVES[objective]), world[1]
    torch.manual_seed(0)
    model = build_model(config, prepared, encoder_inputs(config, prepared))
    model.unit = torch.nn.Parameter(torch.tensor(UNIT), requires_grad=False)
    return NetworkPredictor(model, prepared.features, config.objective.build())


def test_every_objective_of_effects_has_a_head() -> None:
    of_effects = {name for name, chosen in OBJECTIVES.items() if chosen.target.required_head_outputs}
    assert {objective for _, objective in PAIRS} == of_effects
    assert {head for head, _ in PAIRS} == {name for name, chosen in HEADS.items() if chosen.target.head_outputs}


@pytest.mark.parametrize(("head", "objective"), PAIRS)
def test_outcomes_differ_by_the_effect_or_are_left_out(
    world: tuple[ExperimentConfig, PreparedData], head: str, objective: str
) -> None:
    config, prepared = world
    predictor, user = random_network(world, head, objective), np.arange(150)
    ranking = config.components.task.rank(config, prepared, predictor, user, 0 * user, 1)
    assert ranking.column == "effect" and np.ptp(ranking.values) > 1
    if issubclass(OBJECTIVES[objective].target, AbstractSecondStage):
        assert ranking.outcomes is None and ranking.note == f"{NO_INTERVAL}; {SECOND_STAGE}"
        return
    assert ranking.outcomes is not None and ranking.note == NO_INTERVAL
    without, exposed = ranking.outcomes
    assert exposed - without == pytest.approx(ranking.values.astype(np.float64), abs=1e-5)


def test_learners_from_a_table_tell_no_outcome_beside_an_effect() -> None:
    assert TablePredictor.potential_outcomes is AbstractPredictor.potential_outcomes


def test_outcomes_that_differ_by_something_else_are_left_out() -> None:
    outcomes = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]], np.float32)
    shown, missing = outcomes_of(np.array([1.0, 0.0], np.float32), outcomes, arm=2)
    assert shown is not None and missing == "" and [column.tolist() for column in shown] == [[1, 5], [2, 5]]
    assert outcomes_of(np.array([1.0, 0.001], np.float32), outcomes, arm=2) == (None, SECOND_STAGE)
    assert outcomes_of(np.array([1.0, 0.0], np.float32), None, arm=2) == (None, "")
