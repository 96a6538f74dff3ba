"""Squared errors of values over the number of actions and their support: marginal weights beside those of actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final

import numpy as np
from pydantic import Field

from causalrec.data.contexts import Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.synthetic_bandit import SyntheticBandit
from causalrec.errors import RequestError
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.estimator.dm import DirectMethod
from causalrec.estimators.policy_value.estimator.dr import DRValue
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.estimator.mips import MIPSValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds
from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate, row_name
from causalrec.evaluation.estimation.value_errors import error_cells, estimate_values
from causalrec.types import Count, Doubles, Ints, Share

COMPARED: Final[dict[str, AbstractValueEstimator]] = {
    "ips": IPSValue(),
    "snips": SNIPSValue(),
    "dr": DRValue(),
    "dm": DirectMethod(),
    "mips": MIPSValue(),
}
LEVELS: Final = 4
CELLS: Final = 1 << 22  # rounds times actions that are held at a time


@dataclass(frozen=True, kw_only=True)
class MIPSStudy(AbstractEstimation):
    """Errors of ips, snips, dr, dm and mips on `dataset=synthetic_bandit` with categories, of an epsilon-greedy target.

    Defaults are the paper's: 10 context numbers, 3 categories, noise of standard deviation 2.5, beta -1, 10,000 rounds;
    but each category has 4 levels, not 10: an action has one level of each here, so that up to a thousand actions would
    hardly share their 1,000 combinations, and mips would be ips (in the paper levels are drawn anew each round). The
    reward model is a ridge regression, in 2 folds, over context and one-hot categories, without interactions (the
    paper's is a random forest, which would have to predict 50 million pairs a draw). The target takes the best action
    by the true means but for epsilon. Each draw has a law of its own; the truth is the value in the drawn contexts.
    Columns are `re|se|bias` / estimator; rows are named by number of actions and share without support.

    Attributes:
        draws: of laws and rounds.
        rounds: of each draw.
        actions: A.
        levels: of each category.
        deficient: share of the actions that the logging policy never takes.
        epsilon: share of the target that is uniform.
    """

    title: ClassVar[str] = "MIPS: errors of estimated values over the number of actions and their support"
    source: ClassVar[str] = "Saito & Joachims, ICML 2022, section 4.1"

    draws: Annotated[int, Field(ge=2)] = 20
    rounds: Count = 10_000
    actions: Annotated[int, Field(ge=2)] = 1000
    levels: Annotated[int, Field(ge=2)] = LEVELS
    deficient: Annotated[float, Field(ge=0, lt=1)] = 0.0
    epsilon: Share = 0.05

    def __post_init__(self) -> None:
        if round(self.deficient * self.actions) >= self.actions:
            raise RequestError(f"estimation.deficient={self.deficient}: leaves no action of {self.actions}; lower it")

    @property
    def dataset(self) -> SyntheticBandit:
        return self._dataset(0)

    def _dataset(self, draw: int) -> SyntheticBandit:
        return SyntheticBandit(
            rounds=self.rounds,
            actions=self.actions,
            context_dim=10,
            outcome="reward",
            reward_sd=2.5,
            beta=-1.0,
            deficient=round(self.deficient * self.actions),
            categories=3,
            levels=self.levels,
            law=draw,
            draw=draw,
        )

    def run(self, root: Path, cache: Path, seed: int) -> list[Estimate]:
        results = [self._draw(root, seed * self.draws + k) for k in range(self.draws)]
        support = f"-deficient-{self.deficient:g}" if self.deficient else ""
        row = row_name(f"actions-{self.actions}{support}", "levels", self.levels, LEVELS)
        return error_cells(row, [truth for truth, _ in results], [values for _, values in results])

    def _draw(self, root: Path, draw: int) -> tuple[float, dict[str, float]]:
        """Return the true value and the estimates of one law."""
        data = self._dataset(draw).load(root)
        codes = np.column_stack([np.unique(column, return_inverse=True)[1] for column in data.item_table])
        truths: list[Doubles] = []
        values = estimate_values(COMPARED, self._blocks(data, ActionFeatures(categories=codes, vectors=_NONE), truths))
        return float(np.concatenate(truths).mean()), values

    def _blocks(self, data: CausalDataset, actions: ActionFeatures, truths: list[Doubles]) -> Iterator[LoggedRounds]:
        """Yield the rounds, a block at a time, and add the true value of each to `truths`."""
        log = data.logged
        assert data.context_oracle and data.logging_policy and log.propensity is not None
        contexts = Contexts.of_log(log)
        x = np.stack([np.asarray(log.columns[f"x{k}"], np.float64) for k in range(10)], 1)
        reward, fold = log.outcome.astype(np.float64), np.arange(len(log)) % 2  # rounds are independent
        of_round, of_action = additive_model(x, actions.categories, log.item, reward, fold)
        step = max(1, CELLS // self.actions)
        for start in range(0, len(log), step):
            rows = np.arange(start, min(start + step, len(log)))
            block = contexts.take(rows)
            means = data.context_oracle(block)
            target = np.full(means.shape, self.epsilon / self.actions)
            target[np.arange(len(rows)), means.argmax(1)] += 1 - self.epsilon
            truths.append((target * means).sum(1))
            yield LoggedRounds(
                reward=reward[rows],
                action=log.item[rows],
                propensity=log.propensity[rows].astype(np.float64),
                target=target[np.arange(len(rows)), log.item[rows]],
                target_distribution=target,
                logging_distribution=data.logging_policy(block),
                model=of_round[rows, None] + of_action[fold[rows]],
                actions=actions,
            )


_NONE: Final[Doubles] = np.empty((0, 0))


def additive_model(x: Doubles, codes: Ints, action: Ints, reward: Doubles, fold: Ints) -> tuple[Doubles, Doubles]:
    """Return what a round and an action add to the mean reward, by ridge regressions on the rounds of the other fold.

    Args:
        x: float64[N,D], contexts.
        codes: int64[A,C], levels of the categories of each action.
        action: int64[N], taken.
        reward: float64[N].
        fold: int64[N], 0 or 1.

    Returns:
        float64[N] of rounds, and float64[2,A] of actions by the fold of the rounds that they serve.
    """
    from sklearn.linear_model import Ridge

    one_hot = np.hstack([np.eye(int(column.max()) + 1)[column] for column in codes.T])
    of_round, of_action = np.empty(len(x)), np.empty((2, len(codes)))
    for k in range(2):
        others = fold != k
        model = Ridge().fit(np.hstack([x[others], one_hot[action[others]]]), reward[others])
        of_round[fold == k] = x[fold == k] @ model.coef_[: x.shape[1]] + model.intercept_
        of_action[k] = one_hot @ model.coef_[x.shape[1] :]
    return of_round, of_action
