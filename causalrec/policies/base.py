"""The contract of a policy: bound to data, it tells the probability of each action in a context."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import ActionDistribution
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.types import Doubles, Ints


@dataclass(frozen=True, kw_only=True)
class PolicySource:
    """What a policy may be made of.

    Attributes:
        dataset: as loaded.
        train: rounds that it may learn from; those it is judged by are not among them.
        test: rounds that it is judged by; it may read no more than which they are.
        seed: of what it draws.
    """

    dataset: CausalDataset
    train: InteractionLog
    test: InteractionLog
    seed: int


class AbstractPolicy(ABC):
    """Takes action a in context x with probability pi(a | x). Constructor keywords are its YAML keys; final classes."""

    def check(self, card: DatasetCard) -> None:
        """Raise RequestError where these data cannot have such a policy; no file is read."""
        return

    @abstractmethod
    def bind(self, source: PolicySource) -> ActionDistribution:
        """Return contexts -> float64[B,A], each row of which sums to 1."""


def take_probability(distribution: Doubles, action: Ints) -> Doubles:
    """Return the probability of the action taken in each row, float64[B]."""
    taken: Doubles = np.take_along_axis(distribution, action[:, None], 1)[:, 0]
    return taken
