"""The uniform policy: every action alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class Uniform(AbstractPolicy):
    """`pi(a | x) = 1 / A`."""

    def bind(self, source: PolicySource) -> ActionDistribution:
        return _uniform


def _uniform(contexts: Contexts) -> Doubles:
    return np.broadcast_to(1.0 / contexts.num_actions, (len(contexts), contexts.num_actions))
