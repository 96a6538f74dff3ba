"""Open Bandit Pipeline's synthetic example: seven estimators of the value of a learnt policy, draw by draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit, softmax

from causalrec.data.datasets.synthetic_bandit import SyntheticBandit
from causalrec.estimators.policy_value.rounds import LoggedRounds
from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate, row_name
from causalrec.evaluation.estimation.value_errors import PIPELINE, cross_fit, error_cells, estimate_values
from causalrec.types import Count, Doubles, Ints

FOLD_SEED: Final = 12345
LOGISTIC: Final = {"C": 100, "max_iter": 10_000, "random_state": FOLD_SEED}
PAPER_BETA: Final = -3.0


@dataclass(frozen=True, kw_only=True)
class OBPSynthetic(AbstractEstimation):
    """Relative errors of dm, ips, snips, dr, sndr, switch_dr and dros on the pipeline's simulated rounds.

    Its law in its own random numbers (obp 0.5.7): contexts `x ~ N(0, I)`; scores of the columns `(1, x)` and
    `(1, one-hot action)`, bilinear, all coefficients uniform on [-1, 1]; `q = sigmoid(score)`; logging policy
    `softmax(beta q)`. The target is the softmax of the probabilities that a weighted logistic regression (outcome over
    propensity) on other rounds of the law gives the actions: near to uniform. The reward model is a logistic regression
    over context and one-hot action, without interactions, in 3 folds. Columns are `re|se|bias` / estimator; the truth
    is the value in the drawn contexts.

    Scores are standardised over the contexts of a batch, `(s - mean) / sd`: so the README's numbers come out. The
    release obp 0.5.7 says the same, but computes `s - mean / sd`, a shift, under which all errors are greater:
    `scores=shifted`, rows end in `@shifted`. Draw k of seed s is the pipeline's `random_state = s * draws + k`.

    Attributes:
        draws: of laws, each with rounds of its own.
        rounds: N, of the target's training and as many that are evaluated.
        actions: A.
        context_dim: D.
        beta: of the logging policy.
        scores: standardised, or shifted as in obp 0.5.7.
    """

    title: ClassVar[str] = "Open Bandit Pipeline, examples/synthetic: relative errors of estimated values"
    source: ClassVar[str] = "Saito et al., NeurIPS D&B 2021, and the README of the pipeline's example"

    draws: Annotated[int, Field(ge=2)] = 20
    rounds: Count = 10_000
    actions: Annotated[int, Field(ge=2)] = 30
    context_dim: Count = 5
    beta: Annotated[float, Field(allow_inf_nan=False)] = PAPER_BETA
    scores: Literal["standardised", "shifted"] = "standardised"

    @property
    def dataset(self) -> SyntheticBandit:
        return SyntheticBandit(actions=self.actions, context_dim=self.context_dim, beta=self.beta)

    def run(self, root: Path, cache: Path, seed: int) -> list[Estimate]:
        results = [self._draw(seed * self.draws + k) for k in range(self.draws)]
        row = row_name("logistic", "beta", self.beta, PAPER_BETA) + ("@shifted" if self.scores == "shifted" else "")
        return error_cells(row, [truth for truth, _ in results], [values for _, values in results])

    def _draw(self, state: int) -> tuple[float, dict[str, float]]:
        """Return the true value and the estimates of one law."""
        from sklearn.linear_model import LogisticRegression

        rng = np.random.RandomState(state)  # the pipeline's numbers
        rewards = partial(self._rewards, state)
        train, test = (self._rounds(rewards, rng, state) for _ in range(2))
        weight = train.reward / train.propensity
        learnt = LogisticRegression(**LOGISTIC).fit(train.x, train.action, sample_weight=weight)
        target = softmax(learnt.predict_proba(test.x), axis=1)
        build = partial(LogisticRegression, **LOGISTIC)
        model = cross_fit(build, test.x, np.eye(self.actions), test.action, test.reward, FOLD_SEED)
        rounds = LoggedRounds(
            reward=test.reward,
            action=test.action,
            propensity=test.propensity,
            target=target[np.arange(self.rounds), test.action],
            target_distribution=target,
            model=model,
        )
        return float((target * test.means).sum(1).mean()), estimate_values(PIPELINE, [rounds])

    def _rewards(self, state: int, x: Doubles) -> Doubles:
        """Return mean rewards float64[N,A]; the coefficients are those of the state."""
        rng = np.random.RandomState(state)  # the pipeline's numbers
        widths = self.context_dim + 1, self.actions + 1
        u, v, m = (rng.uniform(-1, 1, size) for size in (widths[0], widths[1], widths))
        columns = np.hstack([np.ones((len(x), 1)), x])
        acts = np.hstack([np.ones((self.actions, 1)), np.eye(self.actions)])
        raw = (columns @ u)[:, None] + acts @ v + columns @ m @ acts.T
        if self.scores == "shifted":
            return np.asarray(expit(raw - raw.mean() / raw.std()))
        return np.asarray(expit((raw - raw.mean()) / raw.std()))

    def _rounds(self, rewards: Callable[[Doubles], Doubles], rng: Any, state: int) -> _Batch:
        """Return a batch; as in the pipeline, every batch of a state draws its actions by the same uniforms."""
        x = rng.normal(size=(self.rounds, self.context_dim))
        means = rewards(x)
        logging = softmax(self.beta * means, axis=1)
        uniform = np.random.RandomState(state).uniform(size=self.rounds)
        action = (logging.cumsum(1) > uniform[:, None]).argmax(1)
        rows = np.arange(self.rounds)
        reward = rng.binomial(n=1, p=means[rows, action]).astype(np.float64)
        return _Batch(x, means, action, reward, logging[rows, action])


@dataclass(frozen=True)
class _Batch:
    """Rounds of a law.

    Attributes:
        x: float64[N,D], contexts.
        means: float64[N,A], mean rewards.
        action: int64[N], taken.
        reward: float64[N], 0 or 1.
        propensity: float64[N], of the action taken.
    """

    x: Doubles
    means: Doubles
    action: Ints
    reward: Doubles
    propensity: Doubles
