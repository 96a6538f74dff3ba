"""Gradients of an objective's terms: finite, of the role that each trains alone, and those of its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from causalrec.estimators.certificate.check import Check, judge
from causalrec.estimators.certificate.held_fixed import HeldFixed
from causalrec.estimators.certificate.simulation import Simulation, judged_role, reduce_terms, terms_of
from causalrec.estimators.certificate.tables import OutputTables, Path, outputs_of, rows_of_tables, widen
from causalrec.estimators.certificate.world import World
from causalrec.types import CANDIDATES, ITEM_PAIRS, Link, Outputs, Role, Term

USERS, ROWS, STEP, TOLERANCE, DIRECTIONS = 20, 24, 1e-5, 1e-5, 3
FINITE = "finite gradients"
Side = tuple[str, Path]  # "row", "negative" or "candidate", and where the output lies
RawOutputs = dict[Side, Tensor]


class Example:
    """A small batch of an objective with outputs that carry gradients.

    Args:
        simulation: whose objective and link it is; the population is a smaller one.
        seed: of the draw and of the outputs' noise.
    """

    def __init__(self, simulation: Simulation, seed: int = 0) -> None:
        small = replace(simulation, world=World.create(simulation.world.design, USERS, seed))
        generator, self.link = torch.Generator().manual_seed(seed), small.link
        draw = small.world.draw(generator)
        with_negatives = small.objective.space in ("triples", ITEM_PAIRS)
        codes = torch.nonzero(draw.observed)[:, 0] if with_negatives else small.codes(draw)
        codes = codes[:ROWS]  # as many in every example: replicas stand side by side
        other = torch.randint(len(small.world), codes.shape, generator=generator) if with_negatives else None
        weight = 0.5 + torch.rand(codes.shape, generator=generator, dtype=torch.float64)
        self.simulation, self.batch = small, small.batch(draw, codes, weight, other)
        tables = {path: table.double() for path, table in small.tables(1).items()}
        tables = widen(tables) if self.link == "softmax" else tables
        self.buffers = small.buffers(tables, draw)
        self.raw: RawOutputs = {}
        many = small.candidates(codes) if small.objective.space == CANDIDATES else None
        for side, chosen in (("row", codes), ("negative", other), ("candidate", many)):
            rows = {} if chosen is None else rows_of_tables(tables, chosen)
            noise = {p: 0.3 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for p, t in rows.items()}
            self.raw |= {(side, path): (table + noise[path]).requires_grad_() for path, table in rows.items()}

    def outputs(self, raw: Mapping[Side, Tensor]) -> Outputs:
        """Return the outputs of these raw values."""
        return replace(outputs_of_sides(raw, self.link), buffers=self.buffers)

    def terms(self, raw: Mapping[Side, Tensor]) -> Mapping[str, Term]:
        return terms_of(self.simulation.objective, self.batch, self.outputs(raw))

    def loss(self, raw: Mapping[Side, Tensor], role: Role) -> Tensor:
        return reduce_terms(self.terms(raw), self.batch, role)


def outputs_of_sides(raw: Mapping[Side, Tensor], link: Link) -> Outputs:
    """Return the outputs of rows, with those of their negatives where there are any."""
    sides: dict[str, OutputTables] = {"row": {}, "negative": {}, "candidate": {}}
    for (side, path), tensor in raw.items():
        sides[side][path] = tensor
    outputs = outputs_of(sides["row"], link, sides["negative"] or None)
    return replace(outputs, candidates=outputs_of(sides["candidate"], link).values) if sides["candidate"] else outputs


def check_gradients(simulation: Simulation) -> Iterator[Check]:
    """Judge the gradients under each link that the objective is defined for."""
    links = sorted(simulation.objective.links)
    examples = [Example(replace(simulation, link=link)) for link in links]
    broken = [text for example in examples for text in _not_finite(example)]
    among = f"links {', '.join(links)}"
    yield Check(name=FINITE, result="FAILS" if broken else "passes", detail="; ".join(broken) or among)
    leaks = [text for example in examples for text in _leaks(example)]
    yield Check(name="each term reaches its role alone", result="FAILS" if leaks else "passes", detail="; ".join(leaks))
    worst, where = max(
        (_difference(e, role), f"{role}, {e.link}") for e in examples for role in e.simulation.objective.roles
    )
    name = "gradients are finite differences"
    yield judge(name, worst, TOLERANCE, "of the gradient", smallest=TOLERANCE, detail=f"worst: {where}")


def _not_finite(example: Example) -> Iterator[str]:
    """Say which terms have a value or a gradient that is NaN or infinite."""
    for name, term in example.terms(example.raw).items():
        wrong = {"value": term.value, "normaliser": term.normaliser}
        gradients = _gradients(term.value.sum(), example.raw)
        tensors = [*((f"its {k}", v) for k, v in wrong.items() if v is not None)]
        tensors += [(f"its gradient in {path[0]}", gradient) for (_, path), gradient in gradients.items()]
        bad = next((what for what, tensor in tensors if not torch.isfinite(tensor).all()), None)
        if bad is not None:
            yield f"{name} ({example.link}): {bad} is not finite"


def _leaks(example: Example) -> Iterator[str]:
    """Say which terms train another role than they name, and which roles none trains."""
    reached = set()
    for name, term in example.terms(example.raw).items():
        for (_, path), gradient in _gradients(term.value.sum(), example.raw).items():
            if gradient.any():
                reached.add(path[0])
                if path[0] != term.trains:
                    yield f"{name} ({example.link}) trains {term.trains}, and its gradient reaches {path[0]}"
    for role in sorted(set(example.simulation.objective.roles) - reached):
        yield f"no term has a gradient in {role} ({example.link})"


def _gradients(value: Tensor, raw: RawOutputs) -> RawOutputs:
    """Return the gradients of a scalar in the raw outputs that it depends on."""
    if not value.requires_grad:
        return {}
    gradients = torch.autograd.grad(value, list(raw.values()), allow_unused=True, retain_graph=True)
    return {side: gradient for side, gradient in zip(raw, gradients, strict=True) if gradient is not None}


def _difference(example: Example, role: Role) -> float:
    """Return how far the gradient of a role's loss is from its finite differences, as a share of it.

    Where the value is claimed to be a loss, nothing is held fixed: its gradient must be the value's own.
    """
    claims, judged = example.simulation.claims, judged_role(example.simulation.objective)
    exact = role == judged and bool(claims) and "gradient_only" not in claims
    recording, generator = HeldFixed(), torch.Generator().manual_seed(7)
    with recording:
        loss = example.loss(example.raw, role)
    held = [] if exact else recording.values
    gradients = {side: gradient for side, gradient in _gradients(loss, example.raw).items() if side[1][0] == role}
    worst = 0.0
    for _ in range(DIRECTIONS if gradients else 0):
        along = {side: torch.randn(tensor.shape, generator=generator).double() for side, tensor in example.raw.items()}
        products = torch.stack([(gradient * along[side]).sum() for side, gradient in gradients.items()])
        scale = (
            torch.stack([(gradient * along[side]).square().sum() for side, gradient in gradients.items()]).sum().sqrt()
        )
        distance = float((_slope(example, role, along, held) - products.sum()).abs() / scale.clamp_min(1e-3))
        worst = max(worst, distance if distance == distance else float("inf"))
    return worst


def _slope(example: Example, role: Role, along: RawOutputs, held: list[Tensor]) -> Tensor:
    """Return the central difference of a role's loss as its outputs move along a direction."""
    ends = []
    for step in (STEP, -STEP):
        moved = {
            side: tensor.detach() + step * along[side] if side[1][0] == role else tensor.detach()
            for side, tensor in example.raw.items()
        }
        with HeldFixed(held):
            ends.append(example.loss(moved, role))
    return (ends[0] - ends[1]) / (2 * STEP)
