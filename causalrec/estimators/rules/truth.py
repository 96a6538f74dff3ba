"""How true each atom of a rule is, between 0 and 1, and how far a rule is broken (Lukasiewicz)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from causalrec.data.dataset import CausalDataset
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.levels import level_indicators
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.rules.grammar import Atom, Rule
from causalrec.estimators.rules.rule_set import LevelSource, RuleSet
from causalrec.types import Floats

MAX_CELLS = 10**8  # of a table of users or items and levels
MAX_GROUNDINGS = 10_000  # of a rule and a pair


@dataclass(frozen=True)
class LevelTable:
    """Which levels each user or item has, and how far each user's training rows say that they like these.

    Attributes:
        names: of the L levels.
        holds: float32[N,L], 0 or 1, of users or of items.
        liking: float32[U,L] in [-1, 1]; None for levels of users.
    """

    names: tuple[str, ...]
    holds: Tensor
    liking: Tensor | None


@dataclass(frozen=True)
class RuleTruth:
    """The truth of the atoms of rules, as tables.

    Attributes:
        rule_set: the rules.
        tables: of each column or relation that they read.
    """

    rule_set: RuleSet
    tables: Mapping[LevelSource, LevelTable]

    def violations(self, rule: Rule, user: Tensor, item: Tensor, likes: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far each row breaks a rule, summed over its groundings, and how many there are, `[B]` each.

        A grounding is a choice of levels for which the atoms of columns and relations hold; it is broken by
        `max(0, body - head)`, where the body is `max(0, sum of its atoms - (how many) + 1)`.

        Args:
            rule: one of a user and an item.
            user: int64[B].
            item: int64[B].
            likes: float[B], the predicted probability that the user likes the item.
        """
        body, grounded = self._body(rule, user, item)
        head = _negate(likes, (rule.head.predicate == "dislikes") != rule.head.negated)
        broken = (body - head[:, None, None]).clamp_min(0) * grounded
        return broken.sum((1, 2)), grounded.sum((1, 2))

    def _body(self, rule: Rule, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Return the truth of a body for each grounding `[B,L1,L2]`, and which groundings there are, 0 or 1."""
        axes = {name: (axis, levels) for axis, (name, levels) in enumerate(self.rule_set.ranges(rule).items(), start=1)}
        sizes = [len(self.tables[levels].names) for _, levels in axes.values()]
        shape = (len(user), *sizes, *(1,) * (2 - len(sizes)))
        total = torch.full(shape, 1.0 - len(rule.body), device=user.device)
        grounded = torch.ones(shape, device=user.device)
        for atom in rule.body:
            truth = self._truth_of(atom, axes, user, item).expand(shape)
            total = total + truth
            if atom.predicate in self.rule_set.levels:
                grounded = grounded * truth
        return total.clamp_min(0), grounded

    def _truth_of(self, atom: Atom, axes: Mapping[str, tuple[int, LevelSource]], user: Tensor, item: Tensor) -> Tensor:
        last = atom.arguments[-1]
        if atom.predicate in self.rule_set.levels:
            levels = self.rule_set.levels[atom.predicate]
            table = self.tables[levels]
            holds = table.holds.to(user.device)[user if levels.entity == "user" else item]
            if last.is_level:
                return _negate(holds[:, table.names.index(last.name)], atom.negated)[:, None, None]
            return _negate(_on_axis(holds, axes[last.name][0]), atom.negated)
        if last.name in axes:
            axis, levels = axes[last.name]
            liking = self.tables[levels].liking
            assert liking is not None, "refused before: levels of users are not liked"
            signed = liking.to(user.device)[user] * (1 if atom.predicate == "likes" else -1)
            return _negate(_on_axis(signed.clamp_min(0), axis), atom.negated)
        return _negate(self._truth_of_rules(atom.predicate, user, item), atom.negated)[:, None, None]

    def _truth_of_rules(self, predicate: str, user: Tensor, item: Tensor) -> Tensor:
        """Return the truth of what rules say, `[B]`: that of the best grounding of any of them."""
        best = torch.zeros(len(user), device=user.device)
        for rule in self.rule_set.derived[predicate]:
            body, grounded = self._body(rule, user, item)
            best = torch.maximum(best, (body * grounded).amax((1, 2)))
        return best


def tables_of(rule_set: RuleSet, dataset: CausalDataset, prior_rows: float) -> dict[LevelSource, LevelTable]:
    """Return what rules read of a data set: columns, relations, and of its log, the training rows, likes of levels.

    Args:
        rule_set: the rules.
        dataset: whose log holds the training rows alone.
        prior_rows: as in `liking_of`.

    Raises:
        RequestError: Where a rule names a level that there is not, or there are too many.
    """
    tables = {}
    for levels in rule_set.levels.values():
        indicator, names = _indicator(levels, dataset)
        users = dataset.logged.num_users
        if users * len(names) > MAX_CELLS:
            raise RequestError(
                f"rules: {levels.name} has {len(names):,} levels, with {users:,} users too many for a table of "
                f"{MAX_CELLS:,} cells; name a column of fewer"
            )
        liking = liking_of(dataset.logged, indicator, prior_rows) if levels.entity == "item" else None
        tables[levels] = LevelTable(
            names, torch.from_numpy(indicator), None if liking is None else torch.from_numpy(liking)
        )
    for rule in rule_set.rules:
        _check_levels(rule, rule_set, tables)
        groundings = prod(len(tables[levels].names) for levels in rule_set.ranges(rule).values())
        if groundings > MAX_GROUNDINGS:
            raise RequestError(
                f"rule '{rule}': {groundings:,} choices of levels for each pair, at most {MAX_GROUNDINGS:,}; name a "
                f"column or relation of fewer levels"
            )
    return tables


def liking_of(log: InteractionLog, indicator: Floats, prior_rows: float) -> Floats:
    """Return how far each user's rows say that they like the items of each level, float32[U,L] in [-1, 1].

    `2 (likes + k/2) / (rows + k) - 1` over the user's rows of items of the level, k of `prior_rows`: 0 where there is
    no row, or as many likes as dislikes; `dislikes` is its negative.

    Args:
        log: training rows; an outcome above .5 is a like.
        indicator: float32[I,L], the levels of items.
        prior_rows: half likes, half dislikes that each user has of each level beforehand.
    """
    pairs, shape = (log.users, log.item), (log.num_users, log.num_items)
    shown = (log.treatment > 0).astype(np.float32)
    signs = np.where(log.outcome > 0.5, shown, -shown)
    balance, rows = (sparse.csr_matrix((values, pairs), shape=shape) @ indicator for values in (signs, shown))
    liking: Floats = (balance / (rows + np.float32(prior_rows))).astype(np.float32)
    return liking


def _indicator(levels: LevelSource, dataset: CausalDataset) -> tuple[Floats, tuple[str, ...]]:
    table = dataset.tables[levels.entity]
    if levels.name in table.columns:
        return level_indicators(table[levels.name])
    assert dataset.knowledge is not None, "refused before: no such column"
    return _of_relation(dataset.knowledge, levels.name)


def _of_relation(graph: KnowledgeGraph, relation: str) -> tuple[Floats, tuple[str, ...]]:
    """Return the tails that each item has by a relation, float32[I,L], and their names."""
    rows = np.flatnonzero(graph.relation == graph.relations.index(relation))
    tails, code = np.unique(graph.tail[rows], return_inverse=True)
    occurs, shape = np.ones(len(rows), np.float32), (len(graph.entities), len(tails))
    of_entity = sparse.csr_matrix((occurs, (graph.head[rows], code)), shape=shape)
    indicator = np.zeros((len(graph.item_entity), len(tails)), np.float32)
    linked = np.flatnonzero(graph.item_entity >= 0)
    indicator[linked] = np.minimum(of_entity[graph.item_entity[linked]].toarray(), 1)
    return indicator, tuple(graph.entities[tail] for tail in tails)


def _check_levels(rule: Rule, rule_set: RuleSet, tables: Mapping[LevelSource, LevelTable]) -> None:
    for atom in rule.body:
        levels = rule_set.levels.get(atom.predicate)
        if levels is None or not atom.arguments[-1].is_level:
            continue
        level, names = atom.arguments[-1], tables[levels].names
        if level.name not in names:
            nearest = did_you_mean(level.name, list(names))
            raise RequestError(f"rule '{rule}': {levels.name} has no level {level}; {nearest}")


def _on_axis(values: Tensor, axis: int) -> Tensor:
    """Return `[B,L]` as `[B,L,1]` or `[B,1,L]`."""
    return values[:, :, None] if axis == 1 else values[:, None, :]


def _negate(truth: Tensor, negated: bool) -> Tensor:
    return 1 - truth if negated else truth
