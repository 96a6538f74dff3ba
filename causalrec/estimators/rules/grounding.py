"""Rules over pairs of users and items as tensors: one grounding for each level that a pair's item (or user) has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from causalrec.data.dataset import CausalDataset
from causalrec.errors import RequestError
from causalrec.estimators.rules.checks import TASTES
from causalrec.estimators.rules.grammar import Argument, Atom, Rule
from causalrec.estimators.rules.memberships import Memberships, read_memberships
from causalrec.estimators.rules.shares import disliked_shares
from causalrec.types import Doubles, Entity, Ints

MAX_SHARES = 50_000_000  # of users by levels


class Slots(NamedTuple):
    """What a variable stands for: `ids[N,K]`, levels of each user or item, -1 where there are fewer than K."""

    entity: Entity
    ids: Tensor


@dataclass(frozen=True, eq=False)
class GroundedAtom:
    """An atom as a table of truths.

    Attributes:
        negated: whether it says the reverse.
        entity: whose the rows of the table are; None: the model says it.
        table: float32[N,L], in [0, 1].
        level: the column of a constant; None: the variable's.
        axis: the number of the variable; None: a constant.
        likes: of what the model says, whether it is `likes`.
        crisp: whether it is of a column or relation, and so either true or false.
    """

    negated: bool
    entity: Entity | None = None
    table: Tensor | None = None
    level: int | None = None
    axis: int | None = None
    likes: bool = False
    crisp: bool = False


@dataclass(frozen=True, eq=False)
class GroundedRule:
    """A rule over the users and items of a data set.

    Attributes:
        atoms: of the body.
        slots: of each of its variables besides the pair.
        likes: whether its head is `likes(u, i)`.
    """

    atoms: tuple[GroundedAtom, ...]
    slots: tuple[Slots, ...]
    likes: bool

    def violations(self, user: Tensor, item: Tensor, liked: Tensor) -> tuple[Tensor, Tensor]:
        """Return by how much the groundings of each pair are violated in sum, and how many it has, `[B]` each.

        Groundings are the levels at which every predicate of a column or relation holds. Each is violated by
        `max(0, body - head)`, where the body is the Lukasiewicz t-norm of its atoms, `max(0, sum - (atoms - 1))`.

        Args:
            user: int64[B].
            item: int64[B].
            liked: [B], how true the model holds `likes(u, i)`.
        """
        ids: Mapping[Entity, Tensor] = {"user": user, "item": item}
        levels = [
            self._spread(slot.ids.to(user.device)[ids[slot.entity]], axis) for axis, slot in enumerate(self.slots)
        ]
        liked = liked.reshape(-1, *[1] * len(self.slots))
        truths = [_truth(atom, ids, levels, liked) for atom in self.atoms]
        holds = [level >= 0 for level in levels]
        holds += [truth > 0 for truth, atom in zip(truths, self.atoms, strict=True) if atom.crisp]
        mask = reduce(torch.mul, holds, torch.ones_like(liked))
        body = (reduce(torch.add, truths) - (len(truths) - 1)).clamp_min(0)
        violated = (body - (liked if self.likes else 1 - liked)).clamp_min(0) * mask
        return violated.reshape(len(user), -1).sum(1), mask.reshape(len(user), -1).sum(1)

    def _spread(self, levels: Tensor, axis: int) -> Tensor:
        """Lay the levels `[B,K]` of a variable along an axis of their own, `[B,1,..,K,..,1]`."""
        shape = [len(levels), *[1] * len(self.slots)]
        shape[axis + 1] = levels.shape[1]
        return levels.reshape(shape)


def _truth(atom: GroundedAtom, ids: Mapping[Entity, Tensor], levels: list[Tensor], liked: Tensor) -> Tensor:
    if atom.entity is None or atom.table is None:
        truth = liked if atom.likes else 1 - liked
    else:
        row = ids[atom.entity].reshape(-1, *[1] * (liked.ndim - 1))
        level = atom.level if atom.axis is None else levels[atom.axis].clamp_min(0)
        truth = atom.table.to(liked.device)[row, level].to(liked.dtype)
    return 1 - truth if atom.negated else truth


def ground_rules(
    rules: tuple[Rule, ...], predicates: Mapping[str, str], dataset: CausalDataset, threshold: float
) -> tuple[GroundedRule, ...]:
    """Return the rules over the users and items of a data set, whose log is the training rows.

    Args:
        rules: checked.
        predicates: by name, the column or relation that it stands for.
        dataset: that is fitted on.
        threshold: outcomes below it are disliked.

    Raises:
        RequestError: On a constant that is no level, and a relation that the data lack.
    """
    memberships = {name: read_memberships(dataset, source) for name, source in predicates.items()}
    return tuple(_Grounder(rule, memberships, dataset, threshold).rule() for rule in rules)


class _Grounder:
    """Grounds a rule.

    Args:
        rule: checked.
        memberships: by predicate.
        dataset: that is fitted on.
        threshold: outcomes below it are disliked.
    """

    def __init__(
        self, rule: Rule, memberships: Mapping[str, Memberships], dataset: CausalDataset, threshold: float
    ) -> None:
        self.parsed, self.memberships, self.dataset, self.threshold = rule, memberships, dataset, threshold
        outside = [atom.terms[1] for atom in rule.body if atom.terms[1] not in rule.head.terms]
        self.variables = list(dict.fromkeys(term for term in outside if not term.is_constant))
        self.binders = {term: self._binder(term) for term in dict.fromkeys(outside)}

    def rule(self) -> GroundedRule:
        """Return the rule as tables."""
        slots = (self._slots(variable) for variable in self.variables)
        head = self.parsed.head.predicate == "likes"
        return GroundedRule(tuple(map(self._atom, self.parsed.body)), tuple(slots), head)

    def _binder(self, term: Argument) -> Memberships:
        """Return what says which levels a term means: a column of the item where there is one."""
        atoms = [atom for atom in self.parsed.body if atom.predicate in self.memberships and atom.terms[1] == term]
        item = self.parsed.head.terms[1]
        positive = [atom for atom in atoms if not atom.negated] or atoms
        chosen = next((atom for atom in positive if atom.terms[0] == item), positive[0])
        return self.memberships[chosen.predicate]

    def _slots(self, variable: Argument) -> Slots:
        binder = self.binders[variable]
        return Slots(binder.entity, torch.from_numpy(binder.slots()))

    def _atom(self, atom: Atom) -> GroundedAtom:
        if atom.terms == self.parsed.head.terms:
            return GroundedAtom(atom.negated, likes=atom.predicate == "likes")
        term, binder = atom.terms[1], self.binders[atom.terms[1]]
        source = None if atom.predicate in TASTES else self.memberships[atom.predicate]
        entity: Entity = "user" if source is None else source.entity
        table = self._tastes(atom, binder) if source is None else _align_levels(source, binder)
        level = binder.require_level(term.name, self.parsed.number) if term.is_constant else None
        axis = None if term.is_constant else self.variables.index(term)
        truths = torch.from_numpy(table.astype(np.float32))
        return GroundedAtom(atom.negated, entity, truths, level, axis, crisp=source is not None)

    def _tastes(self, atom: Atom, groups: Memberships) -> Doubles:
        if self.dataset.logged.num_users * len(groups.levels) > MAX_SHARES:
            raise RequestError(
                f"penalty=rules: rule {self.parsed.number}: {atom} has {len(groups.levels):,} levels for "
                f"{self.dataset.logged.num_users:,} users, above {MAX_SHARES:,}; name a column of fewer levels"
            )
        disliked = disliked_shares(self.dataset.logged, groups.table(), self.threshold)
        return disliked if atom.predicate == "dislikes" else 1 - disliked


def _align_levels(source: Memberships, binder: Memberships) -> Doubles:
    """Return the table of a column, float64[N,L], its levels in the order of those that a variable stands for."""
    table = source.table()
    if source is binder:
        return table
    index = {name: k for k, name in enumerate(source.levels)}
    columns: Ints = np.array([index.get(name, -1) for name in binder.levels])
    return np.where(columns >= 0, table[:, columns], 0.0)
