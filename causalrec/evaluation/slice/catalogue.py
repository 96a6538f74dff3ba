"""Slices of whole catalogues: every item for each of many users, of which blocks of users are held at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.data.log import RowValues
from causalrec.data.pair_columns import PairColumn
from causalrec.data.pair_lists import PairLists
from causalrec.data.pair_sample import PairSample
from causalrec.rerankers.base import Rerank
from causalrec.types import Bools, Floats, Ints, LabelKind

PAIRS_AT_ONCE = 1 << 20  # whose true numbers are held
Gains = Callable[
    [Ints, Ints], Floats
]  # users int64[B], items int64[B,k] (-1: none) -> float32[B,k], as in `Lists.gain`


@dataclass(frozen=True, kw_only=True, eq=False)
class ListRequest:
    """How the lists of users are made of the scores of their items.

    Attributes:
        k: items of a list.
        facts: of the catalogue, that re-rankers and metrics read.
        gains: what places are worth; None where nothing is known.
        rerank: orders the best candidates anew; None: by score alone.
        num_candidates: how many of a user's best items it is given.
        key: what names `rerank` and `gains`, for the hash of what is judged.
    """

    k: int
    facts: CatalogueFacts
    gains: Gains | None = None
    rerank: Rerank | None = None
    num_candidates: int = 0
    key: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class CatalogueData:
    """Pairs to score: all items of the log for each of `users`, but those that are excluded.

    Attributes:
        name: what records and tables call them; unique in a run.
        kind: what is judged: the items that a user chose (`ranking`), true mean outcomes (`rate`), effects (`effect`),
            the items that a user is shown (`lists`), outcomes of a sample of the pairs (`sampled`).
        users: int64[M], rising; 0 alone in a log without users.
        num_users: users of the log, 0 where it has none.
        num_items: items of the log.
        excluded: pairs that are no candidates; None: none are.
        candidate_items: bool[I], that are candidates, of which alone `excluded` then has pairs; None: all are.
        positives: of `ranking`, the pairs that were chosen, none of them excluded.
        truth: of `rate` and `effect`, the true number of any pair.
        drawn_truth: of `effect`, the difference of drawn outcomes of any pair, where a simulation tells them.
        lists: of `lists`, how they are made.
        sample: of `sampled`, the pairs with outcomes, none of them excluded.
        arm: the treatment whose effect is judged, 0 where outcomes are.
        items: bool[I], whose rows are judged; of `ranking`, whose positives, each ranked among all items; None: all.
        jackknife: whether values without groups of users are made too, for paired comparisons; items stay fixed.
        note: what must be read below a table with its scores, a sentence.
        subset_of: the larger slice, with which it is scored at once.
        columns: none, as a pair alone has none.
        treatment: None, as no pair received one.
        lacks_arm: False.
    """

    name: str
    kind: LabelKind
    users: Ints
    num_users: int
    num_items: int
    excluded: PairLists | None = None
    candidate_items: Bools | None = None
    positives: PairLists | None = None
    truth: PairColumn | None = None
    drawn_truth: PairColumn | None = None
    lists: ListRequest | None = None
    sample: PairSample | None = None
    arm: int = 0
    items: Bools | None = None
    jackknife: bool = False
    note: str = ""
    subset_of: CatalogueData | None = None
    columns: Mapping[str, RowValues] = field(default_factory=dict, init=False)  # a pair alone has none
    treatment: None = field(default=None, init=False)
    lacks_arm: bool = field(default=False, init=False)

    def __len__(self) -> int:
        """Return the number of pairs judged; of a sample its own, of the positives of some items, that of these."""
        if self.sample is not None:
            return int(self.sample.pairs.counts[self.users].sum())
        if self.positives is not None and self.items is not None:
            return int(self.positives.counts[self.users].sum())
        if self.positives is None:
            return len(self.users) * (self.num_items if self.items is None else int(self.items.sum()))
        return int(self.list_lengths.sum())

    @property
    def num_judged(self) -> int:
        """The number of lists of users, else of pairs judged."""
        return len(self.users) if self.kind == "lists" else len(self)

    @property
    def num_clusters(self) -> int:
        return self.num_users or self.num_items

    @cached_property
    def is_user(self) -> Bools:
        """Which users are in it, bool[U]."""
        inside = np.zeros(max(self.num_users, 1), bool)
        inside[self.users] = True
        return inside

    @property
    def list_lengths(self) -> Ints:
        """The number of candidates of each user, int64[M]."""
        items = self.num_items if self.candidate_items is None else int(self.candidate_items.sum())
        candidates: Ints = np.full(len(self.users), items)
        return candidates if self.excluded is None else candidates - self.excluded.counts[self.users]

    @property
    def every_item(self) -> Ints:
        """All items, int64[1,I]."""
        return np.arange(self.num_items)[None, :]

    @cached_property
    def has_negative_labels(self) -> bool:
        """Whether some label is below 0."""
        return any(bool((labels < 0).any()) for labels in self._labels())

    @cached_property
    def has_graded_labels(self) -> bool:
        """Whether some label is neither 0 nor 1."""
        return any(bool(((labels != 0) & (labels != 1)).any()) for labels in self._labels())

    def _labels(self) -> Iterator[Floats]:
        if self.sample is not None:
            yield self.sample.outcome
        if self.truth is not None:
            for users in self.blocks(max(1, PAIRS_AT_ONCE // self.num_items)):
                yield self.truth(users[:, None], self.every_item)

    def blocks(self, size: int) -> Iterator[Ints]:
        """Yield the users, `size` at a time."""
        for start in range(0, len(self.users), size):
            yield self.users[start : start + size]

    @cached_property
    def rows_key(self) -> str:
        """Hash of what a prediction depends on: users, items and candidates."""
        digest = hashlib.sha256(repr((self.num_users, self.num_items, self.arm)).encode())
        lists = () if self.excluded is None else (self.excluded.start, self.excluded.item)
        items = () if self.candidate_items is None else (self.candidate_items,)
        for column in (self.users, *lists, *items):
            digest.update(column.tobytes())
        return digest.hexdigest()

    @cached_property
    def identity(self) -> list[object]:
        """What the scores depend on, but for the prediction."""
        digest = hashlib.sha256()
        lists = () if self.positives is None else (self.positives.start, self.positives.item)
        if self.sample is not None:
            lists = (*lists, *self.sample.columns)
        for column in (*lists, *(() if self.items is None else (self.items,)), *self._labels()):
            digest.update(column.tobytes())
        if self.lists is not None:
            digest.update(
                repr((self.lists.k, self.lists.num_candidates, self.lists.key, self.lists.facts.fingerprint)).encode()
            )
        return [self.name, self.kind, self.arm, self.jackknife, self.rows_key, digest.hexdigest()]

    def of_users(self, name: str, users: Bools) -> CatalogueData:
        """Return the slice of the users of a mask, bool[U]."""
        return replace(self, name=name, users=self.users[users[self.users]], subset_of=self.subset_of or self)

    def of_items(self, name: str, items: Bools) -> CatalogueData:
        """Return the slice of the rows of these items, bool[I]; of `ranking`, of their positives among all items."""
        positives = None if self.positives is None else self.positives.where(items)
        return replace(self, name=name, items=items, positives=positives, subset_of=self.subset_of or self)

    def take_users(self, users: Ints) -> CatalogueData:
        """Return the slice of those of `users` that are in it."""
        return replace(self, users=np.intersect1d(self.users, users))
