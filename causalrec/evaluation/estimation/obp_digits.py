"""Open Bandit Pipeline's multiclass example: digits as a bandit, the value of a classifier that is mostly followed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Final

import numpy as np
from pydantic import Field

from causalrec.data.datasets.classification_bandit import FOREST, ClassificationBandit
from causalrec.estimators.policy_value.rounds import LoggedRounds
from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate
from causalrec.evaluation.estimation.value_errors import PIPELINE, cross_fit, error_cells, estimate_values
from causalrec.types import Doubles, Ints, Share

STATE: Final = 12345
LOGISTIC: Final = {"C": 100, "max_iter": 10_000, "random_state": STATE}
Certainty = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class OBPDigits(AbstractEstimation):
    """Relative errors of dm, ips, snips, dr, sndr, switch_dr and dros on the digits of scikit-learn as a bandit.

    A policy follows a classifier with probability c, else it is uniform; the reward is 1 for the right class. Logging
    follows a logistic regression, the target a random forest, both of the rows that are not evaluated; the reward model
    is a boosted classifier of 30 shallow trees at rate .01, in 3 folds, over pixels and one-hot action. Splits and
    actions are drawn by the pipeline's random numbers (obp 0.5.7), draw k of seed s by `random_state = s * draws + k`.
    Columns are `re|se|bias` / estimator; the truth is the target's mean probability of the right class.

    Attributes:
        draws: of splits and actions.
        evaluated: share of the rows that are rounds.
        logging_certainty: c of the logging policy.
        target_certainty: c of the target.
    """

    title: ClassVar[str] = "Open Bandit Pipeline, examples/multiclass (digits): relative errors of estimated values"
    source: ClassVar[str] = "Saito et al., NeurIPS D&B 2021, and the README of the pipeline's example"

    draws: Annotated[int, Field(ge=2)] = 30
    evaluated: Share = 0.7
    logging_certainty: Certainty = 0.4
    target_certainty: Certainty = 0.9

    @property
    def dataset(self) -> ClassificationBandit:
        return ClassificationBandit(
            logging_certainty=self.logging_certainty, target_certainty=self.target_certainty, fit_share=0.3
        )

    def run(self, root: Path, cache: Path, seed: int) -> list[Estimate]:
        from sklearn.datasets import load_digits

        x, label = load_digits(return_X_y=True)
        results = [self._draw(x, label, seed * self.draws + k) for k in range(self.draws)]
        return error_cells("digits", [truth for truth, _ in results], [values for _, values in results])

    def _draw(self, x: Doubles, label: Ints, state: int) -> tuple[float, dict[str, float]]:
        """Return the true value and the estimates of one split."""
        from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import train_test_split

        fitted, shown, y_fitted, y = train_test_split(x, label, test_size=self.evaluated, random_state=state)
        logging, target = (
            follow(model.fit(fitted, y_fitted).predict(shown), certainty, len(np.unique(label)))
            for model, certainty in (
                (LogisticRegression(**LOGISTIC), self.logging_certainty),
                (RandomForestClassifier(**FOREST, random_state=STATE), self.target_certainty),
            )
        )
        uniform = np.random.RandomState(state).uniform(size=len(y))  # the pipeline's numbers
        action, rows = (logging.cumsum(1) > uniform[:, None]).argmax(1), np.arange(len(y))
        reward = (action == y).astype(np.float64)
        build = partial(GradientBoostingClassifier, **FOREST, learning_rate=0.01, random_state=STATE)
        rounds = LoggedRounds(
            reward=reward,
            action=action,
            propensity=logging[rows, action],
            target=target[rows, action],
            target_distribution=target,
            model=cross_fit(build, shown, np.eye(target.shape[1]), action, reward, STATE),
        )
        return float(target[rows, y].mean()), estimate_values(PIPELINE, [rounds])


def follow(classes: Ints, certainty: float, actions: int) -> Doubles:
    """Return `c 1{a = f(x)} + (1 - c) / A`, float64[N,A].

    >>> follow(np.array([1]), 0.5, 2).tolist()
    [[0.25, 0.75]]
    """
    return np.asarray(certainty * (classes[:, None] == np.arange(actions)) + (1 - certainty) / actions)
