"""The contract of an estimator of a policy's value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.rounds import LoggedRounds

RoundsInput = Literal["target_distribution", "logging_distribution", "model", "categories", "vectors", "cluster"]


class AbstractValueEstimator(ABC):
    """Estimates E[reward] under a target policy from rounds of another. Pure; concrete classes are final.

    Constructor keywords are its YAML keys. It is handed blocks of rounds: what a round contributes depends on that
    round and on the actions alone, never on the other rounds of a block.

    Attributes:
        requires: what it reads of `LoggedRounds` beside rewards, actions and the two probabilities of each.
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset()

    @abstractmethod
    def contributions(self, rounds: LoggedRounds) -> Contributions:
        """Return what each round contributes, [B]."""

    def candidates(self) -> Sequence[tuple[float, AbstractValueEstimator]]:
        """Return the same estimator at each value of its parameter that is to be chosen, least biased first.

        None where its parameter is set, or where it has none.
        """
        return ()
