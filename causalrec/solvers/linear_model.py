"""Penalised linear and logistic regression on many sparse columns, by truncated Newton steps that converge at any size.

scikit-learn's solvers scale the loss by 1/n and stop on its largest gradient entry: with many ids a tolerance that
looks small stops them before the first step. Here each column's gradient is measured against its own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy import sparse
from scipy.special import expit, logit

from causalrec.solvers.convergence import TOLERANCE, Convergence
from causalrec.types import Doubles, Ints

Design: TypeAlias = Any  # float[N,P]: a scipy.sparse.csr_matrix, which has no types, or an array
Link = Literal["identity", "logit"]
HELD_OUT_TOLERANCE = 1e-3  # of fits that only a penalty is chosen by
MAX_STEPS = 100
MAX_INNER_STEPS = 500
EXTREME = 20.0  # log-odds of a mean that is 0 or 1


@dataclass(frozen=True)
class LinearModel:
    """`mean = link^-1(intercept + design . coefficients)`.

    Attributes:
        intercept: not penalised; log-odds or outcome units.
        coefficients: float64[P].
        link: `logit` for outcomes 0 and 1, `identity` for others.
        convergence: how the fit ended.
    """

    intercept: float
    coefficients: Doubles
    link: Link
    convergence: Convergence

    def predict(self, design: Design) -> Doubles:
        """Return mean outcomes float64[N]."""
        raw = np.asarray(design @ self.coefficients) + self.intercept
        return np.asarray(expit(raw) if self.link == "logit" else raw)

    def loss(self, design: Design, outcome: Doubles, weight: Doubles) -> float:
        """Return the weighted sum of the rows' losses: negative log-likelihoods, or half squared errors."""
        raw = np.asarray(design @ self.coefficients) + self.intercept
        return float(weight @ _row_losses(raw, outcome, self.link))


def _row_losses(raw: Doubles, outcome: Doubles, link: Link) -> Doubles:
    if link == "identity":
        return np.asarray(0.5 * (raw - outcome) ** 2)
    return np.asarray(np.maximum(raw, 0.0) + np.log1p(np.exp(-np.abs(raw))) - outcome * raw)  # a fifth of logaddexp


def fit_linear_model(
    design: Design,
    outcome: Doubles,
    weight: Doubles | None = None,
    *,
    l2: float,
    link: Link,
    start: LinearModel | None = None,
    tolerance: float = TOLERANCE,
) -> LinearModel:
    """Minimise `sum_i w_i loss_i(b + x_i . c) + l2 / 2 |c|^2` over the intercept b and the coefficients c.

    At the optimum `sum_i w_i (mean_i - y_i) x_ij = -l2 c_j` for every column. Steps are Newton's, each solved by
    preconditioned conjugate gradients; the relative gradient is `|g_j| / max(sum_i w_i |x_ij y_i|, unit)` with unit 1
    for `logit` and the outcomes' standard deviation for `identity`. Tried up to 12 million stored entries.

    Args:
        design: [N,P], sparse or dense.
        outcome: float64[N]; 0 or 1 for `logit`.
        weight: float64[N], above 0; None: 1 each.
        l2: ridge penalty on the coefficients.
        link: of the mean.
        start: a fit of a nearby problem with the same columns.
        tolerance: on the relative gradient.

    >>> fitted = fit_linear_model(np.eye(2), np.array([1.0, 3.0]), l2=1.0, link="identity")
    >>> fitted.coefficients.round(3), round(fitted.intercept, 3)
    (array([-0.5,  0.5]), 2.0)
    """
    problem = _Problem(design, outcome, np.ones(len(outcome)) if weight is None else weight, l2, link)
    point = problem.start() if start is None else np.append(start.coefficients, start.intercept)
    point, convergence = _newton(problem, point, tolerance)
    return LinearModel(float(point[-1]), point[:-1], link, convergence)


@dataclass(frozen=True)
class PenaltyChoice:
    """A ridge penalty chosen by held-out loss.

    Attributes:
        l2: the best of the grid.
        losses: held-out loss of each value tried, largest value first, in the loss's unit.
        link: of the mean.
        fits: how the fits it was chosen by ended.
        at_edge: whether a wider grid might hold a better one.
    """

    l2: float
    losses: Mapping[float, float]
    link: Link
    fits: tuple[Convergence, ...]
    at_edge: bool


def choose_penalty(
    design: Design,
    outcome: Doubles,
    weight: Doubles,
    *,
    fold: Ints,
    grid: Sequence[float],
    link: Link,
) -> PenaltyChoice:
    """Choose the penalty of the least loss on held-out rows.

    Each fold's path runs from the largest penalty down, every fit starting at the one before; it ends where the
    held-out loss has risen twice. Without a second value or a second row the largest is taken.

    Args:
        design: [N,P].
        outcome: float64[N].
        weight: float64[N].
        fold: int64[N]; the rows of each number from 0 are held out once, those of -1 never.
        grid: penalties to try.
        link: of the mean.
    """
    values, folds = sorted(set(grid), reverse=True), [number for number in np.unique(fold) if number >= 0]
    if len(outcome) < 2 or len(values) < 2:
        return PenaltyChoice(values[0], {}, link, (), False)
    splits = [(fold != number, fold == number) for number in folds]
    problems = [_Problem(design[rest], outcome[rest], weight[rest], values[0], link) for rest, _ in splits]
    points = [problem.start() for problem in problems]
    losses: dict[float, float] = {}
    fits: list[Convergence] = []
    for value in values:
        total = 0.0
        for k, (problem, (_, rows)) in enumerate(zip(problems, splits, strict=True)):
            problem.l2 = value
            points[k], convergence = _newton(problem, points[k], HELD_OUT_TOLERANCE)
            raw = np.asarray(design[rows] @ points[k][:-1]) + points[k][-1]
            total += float(weight[rows] @ _row_losses(raw, outcome[rows], link))
            fits.append(convergence)
        losses[value] = total
        best = min(losses, key=lambda tried: losses[tried])
        if list(losses).index(best) <= len(losses) - 3:
            break
    best = min(losses, key=lambda tried: losses[tried])
    return PenaltyChoice(best, losses, link, tuple(fits), best in (values[0], values[-1]))


class _Problem:
    """The penalised loss of a point `[P+1]` (coefficients, then the intercept), its gradient and curvature."""

    def __init__(self, design: Design, outcome: Doubles, weight: Doubles, l2: float, link: Link) -> None:
        self.design = design.astype(np.float64)
        self.transposed = sparse.csr_matrix(self.design.T) if sparse.issparse(design) else self.design.T
        self.squared = self.transposed.power(2) if sparse.issparse(design) else self.transposed**2
        self.outcome, self.weight, self.l2, self.link = outcome, weight, l2, link
        self.columns = self.design.shape[1]
        size = weight * np.abs(outcome)
        unit = 1.0 if link == "logit" else max(float(outcome.std()), np.finfo(float).tiny)
        self.scale = np.maximum(np.append(abs(self.transposed) @ size, size.sum()), unit)

    def start(self) -> Doubles:
        """Return the point of the best intercept without any column."""
        mean = float(self.weight @ self.outcome / self.weight.sum())
        intercept = float(np.clip(logit(mean), -EXTREME, EXTREME)) if self.link == "logit" else mean
        return np.append(np.zeros(self.columns), intercept)

    def raw(self, point: Doubles) -> Doubles:
        """Return what the rows' means are a function of, float64[N]; linear in the point."""
        return np.asarray(self.design @ point[:-1] + point[-1])

    def loss(self, raw: Doubles, point: Doubles) -> float:
        """Return the penalised loss."""
        return float(self.weight @ _row_losses(raw, self.outcome, self.link) + 0.5 * self.l2 * point[:-1] @ point[:-1])

    def gradient(self, raw: Doubles, point: Doubles) -> Doubles:
        """Return the gradient, float64[P+1]."""
        residual = self.weight * ((expit(raw) if self.link == "logit" else raw) - self.outcome)
        return np.append(self.transposed @ residual + self.l2 * point[:-1], residual.sum())

    def curvature(self, raw: Doubles) -> tuple[Callable[[Doubles], Doubles], Doubles]:
        """Return the product of the Hessian with a vector, and the Hessian's diagonal."""
        mean = expit(raw)
        row = self.weight * mean * (1 - mean) if self.link == "logit" else self.weight

        def multiply(vector: Doubles) -> Doubles:
            moved = row * self.raw(vector)
            return np.append(self.transposed @ moved + self.l2 * vector[:-1], moved.sum())

        return multiply, np.append(self.squared @ row + self.l2, row.sum())


def _newton(problem: _Problem, point: Doubles, tolerance: float) -> tuple[Doubles, Convergence]:
    """Return the minimum, or how far one came."""
    raw = problem.raw(point)
    loss = problem.loss(raw, point)
    for step in range(MAX_STEPS + 1):
        gradient = problem.gradient(raw, point)
        relative = float((np.abs(gradient) / problem.scale).max())
        if relative <= tolerance or step == MAX_STEPS:
            reason = "within tolerance" if relative <= tolerance else "step limit"
            return point, Convergence(step, relative, reason, tolerance)
        multiply, diagonal = problem.curvature(raw)
        direction = _conjugate_gradients(multiply, np.maximum(diagonal, 1e-12), -gradient, min(0.1, relative**0.5))
        slope, moved, length = float(gradient @ direction), problem.raw(direction), 1.0
        while (lower := problem.loss(raw + length * moved, point + length * direction)) > loss + 1e-4 * length * slope:
            length /= 2
            if length < 1e-10:
                return point, Convergence(step, relative, "no step lowers the loss", tolerance)
        point, raw, loss = point + length * direction, raw + length * moved, lower
    raise AssertionError("unreachable")


def _conjugate_gradients(
    multiply: Callable[[Doubles], Doubles], diagonal: Doubles, target: Doubles, tolerance: float
) -> Doubles:
    """Solve `multiply(x) = target` until the residual is `tolerance` of the target, in the diagonal's norm."""
    solution, residual = np.zeros_like(target), target.copy()
    scaled = residual / diagonal
    direction, size = scaled.copy(), float(residual @ scaled)
    enough = size * tolerance**2
    for _ in range(MAX_INNER_STEPS):
        if size <= enough:
            break
        product = multiply(direction)
        length = size / float(direction @ product)
        solution += length * direction
        residual -= length * product
        scaled = residual / diagonal
        size, previous = float(residual @ scaled), size
        direction = scaled + size / previous * direction
    return solution
