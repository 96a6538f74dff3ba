"""Rounds of a simulated bandit: actions drawn by a known policy, rewards from known means, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from causalrec.data.contexts import ActionDistribution, ActionRewards, Contexts
from causalrec.data.log import InteractionLog
from causalrec.types import Bools, Doubles, Ints

CELLS_AT_ONCE = 1 << 22  # rounds times actions that are held at a time: 32 MB of doubles


def draw_rounds(
    contexts: Contexts,
    logging_policy: ActionDistribution,
    mean_rewards: ActionRewards,
    rng: np.random.Generator,
    *,
    reward_sd: float | None = None,
    name: str,
) -> InteractionLog:
    """Return one logged round in each context.

    Args:
        contexts: [N] of them.
        logging_policy: takes the actions.
        mean_rewards: of every action.
        rng: draws actions, then rewards.
        reward_sd: of normal rewards; None: a reward is 1 with probability of its mean, else 0.
        name: how errors call the log.
    """
    count = len(contexts)
    action, propensity, mean = np.empty(count, np.int64), np.empty(count), np.empty(count)
    for rows in _blocks(contexts):
        block = contexts.take(rows)
        probabilities = logging_policy(block)
        action[rows] = draw_actions(probabilities, rng)
        propensity[rows] = np.take_along_axis(probabilities, action[rows, None], 1)[:, 0]
        mean[rows] = np.take_along_axis(mean_rewards(block), action[rows, None], 1)[:, 0]
    reward = (rng.random(count) < mean) if reward_sd is None else rng.normal(mean, reward_sd)
    return InteractionLog(
        item=action,
        treatment=np.ones(count, np.int64),
        outcome=reward.astype(np.float32),
        num_items=contexts.num_actions,
        user=contexts.user,
        num_users=contexts.num_users,
        propensity=propensity.astype(np.float32),
        columns=contexts.columns,
        name=name,
        of_rounds=True,
    )


def draw_actions(probabilities: Doubles, rng: np.random.Generator) -> Ints:
    """Return an action of each row of float64[B,A], int64[B]; never one of probability 0.

    >>> draw_actions(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), np.random.default_rng(0)).tolist()
    [1, 0]
    """
    cumulative = probabilities.cumsum(1)
    passed: Bools = cumulative <= rng.random((len(probabilities), 1)) * cumulative[:, -1:]
    return np.asarray(passed.sum(1), np.int64)


def by_user(table: Doubles) -> Callable[[Contexts], Doubles]:
    """Return what gives the table's row, float64[U,A], of each round's user: mean rewards, or a policy."""

    def of_contexts(contexts: Contexts) -> Doubles:
        assert contexts.user is not None
        return np.asarray(table[contexts.user])

    return of_contexts


def softmax_policy(score: Doubles, temperature: float) -> Doubles:
    """Return the probabilities proportional to `exp(score / temperature)` along the last axis.

    >>> softmax_policy(np.log([[1.0, 3.0]]), 1.0).round(3).tolist()
    [[0.25, 0.75]]
    """
    raised = np.exp((score - score.max(-1, keepdims=True)) / temperature)
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def _blocks(contexts: Contexts) -> Iterator[Ints]:
    step = max(1, CELLS_AT_ONCE // contexts.num_actions)
    for start in range(0, len(contexts), step):
        yield np.arange(start, min(start + step, len(contexts)))
