"""Negative control: exposure has no effect on what came before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from causalrec.estimators.effect.base import LearnerData
from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict, half_widths
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class NegativeControl(AbstractEffectRefuter):
    """Takes a column that exposure cannot have changed as the outcome; its effect must hold 0 in its interval. No model
    reads the column itself then.

    Source: Lipsitch, Tchetgen Tchetgen & Cohen (Epidemiology 2010). Assumption: what confounds the outcome drives the
    column too.
    """

    name: ClassVar[str] = "negative control outcome"
    limitation: ClassVar[str] = "hidden causes of exposure and outcome that leave the column alone"
    value_is_effect: ClassVar[bool] = True

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        if not problem.negative_controls:
            return self.untestable(problem, "no column is named: --negative-control NAME")
        verdicts: list[RefuterVerdict] = []
        for name, column in problem.negative_controls.items():
            rows = as_outcome(problem.rows, name, column)
            if not rows.modifiers.shape[1]:
                verdicts += self.untestable(problem, f"{name} is the only column by which the effect may vary")
                continue
            average = problem.estimate(rows, problem.seed)
            rule = f"0 within the interval of the effect on {name}"
            for arm, (value, half) in enumerate(
                zip(average.value, half_widths(rows, average.standard_error), strict=True), start=1
            ):
                ends = (value, value - half, value + half)
                verdicts.append(self.compare(arm, abs(value), half, ends, rule))
        return verdicts


def as_outcome(rows: LearnerData, name: str, column: Doubles) -> LearnerData:
    """Return the rows with a column float64[N] in the place of the outcome, and out of X and W."""
    modifiers, controls = (
        [k for k, label in enumerate(names) if label != name] if names else slice(None)
        for names in (rows.modifier_names, rows.control_names)
    )
    return replace(
        rows,
        modifiers=rows.modifiers[:, modifiers],
        controls=rows.controls[:, controls],
        modifier_names=tuple(label for label in rows.modifier_names if label != name),
        control_names=tuple(label for label in rows.control_names if label != name),
        outcome=column,
        binary=False,
    )
