"""The best items of many users, a block of users at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import torch

from causalrec.catalogue.lists import NO_ITEM
from causalrec.data.pair_lists import PairLists
from causalrec.errors import DataError, RequestError
from causalrec.evaluation.catalogue_scores import CACHED, TOP_BYTES
from causalrec.metrics.top_k import top_items
from causalrec.running.pair_limit import require_pairs_to_score
from causalrec.running.reranker_choice import BoundReranker
from causalrec.running.trained_run import TrainedRun
from causalrec.tasks.catalogue_ranking import CatalogueRanking, CatalogueRequest
from causalrec.types import Floats, Ints

MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class BatchLists:
    """The best items of users, ranked as `TrainedRun.rank_items` ranks those of one; ties go to the first item.

    Attributes:
        run: whose users and items they are.
        users: int64[M], rows of users, of each of whom the model knows something.
        k: items of a list; fewer where fewer are left to rank.
        treatment: the arm whose effect is meant, from 1.
        include_met: rank items of the user's training and validation rows, too.
        reranking: orders the best items anew; None: by the number alone.
        memory: bytes that the scores of a block, and what makes them, may take.
    """

    run: TrainedRun
    users: Ints
    k: int
    treatment: int = 1
    include_met: bool = False
    reranking: BoundReranker | None = None
    memory: int = 512 * MEGABYTE

    def check(self) -> None:
        """Raise RequestError where the lists cannot be made; nothing is ranked."""
        items, name = self.run.prepared.dataset.logged.num_items, self.run.prepared.dataset.card.name
        if not 1 <= self.k <= items:
            what = "at least 1" if self.k < 1 else f"{name} has {items:,} items; ask for at most {items}"
            raise RequestError(f"top {self.k}: {what}")
        require_pairs_to_score(self.run.config, len(self.users) * items, "recommend --all")
        self.run.check_pairs_suffice()
        self.run.check_treatment(self.treatment)

    @cached_property
    def ranking(self) -> CatalogueRanking:
        """What ranks all items of users."""
        run = self.run
        request = CatalogueRequest(treatment=self.treatment, excluded=self._met, memory=self.memory // 2)
        return run.config.components.task.rank_catalogue(run.config, run.prepared, run.predictor, request)

    @cached_property
    def _met(self) -> PairLists | None:
        """The items that users were exposed to in training and validation."""
        prepared, log = self.run.prepared, self.run.prepared.dataset.logged
        if self.include_met or log.num_items == 1:
            return None
        logs = (prepared.train, prepared.validation)
        codes = [each.users[each.treatment > 0] * log.num_items + each.item[each.treatment > 0] for each in logs]
        return PairLists.of(np.concatenate(codes), max(log.num_users, 1), log.num_items)

    def blocks(self, start: int = 0) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the lists of users from the `start`-th on: the number of users done, and the table of a block.

        Its columns are `user` and `item`, raw ids; `rank`, from 1; and what they are ranked by.
        """
        size = max(1, min(self.memory // 2 // TOP_BYTES, CACHED) // self._num_items)
        for begin in range(start, len(self.users), size):
            users = self.users[begin : begin + size]
            yield begin + len(users), self._table(users, *self._best(users))

    @property
    def lengths(self) -> Ints:
        """The length of each list, int64[M]: `k`, or what is left to rank."""
        left = np.full(len(self.users), self._num_items)
        lengths: Ints = np.minimum(self.k, left if self._met is None else left - self._met.counts[self.users])
        return lengths

    @property
    def _num_items(self) -> int:
        return self.run.prepared.dataset.logged.num_items

    def _best(self, users: Ints) -> tuple[Ints, Floats]:
        """Return the items of users int64[B,K], -1 behind the last, and their numbers float32[B,K]."""
        score = self.ranking.score(users)
        if not np.isfinite(score.sum()):  # a sum of floats this small overflows only where one of them has
            raise DataError(f"{self.run.config.folder}: predicts what is no number; train it again with --rerun")
        if self._met is not None:
            score[self._met.of_users(users)] = -np.inf
        count = self.k if self.reranking is None else max(self.k, self.reranking.candidates)
        best, item = (each.numpy() for each in top_items(torch.from_numpy(score), min(count, score.shape[1])))
        item = np.where(best > -np.inf, item, NO_ITEM)
        return (item, best) if self.reranking is None else self.reranking(users, item, best, self.k)

    def _table(self, users: Ints, item: Ints, value: Floats) -> pl.DataFrame:
        there = item != NO_ITEM
        rank = np.broadcast_to(np.arange(1, item.shape[1] + 1, dtype=np.int32), item.shape)
        dataset, sizes = self.run.prepared.dataset, there.sum(1)
        columns = {
            "user": raw_ids(dataset.user_ids, np.repeat(users, sizes)),
            "item": raw_ids(dataset.item_ids, item[there]),
            "rank": pl.Series(rank[there]),
            self.ranking.column: pl.Series(value[there]),
        }
        return pl.DataFrame(columns)


def raw_ids(ids: pl.Series | None, rows: Ints) -> pl.Series:
    """Return the ids of rows int64[N] as the raw files spell them; the rows where they name none."""
    return pl.Series(rows, dtype=pl.Int64) if ids is None else ids.gather(rows)
