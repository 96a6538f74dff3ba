"""What is believed beforehand, as rules that predictions are held to (soft logic)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import RequestError
from causalrec.estimators.penalty.base import AbstractPenalty, AbstractPenaltyRows
from causalrec.estimators.reduction import batch_sum
from causalrec.estimators.rules.checks import check_rules, check_sources
from causalrec.estimators.rules.grammar import Rule, parse_rule
from causalrec.estimators.rules.grounding import GroundedRule, ground_rules
from causalrec.types import OUTCOME, Batch, Count, Feedback, Link, Outputs, Term, link_of


@dataclass(frozen=True)
class UniformRulePairs(AbstractPenaltyRows):
    """Pairs drawn evenly from all of them: rules speak of those that nobody logged.

    Attributes:
        pairs: drawn for each step.
    """

    pairs: int

    def draw(self, log: InteractionLog, generator: np.random.Generator, count: int) -> SampledRows:
        codes = log.pair_codes(generator.integers(log.num_pairs, size=(count, self.pairs)))
        weight = np.ones(codes.shape, np.float32)
        row = log.finder(codes.reshape(-1)).reshape(codes.shape)
        return SampledRows(row, codes // log.num_items, codes % log.num_items, weight)


@dataclass(frozen=True, kw_only=True)
class Rules(AbstractPenalty):
    """Mean over groundings of `max(0, body - head)`, by Lukasiewicz: `a and b = max(0, a + b - 1)`, `not a = 1 - a`.

    A rule is `dislikes(u, g) and has(i, g) -> dislikes(u, i)`: of the pair (u, i) its head says what the model
    predicts, in [0, 1] (probability; a rating by its place on the scale). `likes(u, g)` and `dislikes(u, g)` are shares
    of the user's training rows with items of the level g, shrunk to those of all users
    (`estimators/rules/shares.py`); other predicates are 1 where a user or item has the level of a column or the entity
    of a relation. A constant stands in quotes. A pair has one grounding for each level at which all of these hold.

    Assumption: the rule holds where nobody looked; if it does not, the model is pulled off what the data say.
    Source: Bach et al., Hinge-loss Markov random fields (JMLR 2017, section 2); Serafini & d'Avila Garcez, Logic tensor
    networks (2016).

    Args:
        rules: At most a hundred.
        predicates: By name, a category or list of users or items, or a relation of the knowledge graph as
            `knowledge.NAME`.
        threshold: A rating below it is disliked; None: the middle of the scale (clicks take none).
        pairs: Drawn evenly for each step.
        weight: What the mean violation is multiplied by.

    >>> rules = Rules(rules=["dislikes(u, g) and has(i, g) -> dislikes(u, i)"], predicates={"has": "genre"})
    >>> len(rules.parsed)
    1
    """

    links: ClassVar[frozenset[Link]] = frozenset({"identity", "logit"})
    feedback_types: ClassVar[frozenset[Feedback]] = frozenset({"explicit", "exposure_logged"})

    rules: list[str]
    predicates: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None
    pairs: Count = 1024
    _grounded: tuple[GroundedRule, ...] = field(init=False, repr=False, compare=False, default=())
    _scale: tuple[float, float] = field(init=False, repr=False, compare=False, default=(0.0, 1.0))

    def __post_init__(self) -> None:
        check_rules(self.parsed, self.predicates)

    @property
    def parsed(self) -> tuple[Rule, ...]:
        """The rules as trees."""
        return tuple(parse_rule(text, number) for number, text in enumerate(self.rules, 1))

    @property
    def rows(self) -> AbstractPenaltyRows:
        return UniformRulePairs(self.pairs)

    def check_card(self, name: str, card: DatasetCard) -> None:
        check_sources(self.parsed, self.predicates, card)
        if not any(column.entity == "user" for column in card.columns):
            raise RequestError(f"penalty={name}: rules speak of users and items, and {card.name} has no users; drop it")
        if link_of(card.outcome) == "identity" and card.outcome != "rating":
            raise RequestError(
                f"penalty={name}: a {card.outcome} has no scale of liking; set dataset.threshold, or drop it"
            )
        if link_of(card.outcome) == "logit" and self.threshold is not None:
            raise RequestError(
                f"penalty.{name}.threshold={self.threshold:g}: outcomes of {card.name} are 0 or 1 already; leave it out"
            )
        low, high = card.scale
        if self.threshold is not None and not low < self.threshold <= high:
            raise RequestError(
                f"penalty.{name}.threshold={self.threshold:g}: outside the scale {low:g}..{high:g} of {card.name}"
            )

    def bind(self, dataset: CausalDataset) -> Self:
        is_rating = link_of(dataset.card.outcome) == "identity"
        low, high = dataset.card.scale if is_rating else (0.0, 1.0)
        threshold = (low + high) / 2 if self.threshold is None else self.threshold
        bound = copy.copy(self)
        grounded = ground_rules(self.parsed, self.predicates, dataset, threshold)
        object.__setattr__(bound, "_grounded", grounded)  # derived: no setting, and the penalty is frozen
        object.__setattr__(bound, "_scale", (low, high))
        return bound

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        raw, (low, high) = outputs[OUTCOME], self._scale
        liked = torch.sigmoid(raw) if outputs.link == "logit" else (raw - low) / (high - low)
        assert batch.user is not None  # the card has users
        of_rules = [rule.violations(batch.user, batch.item, liked) for rule in self._grounded]
        violated, count = (torch.stack(values).sum(0) for values in zip(*of_rules, strict=True))
        return {"violation": Term(violated, OUTCOME, normaliser=_at_least_one(count, batch.weight))}


def _at_least_one(count: Tensor, weight: Tensor) -> Tensor:
    """Return the counts `[B]`; ones where no row of the batch has a grounding, whose violations are all 0."""
    return torch.where(batch_sum(weight * count) > 0, count, torch.ones_like(count))
