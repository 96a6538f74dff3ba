"""Weights of sampled rows: the mean of weight * value over what samplers draw is the mean over the population."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.data.sampler.rows import SampledRows
from causalrec.estimators.certificate.check import Check
from causalrec.estimators.certificate.claims import judge_mean
from causalrec.estimators.certificate.simulation import Simulation, terms_of
from causalrec.estimators.certificate.tables import OutputTables, outputs_of, rows_of_tables
from causalrec.estimators.certificate.world import ITEMS, Draw, World
from causalrec.types import ITEM_PAIRS

USERS = 20


def check_weights(simulation: Simulation, epochs: int) -> Check:
    """Judge the terms of rows that the shipped sampler draws, on one log, against their mean over the population."""
    objective, space = simulation.objective, simulation.objective.space
    name = f"weights of {space} rows"
    if space not in Balanced.spaces:
        return Check(name=name, result="not judged", detail="no shipped sampler draws them")
    if objective.reads_whole_batch:
        return Check(name=name, result="not judged", detail="a row's value reads a sum over its batch")
    world = World.create(simulation.world.design, USERS)
    sampled = _SampledSpace(replace(simulation, world=world), world.draw(torch.Generator().manual_seed(3)))
    samples = torch.stack([sampled.mean(sampled.rows(epoch)) for epoch in range(epochs)])
    target = sampled.mean(iter([sampled.population()]), unweighted=True)
    error = samples.std(0) / epochs**0.5
    check = judge_mean(name, samples.mean(0), error, target, f"{epochs} epochs of sampler=balanced")
    hint = f"{check.detail}; a value that reads a sum over its batch must say reads_whole_batch"
    return replace(check, detail=hint) if check.failed else check


@dataclass(frozen=True)
class _SampledSpace:
    """One log of a population, from which rows are drawn."""

    simulation: Simulation
    draw: Draw

    @cached_property
    def tables(self) -> OutputTables:
        return self.simulation.tables(1)

    @cached_property
    def buffers(self) -> Mapping[str, Tensor]:
        return self.simulation.buffers(self.tables, self.draw)

    @cached_property
    def log(self) -> InteractionLog:
        world, row = self.simulation.world, self.logged
        return InteractionLog(
            item=world.item[row].numpy(),
            treatment=self.draw.treatment[row].numpy(),
            outcome=self.draw.outcome[row].float().numpy(),
            num_items=ITEMS,
            user=world.user[row].numpy(),
            num_users=USERS,
            name="certificate",
        )

    @cached_property
    def logged(self) -> Tensor:
        """The pairs that have a row, int64[N]."""
        return torch.nonzero(self.draw.observed)[:, 0]

    def rows(self, epoch: int) -> Iterator[SampledRows]:
        """Return the batches of an epoch: one alone, so that what reads its batch reads all rows."""
        return Balanced(batch_size=len(self.logged)).epoch(self.log, self.simulation.objective.space, 0, epoch)

    def population(self) -> SampledRows:
        """Return the rows that the objective's mean is over: every pair (those without a row count 0 where only logged
        ones are read), or every row with each item that its user has no row with, or with each other item.
        """
        simulation, world = self.simulation, self.simulation.world
        space = simulation.objective.space
        if space not in ("triples", ITEM_PAIRS):
            codes = simulation.codes(self.draw)
            return _as_rows(world, codes, torch.full((len(codes),), len(codes) / len(world)), None)
        if space == ITEM_PAIRS:
            other = 1 - torch.nn.functional.one_hot(world.item[self.logged], ITEMS)
        else:
            other = (1 - self.draw.observed).reshape(USERS, ITEMS)[world.user[self.logged]]
        row, item = torch.nonzero(other, as_tuple=True)
        codes = self.logged[row]
        count = other.sum(1)
        weight = len(codes) / count[row] / (count > 0).sum()
        return _as_rows(world, codes, weight, item)

    def mean(self, batches: Iterator[SampledRows], *, unweighted: bool = False) -> Tensor:
        """Return the mean of weight * value and of weight * normaliser of each term, `[K]`.

        `unweighted`: the objective is not shown the weights, so that its values are those of the rows themselves.
        """
        totals, count = torch.zeros(()), 0
        for rows in batches:
            codes = torch.from_numpy(rows.user * ITEMS + rows.item)
            negatives = None if rows.negative is None else torch.from_numpy(rows.user * ITEMS + rows.negative)
            weight = torch.from_numpy(rows.weight).double()
            other = None if negatives is None else rows_of_tables(self.tables, negatives)
            outputs = outputs_of(rows_of_tables(self.tables, codes), self.simulation.link, other)
            outputs = replace(outputs, buffers=self.buffers)
            shown = torch.ones_like(weight) if unweighted else weight
            batch = self.simulation.batch(self.draw, codes, shown, negatives)
            terms = terms_of(self.simulation.objective, batch, outputs).values()
            columns = [c for term in terms for c in (term.value, term.normaliser) if c is not None]
            totals = totals + torch.stack([(weight * column.detach()).sum() for column in columns])
            count += len(codes)
        return totals / count


def _as_rows(world: World, codes: Tensor, weight: Tensor, negative: Tensor | None) -> SampledRows:
    """Return pairs as a sampler gives them."""
    user, item = world.user[codes].numpy(), world.item[codes].numpy()
    ids = None if negative is None else negative.numpy()
    return SampledRows(np.zeros(len(codes), np.int64), user, item, weight.numpy().astype(np.float32), ids)
