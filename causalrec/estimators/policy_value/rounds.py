"""Logged rounds beside what a target policy would have done in them, as estimators of its value read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

from causalrec.types import Doubles, Ints

RoundsInput = Literal["target_distribution", "logging_distribution", "model", "categories", "vectors", "cluster"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)  # hashed by identity: what is made of its arrays is made once
class ActionFeatures:
    """What is known of actions beside their ids; the same object for all blocks of rounds.

    Attributes:
        categories: int64[A,C], levels of C categories, from 0; none: C = 0.
        category_names: of these C; empty where nobody chooses among them.
        vectors: float64[A,D], an embedding; none: D = 0.
        cluster: int64[A], the cluster of each action, from 0; None: they have none.
    """

    categories: Ints
    vectors: Doubles
    cluster: Ints | None = None
    category_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.category_names and len(self.category_names) != self.categories.shape[1]:
            raise ValueError(f"{len(self.category_names)} names of {self.categories.shape[1]} categories")


@dataclass(frozen=True, kw_only=True)
class LoggedRounds:
    """A block of B logged rounds beside the target policy.

    Attributes:
        reward: float64[B].
        action: int64[B], 0..A-1.
        propensity: float64[B], the logging policy's probability of the action taken, in (0, 1].
        target: float64[B], the target policy's probability of it.
        target_distribution: float64[B,A], of every action; None where no estimator asks for it.
        logging_distribution: float64[B,A], likewise of the logging policy.
        model: float64[B,A], predicted mean rewards that have not learnt from these rounds; None: there is no model.
        actions: what is known of actions; None: nothing.
    """

    reward: Doubles
    action: Ints
    propensity: Doubles
    target: Doubles
    target_distribution: Doubles | None = None
    logging_distribution: Doubles | None = None
    model: Doubles | None = None
    actions: ActionFeatures | None = None

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def weight(self) -> Doubles:
        """The ratio of the policies' probabilities of the action taken, float64[B]."""
        return self.target / self.propensity


def require(value: T | None, name: RoundsInput) -> T:
    """Return what an estimator reads of its rounds, which must be there (ValueError)."""
    if value is None:
        raise ValueError(f"these rounds have no {name}, which the estimator must name in its `requires`")
    return value
