"""A leading replica axis `[R,B]` gives each replica what it gets alone: the contract that stacked sweeps rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from causalrec.errors import CausalRecError
from causalrec.estimators.certificate.check import Check, judge
from causalrec.estimators.certificate.gradients import Example, outputs_of_sides
from causalrec.estimators.certificate.simulation import Simulation, terms_of
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.types import Batch, Term

REPLICAS, TOLERANCE = 3, 1e-6
NAME = "stacked = alone"


def check_replicas(simulation: Simulation) -> Check:
    """Judge rows, outputs and numbers of three replicas side by side against each of them by itself."""
    examples = [Example(simulation, seed) for seed in range(REPLICAS)]
    objectives = [_scale(simulation.objective, 1 - 0.1 * k) for k in range(REPLICAS)]
    stacked_raw = {side: torch.stack([example.raw[side] for example in examples]).detach() for side in examples[0].raw}
    columns = [example.batch.tensors() for example in examples]
    batch = Batch.from_tensors({path: torch.stack([each[path] for each in columns]) for path in columns[0]})
    rows = [example.buffers for example in examples]
    try:
        buffers = {name: pad_sequence([each[name] for each in rows], batch_first=True) for name in rows[0]}
        outputs = replace(outputs_of_sides(stacked_raw, simulation.link), buffers=buffers)
        terms = terms_of(_merge(objectives), batch, outputs)
    except CausalRecError as error:
        return Check(name=NAME, result="FAILS", detail=str(error), only_stacked=True)
    alone = [
        terms_of(objective, example.batch, example.outputs(example.raw))
        for objective, example in zip(objectives, examples, strict=True)
    ]
    worst = max(_distance(terms, single, k) for k, single in enumerate(alone))
    check = judge(NAME, worst, TOLERANCE, "of the value", smallest=TOLERANCE, detail=f"{REPLICAS} replicas")
    return replace(check, only_stacked=True)


def _scale(objective: AbstractObjective, factor: float) -> AbstractObjective:
    """Return the objective with each of its numbers scaled, as the jobs of a sweep differ."""
    return _with_numbers(objective, {name: factor * value for name, value in _numbers(objective).items()})


def _merge(objectives: list[AbstractObjective]) -> AbstractObjective:
    """Return one objective whose numbers, where they differ, are `[R,1]`, as stacked fits have it."""
    columns = {name: [[_numbers(each)[name]] for each in objectives] for name in _numbers(objectives[0])}
    numbers = {name: torch.tensor(column, dtype=torch.float64) for name, column in columns.items() if any(column[0])}
    return _with_numbers(objectives[0], numbers)


def _with_numbers(objective: AbstractObjective, numbers: Mapping[str, object]) -> AbstractObjective:
    changed: AbstractObjective = replace(objective, **numbers) if numbers else objective  # type: ignore[type-var]
    return changed


def _numbers(objective: AbstractObjective) -> dict[str, float]:
    """Return the settings that are numbers; none of what is no dataclass, which has none that sweeps could merge."""
    names: list[str] = [field.name for field in fields(objective)] if is_dataclass(objective) else []
    values = {name: getattr(objective, name) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, float)}


def _distance(stacked: Mapping[str, Term], alone: Mapping[str, Term], replica: int) -> float:
    """Return how far a replica's values and normalisers are from its own, as a share of the largest."""
    worst = 0.0
    for name, term in alone.items():
        pairs: list[tuple[Tensor | None, Tensor | None]] = [
            (stacked[name].value, term.value),
            (stacked[name].normaliser, term.normaliser),
        ]
        for mine, expected in pairs:
            if expected is not None and mine is not None:
                expected = expected.detach()
                distance = float((mine[replica] - expected).abs().max() / (expected.abs().max() + 1e-12))
                worst = max(worst, distance) if distance == distance else float("inf")
    return worst
