"""The conjunct effect model: weights of an action's cluster, and a model of what differs within it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalrec.estimators.policy_value.action_groups import group_weight
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.reward_model import doubly_robust
from causalrec.estimators.policy_value.rounds import LoggedRounds, RoundsInput, require


@dataclass(frozen=True, kw_only=True)
class OffCEMValue(AbstractValueEstimator):
    """`mean_i [ w_i (r_i - f(x_i,a_i)) + sum_a pi(a|x_i) f(x_i,a) ]`, `w = pi(c|x) / pi0(c|x)`, c the action's cluster.

    Assumption: the propensities are true, the log takes some action of every cluster that the target does (common
    cluster support), and the model f has the differences of mean rewards between actions of a cluster right (local
    correctness), whatever it says of the cluster itself; then unbiased, and less variable than DR. Else biased by the
    error of these differences. A cluster for each action is DR; with f = 0 it is MIPS of clusters.

    Source: Saito, Ren & Joachims, ICML 2023; the reward model in place of their two-step regression.

    >>> import numpy as np
    >>> from causalrec.estimators.policy_value.rounds import ActionFeatures
    >>> features = ActionFeatures(
    ...     categories=np.zeros((3, 0), int), vectors=np.zeros((3, 0)), cluster=np.array([0, 0, 1])
    ... )
    >>> rounds = LoggedRounds(
    ...     reward=np.array([2.0]), action=np.array([0]), propensity=np.array([0.1]), target=np.array([0.5]),
    ...     target_distribution=np.array([[0.5, 0.25, 0.25]]), logging_distribution=np.array([[0.1, 0.4, 0.5]]),
    ...     model=np.array([[1.0, 2.0, 4.0]]), actions=features,
    ... )
    >>> OffCEMValue().contributions(rounds).value
    3.5
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset(
        {"target_distribution", "logging_distribution", "model", "cluster"}
    )

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        cluster = require(require(rounds.actions, "cluster").cluster, "cluster")
        return doubly_robust(rounds, group_weight(rounds, cluster))
