"""Values of a policy by every estimator, from rounds and a cross-fitted reward model, and how far they are off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import estimate_of_sums
from causalrec.estimators.policy_value.estimator.dm import DirectMethod
from causalrec.estimators.policy_value.estimator.dr import DRValue
from causalrec.estimators.policy_value.estimator.dros import DRosValue
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.estimator.sndr import SNDRValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.estimator.switch_dr import SwitchDRValue
from causalrec.estimators.policy_value.rounds import LoggedRounds
from causalrec.estimators.policy_value.slope import slope
from causalrec.evaluation.estimation.base import Estimate, summarise_cell
from causalrec.types import Doubles, Ints

SklearnModel = Any  # scikit-learn has no types
SLOPE_WIDTH: Final = 1.28  # standard errors, as Open Bandit Pipeline
PIPELINE: Final[Mapping[str, AbstractValueEstimator]] = {
    "dm": DirectMethod(),
    "ips": IPSValue(),
    "snips": SNIPSValue(),
    "dr": DRValue(),
    "sndr": SNDRValue(),
    "switch_dr": SwitchDRValue(),
    "dros": DRosValue(),
}


def estimate_values(
    estimators: Mapping[str, AbstractValueEstimator], blocks: Iterable[LoggedRounds]
) -> dict[str, float]:
    """Return the value of the target policy by each estimator, by name; SLOPE chooses a parameter that is `auto`.

    Args:
        estimators: by name.
        blocks: of the rounds.
    """
    candidates = {name: [each for _, each in of.candidates()] or [of] for name, of in estimators.items()}
    terms: dict[str, list[list[Doubles]]] = {name: [[] for _ in of] for name, of in candidates.items()}
    for rounds in blocks:
        for name, of in candidates.items():
            for stored, estimator in zip(terms[name], of, strict=True):
                stored.append(estimator.contributions(rounds).terms)
    return {name: _value([np.concatenate(stored, axis=1) for stored in of]) for name, of in terms.items()}


def _value(terms: Sequence[Doubles]) -> float:
    """Return the estimate that SLOPE takes of candidates without a normaliser, float64[3,N] each, or the only one."""
    values = [float(estimate_of_sums(of.sum(1), of.shape[1])) for of in terms]
    if len(terms) == 1:
        return values[0]
    return values[slope(values, [SLOPE_WIDTH * float(of[0].std(ddof=1)) / np.sqrt(of.shape[1]) for of in terms])]


def cross_fit(
    build: Callable[[], SklearnModel], contexts: Doubles, actions: Doubles, action: Ints, reward: Doubles, seed: int
) -> Doubles:
    """Return the mean reward of every action in every round by a classifier that learnt from other rounds.

    Of three folds, shuffled by `seed`; the classifier reads the context beside the columns of the action.

    Args:
        build: makes a classifier of scikit-learn.
        contexts: float64[N,D].
        actions: float64[A,K], the columns of each action.
        action: int64[N], taken.
        reward: float64[N], 0 or 1.
        seed: of the folds.

    Returns:
        float64[N,A].
    """
    from sklearn.model_selection import KFold

    predicted = np.empty((len(contexts), len(actions)))
    for others, rows in KFold(3, shuffle=True, random_state=seed).split(contexts):
        model = build().fit(np.hstack([contexts[others], actions[action[others]]]), reward[others])
        for block in np.array_split(rows, max(1, len(rows) * len(actions) >> 17)):
            pairs = np.hstack([np.repeat(contexts[block], len(actions), 0), np.tile(actions, (len(block), 1))])
            predicted[block] = model.predict_proba(pairs)[:, 1].reshape(len(block), len(actions))
    return predicted


def error_cells(row: str, truths: Sequence[float], draws: Sequence[Mapping[str, float]]) -> list[Estimate]:
    """Return `re/NAME`, `|value - truth| / |truth|`, `se/NAME`, its square in the unit of rewards, and `bias/NAME`.

    Args:
        row: of the table.
        truths: the true value of each draw.
        draws: estimates of each draw, by name.

    >>> cells = error_cells("row", [0.5, 0.5], [{"ips": 0.6}, {"ips": 0.5}])
    >>> [(cell.column, round(cell.value, 3)) for cell in cells]
    [('re/ips', 0.1), ('se/ips', 0.005), ('bias/ips', 0.05)]
    """
    truth = np.array(truths)
    cells = []
    for name in draws[0]:
        error = np.array([draw[name] for draw in draws]) - truth
        cells.append(summarise_cell(row, f"re/{name}", 0.0, np.abs(error / truth)))
        cells.append(summarise_cell(row, f"se/{name}", 0.0, error**2))
        cells.append(summarise_cell(row, f"bias/{name}", 0.0, error))
    return cells
