"""The direct method: what a model expects of the target policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.reward_model import expected_reward
from causalrec.estimators.policy_value.rounds import LoggedRounds, RoundsInput


@dataclass(frozen=True, kw_only=True)
class DirectMethod(AbstractValueEstimator):
    """`mean_i sum_a pi(a|x_i) q(x_i,a)`, in the unit of the reward; rewards are read by the model alone.

    Assumption: q(x,a) is the mean reward of every action that the target takes. Else it is biased by
    `E sum_a pi(a|x) (q - E[r|x,a])`, and its interval does not know: it covers what the model says.

    Source: Beygelzimer & Langford, KDD 2009; Dudik, Langford & Li, ICML 2011.

    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0]), action=np.array([0]), propensity=np.array([0.5]), target=np.array([0.25]),
    ...     target_distribution=np.array([[0.25, 0.75]]), model=np.array([[0.4, 0.8]]),
    ... )
    >>> round(DirectMethod().contributions(rounds).value, 9)
    0.7
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset({"target_distribution", "model"})

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        return Contributions(base=expected_reward(rounds), weight=np.zeros(len(rounds)))
