"""Splits that take fewer training rows of another split, and leave its test alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractSplit
from causalrec.data.split.rules import SplitRules


@dataclass(frozen=True, kw_only=True)
class AbstractOfBase(AbstractSplit):
    """Draws training rows of the split `base`, whose rules, choice and order of time are its own.

    Attributes:
        base: the split that rows are drawn from; the test is its test.
        subsample_seed: of the draw; jobs that differ in it are replicates.
    """

    resampled_by: ClassVar[frozenset[str]] = frozenset({"subsample_seed"})

    base: AbstractSplit
    subsample_seed: Annotated[int, Field(ge=0)] = 0

    @property
    def rules(self) -> SplitRules:
        return self.base.rules

    def check(self, card: DatasetCard) -> None:
        self.base.check(card)

    def bind(self, dataset: CausalDataset) -> AbstractSplit:
        return replace(self, base=self.base.bind(dataset))

    def choose(self, logged: InteractionLog, randomised: InteractionLog | None) -> AbstractSplit:
        return replace(self, base=self.base.choose(logged, randomised))

    def choice_note(self, logged: InteractionLog, randomised: InteractionLog | None) -> str:
        return self.base.choice_note(logged, randomised)

    @property
    def goes_by_time(self) -> bool:
        return self.base.goes_by_time

    @property
    def draws_test_at_random(self) -> bool:
        return self.base.draws_test_at_random

    @property
    def history_reads_test(self) -> bool:
        return self.base.history_reads_test
