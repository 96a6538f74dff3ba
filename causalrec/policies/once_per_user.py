"""A distribution that depends on the user alone, computed once for each user."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.types import Bools, Doubles, Ints

TABLE_BYTES = 1 << 28  # of the probabilities that are remembered between blocks of rounds
PAIRS_AT_ONCE = 1 << 22  # whose probabilities are computed together


def once_per_user(distribution: ActionDistribution, num_users: int, num_actions: int) -> ActionDistribution:
    """Return the same distribution, float64[B,A], which asks for each user once, in whatever order rounds come.

    A million rounds of a thousand users cost a thousand rows of scores. Of more users than a table of 256 MiB holds,
    each is asked for once in every block of rounds; without users there is one row for all.

    Args:
        distribution: of contexts that nothing but the user tells apart.
        num_users: U, 0 without users.
        num_actions: A.
    """
    fits = max(num_users, 1) * num_actions * 8 <= TABLE_BYTES
    return _UserTable(distribution, num_users, num_actions) if fits else _BlockTable(distribution)


@dataclass
class _UserTable:
    """Rows that were asked for before, by user."""

    distribution: ActionDistribution
    num_users: int
    num_actions: int
    rows: Doubles = field(init=False, repr=False)
    filled: Bools = field(init=False, repr=False)

    def __post_init__(self) -> None:
        users = max(self.num_users, 1)
        self.rows, self.filled = np.empty((users, self.num_actions)), np.zeros(users, bool)

    def __call__(self, contexts: Contexts) -> Doubles:
        users = np.zeros(1, np.int64) if contexts.user is None else contexts.user
        missing = np.unique(users[~self.filled[users]])
        for block in _blocks(missing, self.num_actions):
            self.rows[block] = self.distribution(contexts_of_users(block, self.num_users, self.num_actions))
            self.filled[block] = True
        if contexts.user is None:
            return np.broadcast_to(self.rows[0], (len(contexts), self.num_actions))
        return self.rows[users]


@dataclass(frozen=True)
class _BlockTable:
    """Each user of a block of rounds once."""

    distribution: ActionDistribution

    def __call__(self, contexts: Contexts) -> Doubles:
        if contexts.user is None:
            row = self.distribution(contexts_of_users(np.zeros(1, np.int64), 0, contexts.num_actions))
            return np.broadcast_to(row[0], (len(contexts), contexts.num_actions))
        users, place_of = np.unique(contexts.user, return_inverse=True)
        blocks = _blocks(users, contexts.num_actions)
        of_users = [self.distribution(contexts_of_users(u, contexts.num_users, contexts.num_actions)) for u in blocks]
        return np.concatenate([*of_users, np.empty((0, contexts.num_actions))])[place_of]


def _blocks(users: Ints, num_actions: int) -> list[Ints]:
    step = max(1, PAIRS_AT_ONCE // num_actions)
    return [users[start : start + step] for start in range(0, len(users), step)]


def contexts_of_users(users: Ints, num_users: int, num_actions: int) -> Contexts:
    """Return a context for each user, int64[M], with nothing but the user in it; without users M that are alike.

    Args:
        users: rows of the table of users.
        num_users: U, 0 without users.
        num_actions: A.
    """
    user = users if num_users else None
    return Contexts(count=len(users), num_actions=num_actions, num_users=num_users, user=user)
