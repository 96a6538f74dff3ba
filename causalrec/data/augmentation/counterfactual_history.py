"""What if the user had met another item: histories in which one event has another item, as further rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

from causalrec.data.augmentation.base import AbstractAugmentation
from causalrec.data.augmentation.transferred_rows import require_users, unit_rows, with_transferred_rows
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.types import Bools, Count, Floats, Ints

DRAWS_AT_ONCE: Final = 512  # of which the candidates' products stand in memory
Draws = tuple[Ints, Ints, Ints]  # replaced rows [K], observed rows [K], candidates [K,C]


@dataclass(frozen=True, kw_only=True)
class CounterfactualHistory(AbstractAugmentation):
    """Adds the row (u, j, y) for a row (u, i, y): u's history with i replaced by j still tells what u did.

    For each user some events are replaced. j is the candidate nearest to i, among random items without a row of u, with
    which another item that u has met and liked still ranks among the first `top_k` of all candidates, by the cosine
    with the mean of the other items of the history. Cosines are of `width` singular vectors of who met what, training
    rows alone. The propensity is that of (u, i), for the row is there when that one is.

    Sequence encoders read histories from the log as it is, so that here a counterfactual history reaches what is
    trained as rows: it is what a factorisation reads of a history, and a further target of a sequence encoder. The
    paper's further loss, `0.001 |prediction before - after|`, has no counterpart. Assumption: the outcome of j would
    have been that of i. Under an objective over all pairs the pair counts by its weight, as of `text_transfer`.
    Source: the discrete variant of CCF, whose candidates, top_k and number of histories these are.

    Attributes:
        per_user: events that are replaced.
        candidates: items that are tried for each.
        top_k: how far up the liked item must stay among the candidates.
        width: of the vectors of items.
        weight: of an added row, a logged one counting 1.
    """

    own_propensity: ClassVar[bool] = True
    training_outcomes: ClassVar[bool] = True

    per_user: Count = 2
    candidates: Annotated[int, Field(ge=2, le=10_000)] = 100
    top_k: Count = 60
    width: Annotated[int, Field(ge=1, le=512)] = 32
    weight: Annotated[float, Field(gt=0, le=1)] = 0.1

    def augment(self, train: InteractionLog, dataset: CausalDataset, seed: int) -> InteractionLog:
        require_users(train, "augmentation=counterfactual_history")
        vectors = behaviour_vectors(train, self.width)
        draws = self._draw(train, np.random.default_rng(seed))
        chosen = [
            self._choose(train, vectors, tuple(each[k : k + DRAWS_AT_ONCE] for each in draws))  # type: ignore[arg-type]
            for k in range(0, len(draws[0]), DRAWS_AT_ONCE)
        ]
        item = np.concatenate([np.zeros(0, np.int64), *chosen])
        return with_transferred_rows(train, draws[0][item >= 0], item[item >= 0], self.weight)

    def _draw(self, train: InteractionLog, rng: np.random.Generator) -> Draws:
        """Return for each user rows to replace, liked rows of the same user, and candidates."""
        liked = np.flatnonzero(train.outcome >= train.outcome.mean())
        users, order = train.users, np.argsort(train.users[liked], kind="stable")
        replaced = np.flatnonzero(_some_of_each(users, self.per_user, rng))
        start, stop = (np.searchsorted(users[liked][order], users[replaced], side=s) for s in ("left", "right"))
        has_liked = stop > start
        replaced, start, stop = replaced[has_liked], start[has_liked], stop[has_liked]
        observed = liked[order[start + (rng.random(len(start)) * (stop - start)).astype(np.int64)]]
        other = observed != replaced
        replaced, observed = replaced[other], observed[other]
        return replaced, observed, rng.integers(train.num_items, size=(len(replaced), self.candidates))

    def _choose(self, train: InteractionLog, vectors: Floats, draws: Draws) -> Ints:
        """Return the item that replaces each row's, int64[K]; -1 where no candidate will do."""
        replaced, observed, candidates = draws
        user, old, target = train.users[replaced], vectors[train.item[replaced]], vectors[train.item[observed]]
        profile = np.zeros((train.num_users, vectors.shape[1]), np.float32)
        np.add.at(profile, train.users, vectors[train.item])
        rest, new = profile[user] - old - target, vectors[candidates]  # [K,D], [K,C,D]
        of_target = (rest[:, None] + new) @ target[..., None]  # [K,C,1], by the item that is put in
        of_others = (rest[:, None] + new) @ new.transpose(0, 2, 1)  # [K,C,C]
        stays = (of_others > of_target).sum(-1) < self.top_k
        unmet = train.finder(user[:, None] * train.num_items + candidates) < 0
        closeness = np.where(stays & unmet, (new @ old[..., None])[..., 0], -np.inf)
        best = closeness.argmax(1)
        rows = np.arange(len(best))
        return np.where(np.isfinite(closeness[rows, best]), candidates[rows, best], -1)


def _some_of_each(users: Ints, count: int, rng: np.random.Generator) -> Bools:
    """Return which rows are chosen, bool[N]: `count` of each user at random, all where there are no more."""
    shuffled = rng.permutation(len(users))
    order = shuffled[np.argsort(users[shuffled], kind="stable")]
    by_user = users[order]
    place_in_user = np.arange(len(order)) - np.searchsorted(by_user, by_user)
    chosen = np.zeros(len(users), np.bool_)
    chosen[order[place_in_user < count]] = True
    return chosen


def behaviour_vectors(log: InteractionLog, width: int) -> Floats:
    """Return unit vectors of items, float32[I,D]: singular vectors of who met what, items weighed alike.

    Args:
        log: the training rows.
        width: D, cut where users or items are fewer.
    """
    counts = np.bincount(log.item, minlength=log.num_items)
    value = 1 / np.sqrt(counts[log.item])
    met = csr_array((value, (log.item, log.users)), shape=(log.num_items, log.num_users))
    width = min(width, min(met.shape) - 1)
    if width < 1:
        return np.zeros((log.num_items, 1), np.float32)
    left, sizes, _ = svds(met, k=width, v0=np.ones(min(met.shape)), return_singular_vectors="u")
    return unit_rows((left * sizes).astype(np.float32))
