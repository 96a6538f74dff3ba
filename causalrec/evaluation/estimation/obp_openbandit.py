"""Open Bandit Pipeline's example on Open Bandit: the value of Thompson sampling from rounds of the random policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Final

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.data.datasets.openbandit import HASHED, VISITOR, Campaign, OpenBandit
from causalrec.data.log import InteractionLog
from causalrec.estimators.policy_value.rounds import LoggedRounds
from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate
from causalrec.evaluation.estimation.value_errors import PIPELINE, cross_fit, error_cells, estimate_values
from causalrec.types import Doubles

STATE: Final = 12345
LOGISTIC: Final = {"C": 100, "max_iter": 10_000, "random_state": STATE}


@dataclass(frozen=True, kw_only=True)
class OBPOpenBandit(AbstractEstimation):
    """Relative errors of dm, ips, snips, dr, sndr, switch_dr and dros against the mean click of bts's own rounds.

    Each draw resamples the 10,000 rounds of the random policy; the target is Thompson sampling by its priors, by slot.
    The reward model is a logistic regression for each slot, in 3 folds, over the visitor's features (0/1) and the
    item's, whose categories it reads as numbers, as the pipeline does. Columns are `re|se|bias` / estimator. The truth
    is a mean of 38 to 69 clicks, so that 12 to 16 % of it is chance: the errors rank no estimator.

    Departures: bts's probabilities are exact (the pipeline's: a million simulations); the levels of the items' hashes
    are numbered as bts's file has them; the folds of a slot are its own. Draw k of seed s is the pipeline's bootstrap
    `random_state = s * draws + k`.

    Attributes:
        draws: bootstrap samples of the rounds.
        campaign: which of the three.
    """

    title: ClassVar[str] = "Open Bandit Pipeline, examples/obd: relative errors of the estimated value of bts"
    source: ClassVar[str] = "Saito et al., NeurIPS D&B 2021, and the README of the pipeline's example"

    draws: Annotated[int, Field(ge=2)] = 30
    campaign: Campaign = "all"

    @property
    def dataset(self) -> OpenBandit:
        return OpenBandit(campaign=self.campaign, logging="random")

    def run(self, root: Path, cache: Path, seed: int) -> list[Estimate]:
        data = self.dataset.load(root)
        truth = float(data.policy_logs["bts"].outcome.mean(dtype=np.float64))
        items, count = _item_columns(data.item_table), len(data.logged)
        draws = []
        for state in range(seed * self.draws, (seed + 1) * self.draws):
            rows = np.random.RandomState(state).choice(np.arange(count), size=count)  # the pipeline's
            draws.append(estimate_values(PIPELINE, _slots(data.logged.take(rows), items, data.policies["bts"])))
        return error_cells(self.campaign, [truth] * self.draws, draws)


def _slots(log: InteractionLog, items: Doubles, policy: ActionDistribution) -> Sequence[LoggedRounds]:
    """Return the rounds of each slot with a model of their own."""
    from sklearn.linear_model import LogisticRegression

    assert log.position is not None and log.propensity is not None
    visitors = np.hstack([_dummies(log.columns[name]) for name in VISITOR])
    build, blocks = partial(LogisticRegression, **LOGISTIC), []
    for slot in np.unique(log.position):
        rows = np.flatnonzero(log.position == slot)
        rounds = log.take(rows)
        assert rounds.propensity is not None
        reward, target = rounds.outcome.astype(np.float64), policy(Contexts.of_log(rounds))
        blocks.append(
            LoggedRounds(
                reward=reward,
                action=rounds.item,
                propensity=rounds.propensity.astype(np.float64),
                target=target[np.arange(len(rounds)), rounds.item],
                target_distribution=target,
                model=cross_fit(build, visitors[rows], items, rounds.item, reward, STATE),
            )
        )
    return blocks


def _dummies(values: object) -> Doubles:
    """Return 0/1 columns of the levels but the first, float64[N,L-1]."""
    levels, code = np.unique(np.asarray(values), return_inverse=True)
    return np.eye(len(levels))[code][:, 1:]


def _item_columns(items: pl.DataFrame) -> Doubles:
    """Return the number of each category's level, and the numeric feature, float64[A,4]."""
    codes = [np.unique(items[name].to_numpy().astype(np.str_), return_inverse=True)[1] for name in HASHED]
    return np.column_stack([*codes, items["item_feature_0"].to_numpy()]).astype(np.float64)
