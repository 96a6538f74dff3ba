"""What is judged of an objective's loss, in each draw of a population, and what it should come to.

Judged is the difference of the loss between two fixed predictions, in which a constant cancels; or, where only the
gradient is claimed, the slopes of the loss at one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from causalrec.estimators.certificate.control_variates import ControlVariates, take_off
from causalrec.estimators.certificate.simulation import Simulation, judged_role, reduce_terms, terms_of
from causalrec.estimators.certificate.tables import OutputTables, outputs_of, rows_of_tables
from causalrec.types import Batch, Outputs, Truth

Buffers = Mapping[str, Tensor]


@dataclass(frozen=True)
class Samples:
    """Draws of K judged quantities.

    Attributes:
        values: `[R,K]`.
        controls: `[R,K,C]`, of expectation 0.
        target: `[K]`, those of the ideal loss.
    """

    values: Tensor
    controls: Tensor
    target: Tensor

    def mean(self) -> tuple[Tensor, Tensor]:
        """Return the mean, `[K]`, less the noise that the controls tell, and its standard error."""
        return take_off(self.values, self.controls)


def draw_samples(
    simulation: Simulation, draws: int, seed: int, *, gradient: bool = False, controlled: bool = True
) -> Samples:
    """Let exposure and outcomes fall, and judge each time.

    Args:
        simulation: the objective in its population.
        draws: how often.
        seed: of the draws.
        gradient: whether the slopes of the loss are judged, in place of a difference.
        controlled: whether controls are computed; there are none else.
    """
    generator, world = torch.Generator().manual_seed(seed), simulation.world
    tables = [simulation.tables(prediction) for prediction in (0, 1)]
    row_values = partial(_ideal_slopes if gradient else _ideal_difference, simulation, tables)
    variates = ControlVariates(world, row_values) if controlled else None
    measure, values, controls = _slopes if gradient else _difference, [], []
    buffers: Buffers | None = None
    for _ in range(draws):
        draw = world.draw(generator)
        buffers = simulation.buffers(tables[0], draw) if buffers is None or simulation.fits_on_a_draw else buffers
        batch, codes = simulation.population(draw), simulation.codes(draw)
        complete = len(codes) == len(world)  # then nothing need be gathered
        rows = tables if complete else [rows_of_tables(table, codes) for table in tables]
        values.append(measure(simulation, batch, rows, codes, buffers))
        controls.append(variates.values(draw) if variates else torch.zeros(len(values[-1]), 0))
    return Samples(torch.stack(values), torch.stack(controls), row_values(world.truth).mean(0))


def _difference(
    simulation: Simulation, batch: Batch, tables: list[OutputTables], codes: Tensor, buffers: Buffers
) -> Tensor:
    """Return by how much the loss of the second prediction is above that of the first, `[1]`."""
    outputs = (replace(outputs_of(table, simulation.link), buffers=buffers) for table in tables)
    first, second = (_loss(simulation, batch, each) for each in outputs)
    return (second - first)[None]


def _ideal_difference(simulation: Simulation, tables: list[OutputTables], truth: Truth) -> Tensor:
    """Return what each pair adds to the difference of the ideal loss, `[n,1]`."""
    first, second = (_ideal(simulation, outputs_of(table, simulation.link), truth) for table in tables)
    return (second - first)[:, None]


def _slopes(
    simulation: Simulation, batch: Batch, tables: list[OutputTables], codes: Tensor, buffers: Buffers
) -> Tensor:
    """Return the slopes of the loss at the first prediction, `[3]`: as all of it moves, and as parts of it do."""
    moved, outputs = _with_gradient(simulation, tables[0])
    by_row = _gradient_by_row(_loss(simulation, batch, replace(outputs, buffers=buffers)), moved)
    return _directions(simulation)[:, codes] @ by_row


def _ideal_slopes(simulation: Simulation, tables: list[OutputTables], truth: Truth) -> Tensor:
    """Return what each pair adds to the slopes of the ideal loss, `[n,3]`."""
    moved, outputs = _with_gradient(simulation, tables[0])
    by_row = _gradient_by_row(_ideal(simulation, outputs, truth).sum(), moved)
    return (_directions(simulation) * by_row).T


def _directions(simulation: Simulation) -> Tensor:
    world = simulation.world
    return torch.stack([torch.ones(len(world)), world.score, world.noise[:, 1]])


def _with_gradient(simulation: Simulation, table: OutputTables) -> tuple[list[Tensor], Outputs]:
    """Return the outputs of the judged network as leaves, and all outputs made with them."""
    role = judged_role(simulation.objective)
    moved = {
        p: raw.clone().requires_grad_() for p, raw in table.items() if p[0] == role and p[1] in ("value", "component")
    }
    return list(moved.values()), outputs_of({**table, **moved}, simulation.link)


def _gradient_by_row(loss: Tensor, leaves: list[Tensor]) -> Tensor:
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return torch.stack([each.reshape(len(each), -1).sum(-1) for each in gradients if each is not None]).sum(0)


def _loss(simulation: Simulation, batch: Batch, outputs: Outputs) -> Tensor:
    terms = terms_of(simulation.objective, batch, outputs)
    return reduce_terms(terms, batch, judged_role(simulation.objective))


def _ideal(simulation: Simulation, outputs: Outputs, truth: Truth) -> Tensor:
    return simulation.objective.ideal(simulation.all_pairs, outputs, truth)
