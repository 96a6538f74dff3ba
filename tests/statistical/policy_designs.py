"""Logged rounds of policies whose value is known, and what is assumed of them, rightly or wrongly."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from sklearn.linear_model import LogisticRegression

from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.types import Doubles, Ints

ROUNDS = 10_000
EVERY = frozenset({"ips", "snips", "dr"})


@dataclass(frozen=True, kw_only=True)
class World:
    """M contexts, each as likely as another, and A actions.

    Attributes:
        vectors: float64[M,D], what a context looks like.
        logging: float64[M,A], probabilities of the policy that logs.
        target: float64[M,A], of the policy that is evaluated.
        mean: float64[M,A], the chance of a reward of 1.
    """

    vectors: Doubles
    logging: Doubles
    target: Doubles
    mean: Doubles

    @property
    def value(self) -> float:
        """What the target policy earns in a round."""
        return float((self.target * self.mean).sum(1).mean())


@dataclass(frozen=True, kw_only=True)
class Design:
    """A world, and how it is evaluated.

    Attributes:
        name: of the row of the table.
        world: where rounds come from.
        propensities: those that are read: the true ones, estimates, or the logging policy's without its context.
        model: the rewards that DR reads: the true means, or the same number for all.
        rounds_a_user: rounds that share a user, whose context they have and whose effect, of variance 1, is added.
        clustered: intervals are of users.
        holds: estimators whose assumption holds.
    """

    name: str
    world: World
    propensities: str = "true"
    model: str = "wrong"
    rounds_a_user: int = 1
    clustered: bool = False
    holds: frozenset[str] = field(default=EVERY)

    def draw(self, seed: int) -> tuple[dict[str, Contributions], Ints]:
        """Return what each of 10,000 rounds contributes to each estimate, and its user."""
        rng = np.random.default_rng(seed)
        users = ROUNDS // self.rounds_a_user
        user = np.sort(rng.integers(0, users, ROUNDS)) if self.rounds_a_user > 1 else np.arange(ROUNDS)
        context = rng.integers(0, len(self.world.mean), users)[user]
        action = draw_actions(self.world.logging, context, rng)
        reward = (rng.random(ROUNDS) < self.world.mean[context, action]).astype(float)
        if self.rounds_a_user > 1:
            reward += rng.normal(size=users)[user]
        weight = self.world.target[context, action] / self._propensity(context, action)
        return self._contributions(context, action, reward, weight), user

    def _contributions(self, context: Ints, action: Ints, reward: Doubles, weight: Doubles) -> dict[str, Contributions]:
        model = self.world.mean if self.model == "true" else np.full_like(self.world.mean, 0.5)
        expected = (self.world.target * model).sum(1)[context]
        nothing = np.zeros(ROUNDS)
        return {
            "ips": Contributions(base=weight * reward, weight=weight),
            "snips": Contributions(base=nothing, weight=weight, numerator=weight * reward, denominator=weight),
            "dr": Contributions(base=expected + weight * (reward - model[context, action]), weight=weight),
        }

    def _propensity(self, context: Ints, action: Ints) -> Doubles:
        """Return the probability of each action taken, as it is read, float64[B]."""
        logging, number = self.world.logging, np.arange(ROUNDS)
        if self.propensities == "without context":
            return logging.mean(0)[action]
        if self.propensities == "frequencies":
            times = np.zeros_like(logging)
            np.add.at(times, (context, action), 1)
            return (times / np.maximum(times.sum(1, keepdims=True), 1))[context, action]
        if self.propensities == "logistic":
            vectors = self.world.vectors[context]
            fitted = LogisticRegression(C=1e4, tol=1e-5, max_iter=500).fit(vectors, action)
            return np.asarray(fitted.predict_proba(vectors)[number, np.searchsorted(fitted.classes_, action)])
        return logging[context, action]


def draw_actions(policy: Doubles, context: Ints, rng: np.random.Generator) -> Ints:
    """Return an action in each of these contexts: by inversion, all contexts' distributions end to end."""
    edges = np.cumsum(policy, 1)
    edges = edges / edges[:, -1:] + np.arange(len(policy))[:, None]
    position = np.searchsorted(edges.ravel(), rng.random(len(context)) + context, side="right")
    return np.minimum(position - context * policy.shape[1], policy.shape[1] - 1)


def softmax(scores: Doubles) -> Doubles:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@cache
def make_world(contexts: int, actions: int, logging: float, target: float) -> World:
    """Return a world of softmax policies, logits of its rewards being bilinear in vectors of contexts and actions.

    Args:
        contexts: M.
        actions: A.
        logging: the inverse temperature of the logging policy, which knows half of the logits.
        target: that of the target policy, which knows all; infinite: epsilon-greedy, with an epsilon of .1.
    """
    rng = np.random.default_rng(contexts + actions)
    vectors, weights = rng.normal(size=(contexts, 5)), rng.normal(size=(5, actions)) / np.sqrt(5)
    logits = vectors @ weights
    if np.isinf(target):
        policy = np.full_like(logits, 0.1 / actions)
        policy[np.arange(contexts), logits.argmax(1)] += 0.9
    else:
        policy = softmax(target * logits)
    known_half = vectors[:, :3] @ weights[:3]
    return World(
        vectors=vectors,
        logging=softmax(logging * known_half),
        target=policy,
        mean=1 / (1 + np.exp(0.5 - logits)),
    )


def designs() -> list[Design]:
    """Return what is counted, each with what must hold in it."""
    some, few, many = make_world(2000, 10, 1, 1), make_world(20, 10, 1, 1), make_world(2000, 20, 4, 8)
    films = (make_world(943, 1682, 1, 0.7), make_world(943, 1682, 1, 2.5))
    no_estimate, dr, ignored = frozenset[str](), frozenset({"dr"}), "without context"
    return [
        Design(name="known propensities, 10 actions", world=some),
        Design(name="known propensities, 20 actions, a sharp target", world=many),
        Design(name="propensities by frequencies", world=few, propensities="frequencies"),
        Design(name="propensities by multinomial logistic", world=some, propensities="logistic"),
        Design(name="1,682 actions, softmax", world=films[0]),
        Design(name="1,682 actions, sharper softmax", world=films[1]),
        Design(name="clustered users", world=some, rounds_a_user=20, clustered=True),
        Design(name="clustered users, 1,682 actions", world=films[0], rounds_a_user=20, clustered=True),
        Design(name="model right", world=some, model="true"),
        Design(
            name="model right, propensities wrong", world=some, model="true", propensities="without context", holds=dr
        ),
        Design(name="both wrong: row context ignored", world=some, propensities=ignored, holds=no_estimate),
        Design(name="clustered users, intervals of rounds", world=some, rounds_a_user=20, holds=no_estimate),
    ]


GREEDY = Design(name="1,682 actions, epsilon-greedy", world=make_world(943, 1682, 1, np.inf))
