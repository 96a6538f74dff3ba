"""Marginalised inverse propensity scores over a kernel of action vectors, those of their texts as a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from causalrec.errors import RequestError
from causalrec.estimators.policy_value.action_kernel import action_space, kernel_weight
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.parameter import Auto, Positive, set_value
from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds, RoundsInput, require
from causalrec.types import Count

CANDIDATES = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class TextKernelValue(AbstractValueEstimator):
    """`sum_i w_i r_i / sum_i w_i`, `w = sum_a' pi(a'|x) K(a',a) / sum_a' pi0(a'|x) K(a',a)`, in the unit of the reward.

    K is a Gaussian kernel over the first principal components of action vectors: raw vectors of hundreds of numbers lie
    at about the same distance of each other, so that any bandwidth gives IPS or the mean of the log.

    Assumption: the propensities are true, the log takes some action near each that the target takes, and the mean
    reward hardly changes within a bandwidth; an action has no effect beside its vector. Biased to the mean reward of
    the log as the bandwidth grows, and where vectors say nothing of rewards; a bandwidth near 0 is SNIPS.

    Attributes:
        bandwidth: a multiple of the median distance of an action to its tenth neighbour; `auto`: SLOPE chooses among
            0.25, 0.5, 1 and 2.
        components: principal components of the vectors.
        clip: the largest weight.

    Source: derived from the marginal density of a sentence in Kiyohara et al., RecSys 2025 (direct sentence off-policy
    gradient), for an estimate of value and with the exact sum over actions.

    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0, 3.0]), action=np.array([0, 1]), propensity=np.array([0.5, 0.5]),
    ...     target=np.array([0.25, 0.75]), target_distribution=np.array([[0.25, 0.75]] * 2),
    ...     logging_distribution=np.array([[0.5, 0.5]] * 2),
    ...     actions=ActionFeatures(categories=np.zeros((2, 0), int), vectors=np.array([[0.0], [1.0]])),
    ... )
    >>> [round(TextKernelValue(bandwidth=h).contributions(rounds).value, 6) for h in (0.01, 1.0, 100.0)]
    [2.5, 2.122459, 2.000012]
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset({"target_distribution", "logging_distribution", "vectors"})
    bandwidth: Positive | Auto = "auto"
    components: Count = 8
    clip: Positive = 200.0

    def check(self, actions: ActionFeatures | None) -> None:
        super().check(actions)
        if not action_space(require(actions, "vectors"), self.components).unit > 0:
            raise RequestError(
                "TextKernelValue: the vectors of most actions are those of ten others, so that no distance "
                "between them sets a bandwidth: leave this estimator out, or take vectors that tell actions apart"
            )

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        weight = np.minimum(kernel_weight(rounds, self.components, set_value(self.bandwidth)), self.clip)
        return Contributions(
            base=np.zeros(len(rounds)), weight=weight, numerator=weight * rounds.reward, denominator=weight
        )

    def candidates(self) -> Sequence[tuple[float, TextKernelValue]]:
        return [(value, replace(self, bandwidth=value)) for value in CANDIDATES] if self.bandwidth == "auto" else ()
