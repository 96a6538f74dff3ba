"""A refuter: the interval of the average effect lies on one side of zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict


@dataclass(frozen=True, kw_only=True)
class Sign(AbstractEffectRefuter):
    """Passes where the interval excludes zero."""

    name: ClassVar[str] = "sign"
    limitation: ClassVar[str] = "bias of any kind"

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        original = problem.original
        return [
            self.verdict(arm, bool(low * high > 0), value, low, high, "the interval excludes zero")
            for arm, (value, low, high) in enumerate(
                zip(original.value, original.low, original.high, strict=True), start=1
            )
        ]
