"""A policy that comes with the data."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.data.contexts import ActionDistribution
from causalrec.errors import RequestError, did_you_mean
from causalrec.policies.base import AbstractPolicy, PolicySource


@dataclass(frozen=True, kw_only=True)
class DatasetPolicy(AbstractPolicy):
    """`pi(a | x)` as the data set holds it, of another policy than the one that wrote the log.

    Attributes:
        policy: its name in the data set.
    """

    policy: str

    def bind(self, source: PolicySource) -> ActionDistribution:
        """Return the policy; RequestError where the data set has none of that name."""
        if self.policy not in source.dataset.policies:
            names = ", ".join(source.dataset.policies)
            hint = did_you_mean(self.policy, list(source.dataset.policies)) if names else "it comes with none"
            raise RequestError(f"policy={self.policy}: is no policy of {source.dataset.card.name}; {hint}")
        return source.dataset.policies[self.policy]
