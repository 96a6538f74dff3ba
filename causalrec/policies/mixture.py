"""One of several policies, drawn anew in each round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.errors import RequestError, did_you_mean
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.types import Doubles

SUM_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Mixture(AbstractPolicy):
    """`pi(a | x) = sum_k weight_k pi_k(a | x)`: in each round policy k acts with its weight.

    Attributes:
        policies: by name, any of them.
        weights: of each, by the same names; they sum to 1.

    Raises RequestError where names differ, or weights do not sum to 1.
    """

    policies: Mapping[str, AbstractPolicy]
    weights: Mapping[str, Annotated[float, Field(ge=0)]]

    def __post_init__(self) -> None:
        for name in self.policies.keys() ^ self.weights.keys():
            what = "has no weight" if name in self.policies else "is no policy of the mixture"
            raise RequestError(f"weights: {name} {what}; {did_you_mean(name, self.policies)}")
        if abs(sum(self.weights.values()) - 1) > SUM_TOLERANCE:
            raise RequestError(
                f"weights: sum to {sum(self.weights.values()):g}; they are shares of rounds, and sum to 1"
            )

    def check(self, card: DatasetCard) -> None:
        for policy in self.policies.values():
            policy.check(card)

    def bind(self, source: PolicySource) -> ActionDistribution:
        bound = [(self.weights[name], policy.bind(source)) for name, policy in self.policies.items()]

        def distribution(contexts: Contexts) -> Doubles:
            mixed = np.zeros((len(contexts), contexts.num_actions))
            for weight, member in bound:
                mixed += weight * member(contexts)
            return mixed

        return distribution
