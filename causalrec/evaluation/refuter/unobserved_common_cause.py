"""Unobserved common cause: how strong a hidden confounder would have to be, beside the observed ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.evaluation.refuter.base import AbstractRefuter, RefutationProblem, RefuterVerdict
from causalrec.types import Bools, Doubles


@dataclass(frozen=True, kw_only=True)
class UnobservedCommonCause(AbstractRefuter):
    """Robustness value: the least share of what is left of both treatment and outcome that a hidden cause must explain
    to bring the effect to 0, in a linear regression on the columns.

    `RV = (sqrt(f^4 + 4 f^2) - f^2) / 2`, `f = |t| / sqrt(df)`. It passes where no observed column explains so much of
    both. Source: Cinelli & Hazlett (JRSSB 2020, equation 19). Assumption: linear in the columns.
    """

    name: ClassVar[str] = "unobserved common cause"
    limitation: ClassVar[str] = "a hidden cause stronger than every observed column: none here is its measure"

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        verdicts = []
        for arm in range(1, problem.rows.arms + 1):
            compared = np.isin(problem.rows.treatment, (0, arm))
            value, strongest, name = strengths(problem, compared, arm)
            rule = f"more than the strongest observed column explains ({name}: {strongest:.3f})"
            verdicts.append(self.verdict(arm, value > strongest, value, float("nan"), float("nan"), rule))
        return verdicts


def strengths(problem: RefutationProblem, compared: Bools, arm: int) -> tuple[float, float, str]:
    """Return the robustness value of an arm, and the lesser of what the strongest column explains of both sides."""
    rows = problem.rows
    treated, outcome = (rows.treatment[compared] == arm).astype(np.float64), rows.outcome[compared]
    features = rows.features[compared]
    names = (*rows.modifier_names, *rows.control_names) or tuple(f"column {k}" for k in range(features.shape[1]))
    value = robustness(treated, outcome, features)
    best, strongest = "none", 0.0
    for k, name in enumerate(names):
        others = np.delete(features, k, axis=1)
        both = partial(features[:, k], treated, others), partial(features[:, k], outcome, np.c_[others, treated])
        if min(both) > strongest:
            best, strongest = name, min(both)
    return value, strongest, best


def robustness(treated: Doubles, outcome: Doubles, features: Doubles) -> float:
    """Return the robustness value of the treatment's coefficient.

    >>> t = np.array([0.0, 1.0, 0.0, 1.0])
    >>> round(robustness(t, np.array([0.0, 1.0, 0.0, 1.0]), np.zeros((4, 0))), 3)
    1.0
    """
    share = partial(treated, outcome, features)
    f2 = share / max(1 - share, 1e-12)
    return float((np.sqrt(f2**2 + 4 * f2) - f2) / 2)


def partial(column: Doubles, other: Doubles, given: Doubles) -> float:
    """Return the partial R^2 of two columns given others: the squared correlation of what these leave of them."""
    left, right = residual(column, given), residual(other, given)
    norm = float((left @ left) * (right @ right))
    return 0.0 if norm < 1e-20 else float((left @ right) ** 2 / norm)


def residual(column: Doubles, given: Doubles) -> Doubles:
    """Return what a linear regression on `given[N,F]` and a constant leaves of a column [N]."""
    design = np.c_[np.ones(len(column)), given]
    left: Doubles = column - design @ np.linalg.lstsq(design, column, rcond=None)[0]
    return left
