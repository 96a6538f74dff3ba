"""Batches and network outputs of a simulated population, as training would hand them to an objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from causalrec.errors import CausalRecError
from causalrec.estimators.certificate.tables import OutputTables, fixed_outputs, outputs_of, rows_of_tables
from causalrec.estimators.certificate.world import Draw, World
from causalrec.estimators.objective.base import AbstractObjective, Claim, Nuisance
from causalrec.types import CANDIDATES, ITEM_PAIRS, OUTCOME, UNLOGGED_TIME, Batch, Link, Outputs, Role, Term

Broken = frozenset[Nuisance]
HOOK_EPOCHS = 2  # between which an objective fits: the second reads what the first has left
NOTHING_BROKEN: Broken = frozenset()


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """An objective in a population, with predictions and nuisances held fixed.

    Attributes:
        objective: that is judged.
        world: the population.
        broken: the nuisances that are wrong; propensities then know how much is exposed and not what.
        claims: what it claims as it is set.
        link: of the outcome.
    """

    objective: AbstractObjective
    world: World
    claims: frozenset[Claim] = frozenset()
    broken: Broken = NOTHING_BROKEN
    link: Link = "logit"

    @cached_property
    def propensity(self) -> Tensor:
        """The probability that the objective is handed, `[n]`: of exposure, examination or treatment."""
        true = self.world.propensity
        return torch.full_like(true, float(true.mean())) if "propensity" in self.broken else true

    def tables(self, prediction: int) -> OutputTables:
        """Return what the networks give each pair under one of the two predictions (0 or 1)."""
        wrong_labels = "imputation" in self.broken
        return fixed_outputs(self.objective, self.world, self.propensity, wrong_labels, prediction, self.link)

    def codes(self, draw: Draw) -> Tensor:
        """Return the pairs that a batch holds, int64: all, or those with a row."""
        of_rows = self.objective.space in ("logged", CANDIDATES)
        return torch.nonzero(draw.observed)[:, 0] if of_rows else torch.arange(len(self.world))

    def batch(self, draw: Draw, codes: Tensor, weight: Tensor, negatives: Tensor | None = None) -> Batch:
        """Gather the rows of these pairs.

        Args:
            draw: what fell to each pair.
            codes: int64[B], pairs.
            weight: float64[B], as in `Batch`.
            negatives: int64[B], the pair of a row's user and negative; None where the space has none.
        """
        world, features = self.world, self.world.noise[:, 2:]
        propensity, columns = self._readable_propensity(draw), (draw.observed, draw.outcome, draw.treatment)
        user, item, observed, outcome, treatment = (each[codes] for each in (world.user, world.item, *columns))
        batch = Batch(
            user=user,
            item=item,
            treatment=treatment,
            outcome=outcome,
            observed=observed,
            propensity=propensity[codes],
            weight=weight,
            features=features[codes],
            time=torch.full_like(codes, UNLOGGED_TIME),
            columns=dict.fromkeys(self.objective.columns, codes % 2),
            arm_propensities=self._arm_propensities(codes),
            row=torch.where(draw.observed > 0, draw.observed.cumsum(0).long() - 1, -1)[codes],
        )
        if self.objective.space == CANDIDATES:
            items = torch.arange(int(world.item.max()) + 1)
            counts, numbers = torch.full(items.shape, 0.5, dtype=torch.float64), torch.zeros(len(items), 2)
            no_numbers = torch.zeros_like(features[codes])
            return replace(
                batch,
                candidates=items,
                candidate_counts=counts,
                candidate_features=numbers.double(),
                user_features=no_numbers,
            )
        if negatives is None:
            return batch
        share = torch.zeros(int(world.item.max()) + 1, dtype=torch.float64)
        share = share.index_add(0, world.item, draw.observed) / (int(world.user.max()) + 1)
        if self.objective.space == ITEM_PAIRS:
            seen = draw.observed[negatives]
            batch = replace(batch, negative_observed=seen, negative_propensity=propensity[negatives])
        return replace(
            batch,
            negative=world.item[negatives],
            negative_features=features[negatives],
            popularity=share[item],
            negative_popularity=share[world.item[negatives]],
        )

    @property
    def fits_on_a_draw(self) -> bool:
        """Whether what the objective fits between epochs differs by draw; on rows that are held out, it does not."""
        spec = self.objective.epoch_rows
        return spec is not None and spec.source == "training"

    def buffers(self, tables: OutputTables, draw: Draw) -> Mapping[str, Tensor]:
        """Return what the objective fits between epochs: on the rows of a draw, or of another, where it holds them out.

        Args:
            tables: of one prediction.
            draw: whose rows are trained on.
        """
        spec = self.objective.epoch_rows
        if spec is None:
            return {}
        generator = torch.Generator().manual_seed(17)
        if spec.source == "held_out":
            draw = self.world.draw(generator)
        codes = torch.arange(len(self.world)) if spec.pairs_per_row else torch.nonzero(draw.observed)[:, 0]
        batch = self.batch(draw, codes, torch.ones(len(codes), dtype=torch.float64))
        outputs = outputs_of(rows_of_tables(tables, codes), self.link)
        fitted: Mapping[str, Tensor] = {}
        with torch.no_grad():
            for epoch in range(HOOK_EPOCHS):
                fitted = self.objective.between_epochs(batch, replace(outputs, buffers=fitted), epoch, generator)
        return fitted

    def candidates(self, codes: Tensor) -> Tensor:
        """Return the pairs of the users of these pairs with each candidate, int64[B,C]."""
        items = torch.arange(int(self.world.item.max()) + 1)
        return self.world.user[codes][:, None] * len(items) + items

    def population(self, draw: Draw) -> Batch:
        """Return the batch that stands for all pairs: a logged row for as many as there are to a row."""
        codes = self.codes(draw)
        return self.batch(draw, codes, torch.full((len(codes),), len(codes) / len(self.world), dtype=torch.float64))

    @cached_property
    def all_pairs(self) -> Batch:
        """Return a batch of every pair, logged or not."""
        draw, pairs = self.world.draw(torch.Generator().manual_seed(0)), len(self.world)
        return self.batch(draw, torch.arange(pairs), torch.ones(pairs, dtype=torch.float64))

    def _arm_propensities(self, codes: Tensor) -> Tensor | None:
        if not self.objective.reads_arm_propensities:
            return None
        treated = self.propensity[codes]
        return torch.stack([1 - treated, treated], -1)

    def _readable_propensity(self, draw: Draw) -> Tensor:
        """Return what batches tell: the probability of what happened, 1 where nothing did and no pair is asked for."""
        if self.world.design == "treatment":
            return torch.where(draw.treatment > 0, self.propensity, 1 - self.propensity)
        return (
            self.propensity
            if self.objective.reads_pair_propensity
            else torch.where(draw.observed > 0, self.propensity, 1.0)
        )


def judged_role(objective: AbstractObjective) -> Role:
    """Return the network whose loss is judged: the outcome's, or the one that is fitted on others."""
    return OUTCOME if OUTCOME in objective.roles else objective.roles[-1]


def terms_of(objective: AbstractObjective, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
    """Return an objective's terms; raise CausalRecError in one line where they cannot be computed or have no rows."""
    name = type(objective).__name__
    try:
        terms = objective.terms(batch, outputs)
    except Exception as error:
        raise CausalRecError(f"{name}: terms(batch, outputs) raises {type(error).__name__}: {error}") from error
    if not isinstance(terms, Mapping) or not terms or not all(isinstance(term, Term) for term in terms.values()):
        raise CausalRecError(f"{name}: terms(batch, outputs) gives {type(terms).__name__}; give a mapping of Terms")
    for key, term in terms.items():
        if term.value.shape != batch.item.shape or term.trains not in objective.roles:
            raise CausalRecError(
                f"{name}: the term {key} has the shape {list(term.value.shape)} and trains {term.trains}; give one "
                f"value a row, {list(batch.item.shape)}, and one of its roles ({', '.join(objective.roles)})"
            )
    return terms


def reduce_terms(terms: Mapping[str, Term], batch: Batch, role: Role) -> Tensor:
    """Return the loss of a role, a scalar: `sum(weight * value) / sum(weight * normaliser)` of each of its terms."""
    total = torch.zeros((), dtype=torch.float64)
    for term in (term for term in terms.values() if term.trains == role):
        rows = batch.item.shape[-1] if term.normaliser is None else (batch.weight * term.normaliser.detach()).sum(-1)
        ratio = (batch.weight * term.value).sum(-1) / rows
        total = total + (ratio.square() if term.squared else ratio)
    return total
