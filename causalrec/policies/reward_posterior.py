"""What rounds say of mean rewards beyond a model that has not learnt from them: its error, and the doubt about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.data.contexts import Contexts
from causalrec.data.log import InteractionLog
from causalrec.policies.evaluation import RoundsBlock
from causalrec.types import Doubles

STEPS = 100  # of expectation-maximisation
FIRST_SHARE = 0.1  # of the variance of residuals, that each coefficient is first thought to make
LEAST = 1e-12  # variance that is no zero


@dataclass(frozen=True, kw_only=True)
class RewardDesign:
    """The numbers z that a model's error is linear in, action by action.

    They are 1, the numeric columns of the round, and the model itself.

    Attributes:
        columns: of the round, by name, with the mean and standard deviation that they are standardised by.
        modelled: whether there is a model; else it is the mean reward, and no number.
        mean: of the rewards.
        sd: of the rewards.
    """

    columns: Mapping[str, tuple[float, float]]
    modelled: bool
    mean: float
    sd: float

    @staticmethod
    def from_logs(logs: Sequence[InteractionLog], *, modelled: bool) -> RewardDesign:
        """Return the design for rounds; columns that are categories, or do not vary, are left out."""
        reward = np.concatenate([log.outcome for log in logs]).astype(np.float64)
        columns = {}
        for name in logs[0].columns:
            values = np.concatenate([log.columns[name] for log in logs])
            if values.dtype.kind == "f" and values.std() > 0:
                columns[name] = (float(values.mean()), float(values.std()))
        sd = float(reward.std()) or 1.0
        return RewardDesign(columns=columns, modelled=modelled, mean=float(reward.mean()), sd=sd)

    @property
    def width(self) -> int:
        """K, of numbers."""
        return 1 + len(self.columns) + self.modelled

    def numbers_and_residuals(self, block: RoundsBlock) -> tuple[Doubles, Doubles]:
        """Return z of the actions taken, float64[B,K], and what the model leaves of rewards, float64[B]."""
        model = self._model(block)[np.arange(len(block.rows)), block.action]
        of_rounds = self._of_rounds(block.contexts)
        return np.column_stack([of_rounds, self._scale(model)]) if self.modelled else of_rounds, block.reward - model

    def mean_rewards(self, block: RoundsBlock, coefficients: Doubles) -> Doubles:
        """Return the model plus its error, float64[B,A], of coefficients float64[A,K]."""
        model, of_rounds = self._model(block), self._of_rounds(block.contexts)
        mean: Doubles = model + of_rounds @ coefficients[:, : of_rounds.shape[1]].T
        return mean + self._scale(model) * coefficients[:, -1] if self.modelled else mean

    def _model(self, block: RoundsBlock) -> Doubles:
        shape = len(block.rows), block.contexts.num_actions
        return np.broadcast_to(self.mean, shape) if block.model is None else block.model

    def _scale(self, model: Doubles) -> Doubles:
        return (model - self.mean) / self.sd

    def _of_rounds(self, contexts: Contexts) -> Doubles:
        """Return the numbers that are the same for all actions, float64[B,K'], the first of them 1."""
        values = [(np.asarray(contexts.columns[name]) - mean) / sd for name, (mean, sd) in self.columns.items()]
        return np.column_stack([np.ones(len(contexts)), *values])


@dataclass(frozen=True, kw_only=True)
class RewardPosterior:
    """Coefficients of a model's error given the rounds: normal, those of actions dependent by what they share.

    The law is `r = q(x,a) + z . b_a + noise`, `b_a ~ N(mu, diag(tau^2))`, with normal noise of one variance. Tau
    and the noise are those of greatest likelihood, by expectation-maximisation; mu has a wide prior. An action that the
    log seldom took is like the others, and in doubt. Assumption: this law. Source: Laird & Ware, Biometrics 1982.

    Attributes:
        mean: float64[A,K], of the coefficients.
        root: float64[A,K,K], lower triangles L of the covariances L L' where mu is given.
        shared: float64[A,K,K], what a standard normal vector, the same for all actions, adds for the doubt about mu.
        noise: standard deviation of a reward about its mean.
    """

    mean: Doubles
    root: Doubles
    shared: Doubles
    noise: float

    @staticmethod
    def fit(design: RewardDesign, blocks: Iterable[RoundsBlock], num_actions: int) -> RewardPosterior:
        """Return the posterior.

        Args:
            design: the numbers.
            blocks: of rounds.
            num_actions: A.
        """
        gram, cross = np.zeros((num_actions, design.width, design.width)), np.zeros((num_actions, design.width))
        square, rounds = 0.0, 0
        for block in blocks:
            numbers, residual = design.numbers_and_residuals(block)
            square, rounds = square + float(residual @ residual), rounds + len(residual)
            np.add.at(cross, block.action, numbers * residual[:, None])
            order = np.argsort(block.action, kind="stable")
            actions, first = np.unique(block.action[order], return_index=True)
            for action, rows in zip(actions, np.split(order, first[1:]), strict=True):
                gram[action] += numbers[rows].T @ numbers[rows]
        return _maximise(gram, cross, square, rounds)

    def draw(self, rng: np.random.Generator) -> Doubles:
        """Return coefficients of every action, float64[A,K]."""
        of_actions: Doubles = np.einsum("akj,aj->ak", self.root, rng.normal(size=self.mean.shape))
        return self.mean + of_actions + self.shared @ rng.normal(size=self.mean.shape[1])


def _maximise(gram: Doubles, cross: Doubles, square: float, rounds: int) -> RewardPosterior:
    """Return the posterior at the tau and noise of greatest likelihood.

    Args:
        gram: float64[A,K,K], sums of z z'.
        cross: float64[A,K], sums of z times residual.
        square: sum of squared residuals.
        rounds: N.
    """
    scale = np.maximum(np.einsum("akk->k", gram) / rounds, LEAST)
    noise = max(square / rounds, LEAST)
    centre, spread = np.zeros(len(scale)), FIRST_SHARE * noise / scale
    for _ in range(STEPS):
        covariance = np.linalg.inv(np.diag(1 / spread) + gram / noise)
        mean = np.einsum("akj,aj->ak", covariance, centre / spread + cross / noise)
        centre = mean.mean(0)
        spread = (np.einsum("akk->ak", covariance) + (mean - centre) ** 2).mean(0) + LEAST / scale
        second = covariance + mean[:, :, None] * mean[:, None, :]
        noise = max((square - 2 * float((cross * mean).sum()) + float((gram * second).sum())) / rounds, LEAST)
    by_centre = covariance / spread  # how much of a change of mu each action's coefficients make
    precision = np.einsum("aji,ajk->ik", by_centre, gram) / noise + np.diag(scale / max(square / rounds, LEAST))
    shared = by_centre @ np.linalg.cholesky(np.linalg.inv((precision + precision.T) / 2))
    return RewardPosterior(mean=mean, root=np.linalg.cholesky(covariance), shared=shared, noise=noise**0.5)
