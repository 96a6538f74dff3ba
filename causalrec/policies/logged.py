"""The policy that wrote the log."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.data.contexts import ActionDistribution
from causalrec.errors import RequestError
from causalrec.policies.base import AbstractPolicy, PolicySource


@dataclass(frozen=True, kw_only=True)
class LoggingPolicy(AbstractPolicy):
    """`pi(a | x) = pi_0(a | x)`, as the data set has it for every action.

    A column of propensities tells the probability of the action that was taken, not of the others. Raises RequestError
    where no more than that is logged.
    """

    def bind(self, source: PolicySource) -> ActionDistribution:
        if source.dataset.logging_policy is None:
            raise RequestError(
                f"{source.dataset.card.name}: rows hold at most the propensity of their own action, and the "
                f"probabilities of the others are not known; estimate them: policy estimated_frequencies or "
                f"estimated_logistic (+task/logging_policy=NAME for that of the log)"
            )
        return source.dataset.logging_policy
