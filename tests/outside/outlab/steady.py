"""A penalty that moves vectors: predictions change little where vectors shrink by a tenth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from causalrec.estimators.penalty.base import AbstractPenalty, RoleVectors
from causalrec.types import OUTCOME, Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class Steady(AbstractPenalty):
    """The mean square of how far raw scores are from those of vectors shrunk by `share`."""

    moves: ClassVar[bool] = True

    share: float = 0.1

    def move(self, vectors: RoleVectors, gradients: RoleVectors) -> RoleVectors:
        assert set(gradients) == set(vectors)
        return {role: ((1 - self.share) * user, (1 - self.share) * item) for role, (user, item) in vectors.items()}

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        assert outputs.unmoved is not None
        return {"change": Term((outputs[OUTCOME] - outputs.unmoved[OUTCOME]).square(), OUTCOME)}
