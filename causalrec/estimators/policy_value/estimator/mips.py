"""Marginalised inverse propensity scores: weights of an action's categories in place of those of the action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.policy_value.action_groups import group_of, group_weight
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds, RoundsInput, require
from causalrec.types import Ints


@dataclass(frozen=True, kw_only=True)
class MIPSValue(AbstractValueEstimator):
    """`mean_i w_i r_i`, `w = pi(e|x) / pi0(e|x)`: sums over all actions with the categories e of the action taken.

    Assumption: the propensities are true, the log takes some action of every combination of categories that the target
    does (common embedding support), and an action has no effect on the reward beside its categories; then unbiased, and
    less variable than IPS. An effect of the action itself biases it, the more the fewer the categories. With a
    combination for each action it is IPS; with the same for all, the mean reward of the log.

    Attributes:
        categories: names of those that are read; None: all that actions have.

    Source: Saito & Joachims, ICML 2022, with the marginal weights of a categorical embedding, exact.

    >>> import numpy as np
    >>> rounds = LoggedRounds(
    ...     reward=np.array([2.0]), action=np.array([0]), propensity=np.array([0.1]), target=np.array([0.5]),
    ...     target_distribution=np.array([[0.5, 0.25, 0.25]]), logging_distribution=np.array([[0.1, 0.4, 0.5]]),
    ...     actions=ActionFeatures(categories=np.array([[0], [0], [1]]), vectors=np.zeros((3, 0))),
    ... )
    >>> MIPSValue().contributions(rounds).value
    3.0
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset(
        {"target_distribution", "logging_distribution", "categories"}
    )
    categories: tuple[str, ...] | None = None

    def check(self, actions: ActionFeatures | None) -> None:
        super().check(actions)
        names = require(actions, "categories").category_names
        if self.categories == ():
            raise RequestError("MIPSValue: categories: names none; leave it out to read all")
        for name in self.categories or ():
            if name not in names:
                raise RequestError(
                    f"MIPSValue: categories: actions have no category {name!r}; {did_you_mean(name, names)}"
                )

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        weight = group_weight(rounds, group_of(self._columns(require(rounds.actions, "categories"))))
        return Contributions(base=weight * rounds.reward, weight=weight)

    def _columns(self, actions: ActionFeatures) -> Ints:
        if self.categories is None:
            return actions.categories
        return actions.categories[:, [actions.category_names.index(name) for name in self.categories]]
