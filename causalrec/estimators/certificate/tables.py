"""Fixed network outputs for every pair of a population, by the path that leads to each in `Outputs`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

from causalrec.estimators.certificate.world import World
from causalrec.estimators.cross_fitting import CROSSFIT_ROLES
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.pointwise_error import raw_mean
from causalrec.types import (
    ARMS,
    EFFECT,
    EPSILON,
    IMPUTATION,
    OUTCOME,
    PROPENSITY,
    REPRESENTATION,
    WEIGHT,
    Link,
    Outputs,
    Role,
    role_family,
)

WIDTH = 2  # of vectors
Path = tuple[
    Role, str, str
]  # the role, "value", "component", "vector", "pass" or "parameter", and the component's or vector's name
OutputTables = dict[Path, Tensor]  # `[n,...]` each


def fixed_outputs(
    objective: AbstractObjective, world: World, propensity: Tensor, wrong_labels: bool, prediction: int, link: Link
) -> OutputTables:
    """Return what each network of an objective gives each pair.

    Args:
        objective: whose roles and head outputs there are.
        world: the population.
        propensity: `[n]`, what the propensity network says.
        wrong_labels: whether imputed labels and mean outcomes of nuisance networks are far from the truth.
        prediction: which of two predictions the outcome network makes, 0 (which sees nothing of what exposure goes by)
            or 1 (which does).
        link: of the outcome; of classes, the tables are those of a click (`widen`).
    """
    means = 1 - 0.8 * world.arms if wrong_labels else world.arms
    raw_arms = raw_mean(means, "logit" if link == "softmax" else link)
    chances = torch.stack([1 - propensity, propensity], -1)
    guess = _guess(world, prediction)
    tables: OutputTables = {}
    free = _free_parameters(objective)
    for role in (role for role in objective.roles if role not in free):
        for name in sorted(objective.required_head_outputs):
            tables[role, "component", name] = _component(role, name, guess, raw_arms, chances, world)
        if not objective.required_head_outputs:
            values = {IMPUTATION: raw_arms[:, 1], PROPENSITY: torch.logit(propensity)}
            values[WEIGHT] = torch.logit(propensity.mean()).expand(len(world))  # where training starts
            tables[role, "value", ""] = values.get(role_family(role), guess[:, 1])
        shift = len(tables)  # no two networks give the same vectors
        tables |= {
            (role, "vector", side): world.noise[:, :WIDTH] * (shift + k) for k, side in enumerate(("user", "item"))
        }
    for role in objective.pass_roles:
        spread = 0.5 * world.noise.roll(1, 0)
        value = tables[role, "value", ""]
        tables |= {(role, "pass", str(k)): value + spread[:, k % 4] * (1 + k // 4) for k in range(objective.passes)}
    return tables | {(r, "parameter", n): value for r, named in free.items() for n, value in named.items()}


def _free_parameters(objective: AbstractObjective) -> dict[Role, dict[str, Tensor]]:
    """Return an objective's free parameters, float64, drawn anew from one seed and moved off where they start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        start = objective.free_parameters(WIDTH)
        moved = {
            r: {n: v.double() + 0.3 * torch.randn(v.shape).double() for n, v in by.items()} for r, by in start.items()
        }
    return {role: {n: v if v.ndim else v[None] for n, v in by.items()} for role, by in moved.items()}


def _guess(world: World, prediction: int) -> Tensor:
    """Return log-odds of both arms, `[n,2]`."""
    if prediction == 0:
        return torch.stack([0.4 * world.noise[:, 2], 0.5 * world.noise[:, 1] - 0.8], -1)
    return torch.stack([0.5 * world.score + 0.3, 0.8 * world.score + 0.3 * world.noise[:, 3] + 0.4], -1)


def _component(role: Role, name: Role, guess: Tensor, raw_arms: Tensor, chances: Tensor, world: World) -> Tensor:
    if name == ARMS and role in CROSSFIT_ROLES:
        return raw_arms
    given = {
        ARMS: 0.3 * guess if role == EFFECT else guess,  # an effect is in the outcome's unit
        PROPENSITY: chances.log(),
        EPSILON: 0.1 * world.noise[:, 0],
        EFFECT: 0.3 * world.noise[:, 1:2],
        REPRESENTATION: world.noise[:, :3],
    }
    return given.get(name, world.noise[:, 0])


def rows_of_tables(tables: Mapping[Path, Tensor], codes: Tensor) -> OutputTables:
    """Return the tables' rows of these pairs; parameters have none."""
    return {path: table if path[1] == "parameter" else table[codes] for path, table in tables.items()}


def widen(tables: Mapping[Path, Tensor]) -> OutputTables:
    """Return tables whose outcomes and imputed labels are those of three classes, `[n,3]`."""
    return {
        path: torch.stack([-table, 0.5 * table, table], -1)
        if (role_family(path[0]), path[1]) in CLASS_VALUES
        else table
        for path, table in tables.items()
    }


CLASS_VALUES = [(OUTCOME, "value"), (IMPUTATION, "value"), (OUTCOME, "pass"), (IMPUTATION, "pass")]


def outputs_of(tables: Mapping[Path, Tensor], link: Link, negatives: Mapping[Path, Tensor] | None = None) -> Outputs:
    """Return the outputs that hold these rows, and those of their negatives."""
    components: dict[Role, dict[Role, Tensor]] = defaultdict(dict)
    parameters: dict[Role, dict[str, Tensor]] = defaultdict(dict)
    passes: dict[Role, list[Tensor]] = defaultdict(list)
    for (role, kind, name), table in tables.items():
        if kind == "component":
            components[role][Role(name)] = table
        elif kind == "parameter":
            parameters[role][name] = table
        elif kind == "pass":
            passes[role].append(table.detach())
    return Outputs(
        {role: table for (role, kind, _), table in tables.items() if kind == "value"},
        link,
        {role: (table, tables[role, kind, "item"]) for (role, kind, name), table in tables.items() if name == "user"},
        None if negatives is None else outputs_of(negatives, link),
        components,
        parameters=parameters,
        passes={role: torch.stack(each) for role, each in passes.items()},
    )
