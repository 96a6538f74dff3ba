"""The contract of an estimator of a policy's value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from causalrec.errors import RequestError
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds, RoundsInput


class AbstractValueEstimator(ABC):
    """Estimates E[reward] under a target policy from rounds of another. Pure; concrete classes are final.

    Constructor keywords are its YAML keys. It is handed blocks of rounds: what a round contributes depends on that
    round and on the actions alone, never on the other rounds of a block.

    Attributes:
        requires: what it reads of `LoggedRounds` beside rewards, actions and the two probabilities of each.
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset()

    def check(self, actions: ActionFeatures | None) -> None:
        """Raise RequestError where what is known of actions does not serve it; called before anything is fitted."""
        present = set() if actions is None else _inputs_of(actions)
        for name in sorted(self.requires & {"categories", "vectors", "cluster"} - present):
            raise RequestError(
                f"{type(self).__name__}: reads the {name} of actions, which these data do not have: leave this "
                "estimator out, or take a data set that has them"
            )

    @abstractmethod
    def contributions(self, rounds: LoggedRounds) -> Contributions:
        """Return what each round contributes, [B]."""

    def candidates(self) -> Sequence[tuple[float, AbstractValueEstimator]]:
        """Return the same estimator at each value of its parameter that is to be chosen, least biased first.

        None where its parameter is set, or where it has none.
        """
        return ()


def _inputs_of(actions: ActionFeatures) -> set[RoundsInput]:
    present: set[RoundsInput] = {"categories"} if actions.categories.shape[1] else set()
    present |= {"vectors"} if actions.vectors.shape[1] else set()
    return present | ({"cluster"} if actions.cluster is not None else set())
