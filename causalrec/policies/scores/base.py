"""The contract of scores: what a policy orders the actions of a context by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.errors import DataError, RequestError
from causalrec.policies.base import PolicySource
from causalrec.policies.once_per_user import once_per_user
from causalrec.types import Doubles

ActionScores = Callable[[Contexts], Doubles]  # contexts -> float64[B,A], the higher the better


class AbstractScores(ABC):
    """A number for each action in a context, the higher the better. Constructor keywords are its YAML keys; final.

    Attributes:
        by_user: they depend on the user of a context alone, so that each user is scored once.
        can_draw: `draws` has several of them.
    """

    by_user: ClassVar[bool] = True
    can_draw: ClassVar[bool] = False

    def check(self, card: DatasetCard) -> None:
        """Raise RequestError where these data cannot have such scores; no file of theirs is read."""
        return

    @abstractmethod
    def bind(self, source: PolicySource) -> ActionScores:
        """Return contexts -> float64[B,A], learnt from `source.train` or before."""

    def draws(self, source: PolicySource, count: int | None) -> Sequence[ActionScores]:
        """Return scores that differ as what was learnt might have, by chance.

        Args:
            source: what they may learn from.
            count: how many; None: as many as suit them.
        """
        raise RequestError(f"{type(self).__name__}: has no draws; give a policy that draws other scores")


def distribution_by(
    scores: Sequence[ActionScores], source: PolicySource, choose: Callable[[Sequence[Doubles]], Doubles], by_user: bool
) -> ActionDistribution:
    """Return contexts -> `choose` of their scores, float64[B,A].

    Args:
        scores: bound.
        source: names contexts in messages.
        choose: float64[M,A] of each of `scores` -> the probability of each action, float64[M,A].
        by_user: whether users alone tell contexts apart: each is then scored once.
    """

    def distribution(contexts: Contexts) -> Doubles:
        return choose([_require_finite(score(contexts), contexts, source) for score in scores])

    log = source.dataset.logged
    return once_per_user(distribution, log.num_users, log.num_items) if by_user else distribution


def _require_finite(scores: Doubles, contexts: Contexts, source: PolicySource) -> Doubles:
    """Return scores as they are; DataError, naming the first context, where one is no number."""
    finite = np.isfinite(scores)
    if finite.all():
        return scores
    row, action = (int(k) for k in np.argwhere(~finite)[0])
    users, items = source.dataset.user_ids, source.dataset.item_ids
    who = f"context {row}"
    if contexts.user is not None:
        user = int(contexts.user[row])
        who = f"user {user if users is None else users[user]}"
    raise DataError(
        f"{source.dataset.card.name}: {who}: the score of action {action if items is None else items[action]} is "
        f"{scores[row, action]}; a policy needs a number for each action"
    )
