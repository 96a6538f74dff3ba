"""Rules as a penalty: what is known of tastes beforehand, held against predictions of any pair (Lukasiewicz logic)."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import RequestError
from causalrec.estimators.penalty.base import AbstractPenalty, AbstractPenaltyRows
from causalrec.estimators.reduction import batch_sum
from causalrec.estimators.rules.rule_set import read_rules, resolve
from causalrec.estimators.rules.truth import RuleTruth, tables_of
from causalrec.types import OUTCOME, Batch, Count, Ints, Link, Outputs, Term

MAX_RULES = 200


@dataclass(frozen=True, kw_only=True)
class UniformPairs(AbstractPenaltyRows):
    """Pairs of all users and all items, each as likely: rules speak of pairs that nobody logged.

    Attributes:
        batch_size: pairs of a step.
    """

    batch_size: int = 1024

    def draw(self, log: InteractionLog, generator: np.random.Generator, count: int) -> SampledRows:
        shape = (count, self.batch_size)
        user: Ints = generator.integers(log.num_users, size=shape)
        item: Ints = generator.integers(log.num_items, size=shape)
        return SampledRows(np.full(shape, -1), user, item, np.ones(shape, np.float32))


@dataclass(frozen=True, kw_only=True)
class Rules(AbstractPenalty):
    """The sum over rules of the mean over groundings of `max(0, body - head)`, at pairs drawn uniformly.

    A rule is as `dislikes(u, g) and has(i, g) -> dislikes(u, i)`: `likes(u, i)` is the predicted probability and
    `dislikes(u, i)` 1 minus it; `likes(u, g)` and `dislikes(u, g)`, of a level g, are said by the user's training rows
    of items of the level (`liking_of`: 0 without any, or where they are even); `has(i, g)`, or a column's name, says
    that an item has a level; a user's column, and a relation of the data's graph of items, likewise. Further heads may
    be named for other rules to use. Groundings are the choices of a user, an item and levels for which columns and
    relations hold; the others are true anyhow. Lukasiewicz: `a and b` is `max(0, a + b - 1)`, `not a` is `1 - a`.
    Rules assume what they say; whether they help is to be measured. Source: logic tensor networks (Badreddine et al.,
    Artificial Intelligence 303, 2022), here with a mean over groundings as aggregator.

    Args:
        rules: At most 200 texts.
        column: Of items, which `has` reads; None: their only list of levels.
        prior_rows: Rows, half of them likes, that each user has of each level beforehand: the fewer of a user's own,
            the less they say.
        batch_size: pairs of a step.
        weight: What the sum is multiplied by.
    """

    links: ClassVar[frozenset[Link]] = frozenset({"logit"})

    rules: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_RULES)]
    column: str | None = None
    prior_rows: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Count = 1024
    _truth: RuleTruth | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        read_rules(self.rules)

    @property
    def rows(self) -> UniformPairs:
        return UniformPairs(batch_size=self.batch_size)

    def check_card(self, card: DatasetCard) -> None:
        if not any(column.kind == "knowledge" for column in card.columns):  # else its relations are read first
            resolve(read_rules(self.rules), card, self.column, ())

    def bind(self, dataset: CausalDataset) -> Self:
        if dataset.logged.user is None:
            raise RequestError("penalty.rules: speaks of users, and the log has none; drop it")
        relations = () if dataset.knowledge is None else dataset.knowledge.relations
        rule_set = resolve(read_rules(self.rules), dataset.card, self.column, relations)
        bound = copy(self)
        object.__setattr__(bound, "_truth", RuleTruth(rule_set, tables_of(rule_set, dataset, self.prior_rows)))
        return bound

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        assert self._truth is not None and batch.user is not None, "bound before it is read"
        likes = torch.sigmoid(outputs[OUTCOME])
        terms = {}
        for number, rule in enumerate(self._truth.rule_set.of_outcomes, start=1):
            broken, count = self._truth.violations(rule, batch.user, batch.item, likes)
            normaliser = torch.where(batch_sum(batch.weight * count) > 0, count, torch.ones_like(count))
            terms[f"rule_{number}"] = Term(broken, OUTCOME, normaliser=normaliser)
        return terms
