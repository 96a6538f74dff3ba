"""A finished run as something to ask: predictions and recommendations by raw ids, its scores computed again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from causalrec.config.schema import ExperimentConfig
from causalrec.data.read_only import read_only
from causalrec.data.text import texts_of
from causalrec.errors import DataError, RequestError
from causalrec.learners.predictor import AbstractPredictor
from causalrec.prepared import PreparedData
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord
from causalrec.running.cache import PreparedCache
from causalrec.running.id_rows import IdRows
from causalrec.running.prepare import plan_run, prepare_to_predict, select_slices
from causalrec.running.raw_ids import RawId
from causalrec.running.reopen import check_same_files, check_same_rows, reopen_run
from causalrec.running.reranker_choice import BoundReranker
from causalrec.running.scoring import score_predictor
from causalrec.tasks.base import Ranking
from causalrec.types import Doubles, Entity, Floats, Ints

LOGGER = logging.getLogger(__name__)
DEFAULT_COUNT = 10  # items recommended where nobody says how many


@dataclass(frozen=True)
class TrainedRun:
    """A finished run: what was asked for, its record, its data and what it has learnt.

    Attributes:
        config: the request.
        record: the result as it was written.
        prepared: the data, loaded and split again.
        predictor: the kept weights, or a learner from a table fitted again.
    """

    config: ExperimentConfig
    record: RunRecord
    prepared: PreparedData
    predictor: AbstractPredictor

    @staticmethod
    def load(folder: Path, cache: PreparedCache | None = None, *, to_predict: bool = False) -> TrainedRun:
        """Open the folder of a finished run, from any working directory and wherever it was moved to.

        Args:
            folder: of the run, or of a row that holds no other.
            cache: of prepared data.
            to_predict: whether it is asked for predictions alone: a network then needs no propensities, which take
                longer to fit again than all else; such a run computes no scores.

        Raises RequestError where there is no finished run, where its weights are gone, or where it was made by another
        version; DataError where its weights are damaged, or its raw data are not there or are others.
        """
        config, record = reopen_run(folder)
        learner = config.components.learner
        if learner is None:
            raise RequestError(f"{config.folder}: {config.run.choice('task')} has learnt nothing that predicts")
        with read_only():
            plan = plan_run(config)
            if to_predict and not learner.reload_reads_propensities:
                prepared = prepare_to_predict(config, plan)
            else:
                prepared = (cache or PreparedCache()).prepare(config, plan)
            check_same_files(record, prepared.dataset)
            check_same_rows(record, prepared.audit)
            return TrainedRun(config, record, prepared, learner.reload(config, prepared, record.selection))

    def predict(self, user: RawId | Sequence[RawId], item: RawId | Sequence[RawId], treatment: int = 1) -> Doubles:
        """Return what the run ranks pairs by, float64[N]: a mean outcome, or an effect (`Ranking.column` names it).

        Args:
            user: the raw id of a user, or N of them.
            item: the raw id of an item, or N of them; one of the two is repeated where the other has N.
            treatment: the arm whose effect is meant, from 1.

        Raises RequestError for an id that the data do not have, naming the nearest, and for a user of whom the model
        knows nothing.
        """
        self.check_pairs_suffice()
        self.check_treatment(treatment)
        users, items = self.ids.rows("user", user), self.ids.rows("item", item)
        for row in np.unique(users):
            self._check_user(int(row))
        if not len(users) or not len(items) or (len(users) != len(items) and 1 not in (len(users), len(items))):
            raise RequestError(f"{len(users)} users and {len(items)} items: give as many of both, or one of either")
        pairs = np.broadcast_arrays(users, items)
        return self.predict_rows(pairs[0], pairs[1], treatment)

    def recommend(
        self, user: RawId, k: int | None = None, treatment: int = 1, include_met: bool = False
    ) -> pl.DataFrame:
        """Return the best k items for a user: `item`, a text of it, what it is ranked by, its interval where valid.

        Intervals of effects hold for all items that are ranked at once, so that they hold for the best of them.

        Args:
            user: the raw id of a user.
            k: how many items, from 1 to those left to rank; None: ten, or fewer where no more are left.
            treatment: the arm whose effect is meant, from 1.
            include_met: rank items of the user's training and validation rows, too.

        Raises RequestError for an unknown user, for one of whom the model knows nothing, and for more items than there
        are.
        """
        best, note = self.rank_items(user, k, treatment, include_met)
        for text in filter(None, (note, self.prepared.dataset.card.caveat)):
            LOGGER.warning("%s: %s", self.config.run.name, text)
        return best

    def rank_items(
        self,
        user: RawId,
        k: int | None = None,
        treatment: int = 1,
        include_met: bool = False,
        reranking: BoundReranker | None = None,
    ) -> tuple[pl.DataFrame, str | None]:
        """Return the table of `recommend`, and what must be read with it (None where there is nothing).

        Args:
            user: the raw id of a user.
            k: how many items, from 1 to those left to rank; None: ten, or fewer where no more are left.
            treatment: the arm whose effect is meant, from 1.
            include_met: rank items of the user's training and validation rows, too.
            reranking: orders the best items anew; None: by the number alone.
        """
        if k is not None and k < 1:
            raise RequestError(f"k={k}: at least 1")
        self.check_pairs_suffice()
        self.check_treatment(treatment)
        row = self.user_row(user)
        self._check_user(row)
        items = self._items_left(user, row, include_met)
        if k is not None and k > len(items):
            raise RequestError(f"top {k}: user {user} has {self._count_left(len(items))}")
        ranking = self._rank(np.full(len(items), row), items, treatment)
        best, count = np.argsort(-ranking.values, kind="stable"), DEFAULT_COUNT if k is None else k
        if reranking is not None:
            best = best[: max(count, reranking.candidates)]
            best = best[reranking.order(row, items[best], np.asarray(ranking.values)[best], count)]
        best = best[:count]
        return pl.DataFrame(self._columns(ranking, items, best)), ranking.note

    def vectors(self) -> dict[Entity, Floats]:
        """Return the outcome network's vectors of users, float32[U,D], and of items, float32[I,D], in order of rows.

        A row of NaN is that of an id which the run did not see. Raises RequestError where the run has no towers.
        """
        from causalrec.learners.id_vectors import id_vectors

        prepared, fitted = self.prepared, self.prepared.train
        if self.record.selection.folds > 1:
            fitted = fitted.concatenate(prepared.validation)
        with read_only():
            return id_vectors(self.predictor, prepared.features, fitted)

    def score(self) -> tuple[ScoreRecord, ...]:
        """Return the model's scores computed again on the slices of the run, as its record holds them."""
        rows = [data for chosen in select_slices(self.config, self.prepared).values() for data in chosen]
        with read_only():
            scores, _ = score_predictor(self.config, self.prepared, rows, self.predictor)
        return tuple(score.as_record() for score in scores)

    @cached_property
    def ids(self) -> IdRows:
        """The rows of users and items by their raw ids."""
        return IdRows(self.prepared.dataset, self.config.trial is not None)

    @cached_property
    def value_name(self) -> str:
        """What the run ranks by is called: `predicted`, `effect` or `score`."""
        nothing = np.zeros(1, np.int64)
        return self._rank(nothing, nothing, 1, values_alone=True).column

    def predict_rows(self, user: Ints, item: Ints, treatment: int = 1) -> Doubles:
        """Return what the run ranks pairs by, float64[N].

        Args:
            user: int64[N], rows of users, of each of whom the model knows something.
            item: int64[N], rows of items.
            treatment: the arm whose effect is meant, from 1.
        """
        return np.asarray(self._rank(user, item, treatment, values_alone=True).values, np.float64)

    def _rank(self, user: Ints, item: Ints, treatment: int, *, values_alone: bool = False) -> Ranking:
        task, pairs = self.config.components.task, (user, item, treatment)
        ranking = task.rank(self.config, self.prepared, self.predictor, *pairs, values_alone=values_alone)
        if not np.isfinite(np.asarray(ranking.values, np.float64)).all():
            raise DataError(f"{self.config.folder}: predicts what is no number; train it again with --rerun")
        return ranking

    def check_pairs_suffice(self) -> None:
        """Raise RequestError where the model reads a column of rows: no user and item alone have one."""
        learner, card = self.config.components.learner, self.prepared.dataset.card
        view = learner.columns_read(self.prepared.plan.views) if learner else ()
        names = ", ".join(column.name for column in card.row_columns if column.name in view)
        if names:
            raise RequestError(
                f"{self.config.folder}: its model reads {names}, which a moment has, not a user and an item; recommend "
                f"from a run whose graph leaves it out"
            )

    def check_treatment(self, treatment: int) -> None:
        """Raise RequestError where the data have no such arm."""
        card = self.prepared.dataset.card
        arms = max(len(card.arms), 1)
        if not 1 <= treatment <= arms:
            raise RequestError(f"arm {treatment}: {card.name} has the treatments 1..{arms}")

    def score_catalogue(self, users: Ints, treatment: int = 1) -> Doubles:
        """Return what the run ranks all items by for rows of users int64[M], float64[M,I]; items it has met are too.

        `treatment`: the arm whose effect is meant, from 1. Raises RequestError where the model knows nothing of a user.
        """
        self.check_pairs_suffice()
        self.check_treatment(treatment)
        for row in self.unknown_users(users)[:1]:
            self._check_user(int(row))
        items = self.prepared.dataset.logged.num_items
        pairs = np.repeat(users, items), np.tile(np.arange(items), len(users))
        values = self._rank(*pairs, treatment, values_alone=True).values
        return np.asarray(values, np.float64).reshape(len(users), items)

    def unknown_users(self, rows: Ints) -> Ints:
        """Return those rows of users, each once, of whom the model knows nothing: no training row, and no column."""
        if "user" not in self.prepared.features.ids:
            return np.zeros(0, np.int64)
        cold = np.setdiff1d(rows, self.prepared.train.users)
        return np.array([row for row in cold if not self._reads_more_than_ids(int(row))], np.int64)

    def _check_user(self, row: int) -> None:
        if not len(self.unknown_users(np.array([row]))):
            return
        ids = self.prepared.dataset.user_ids
        raise RequestError(
            f"user {row if ids is None else ids[row]}: has no training row, and the model knows users by their id "
            f"alone; choose a user with a history, or train a model that reads columns of the user"
        )

    def is_met(self, row: int) -> bool:
        """Whether the user of a row of the user table has a training row."""
        return bool((self.prepared.train.users == row).any())

    def user_row(self, user: RawId) -> int:
        """Return the row of a user's raw id; raise RequestError where the data have no such user."""
        rows = self.ids.rows("user", user)
        if len(rows) != 1:
            raise RequestError(f"{len(rows)} users: items are recommended to one user at a time")
        return int(rows[0])

    def _reads_more_than_ids(self, row: int) -> bool:
        """Whether the model reads a column that tells of the user, be it of numbers, of pairs or of text."""
        prepared, config = self.prepared, self.config
        features = prepared.features
        if features.user_block.shape[1] or features.user_levels is not None or features.pairs:
            return True
        if "head" in config.unread or not _reads_profile(config):
            return False
        phrases, view = config.components.dataset.user_text, prepared.plan.views.outcome
        return bool(texts_of(prepared.dataset.user_table[row : row + 1], phrases, view)[0].strip())

    def _items_left(self, user: RawId, row: int, include_met: bool) -> Ints:
        """Return the items to rank: those the user was not exposed to in training and validation, unless all are."""
        items = np.arange(self.prepared.dataset.logged.num_items)
        if include_met or len(items) == 1:
            return items
        logs = (self.prepared.train, self.prepared.validation)
        met = [log.item[(log.users == row) & (log.treatment > 0)] for log in logs]
        left: Ints = np.setdiff1d(items, np.concatenate(met))
        if not len(left):
            raise RequestError(f"user {user}: has met every item; --include-seen (include_met=True) ranks them too")
        return left

    def _count_left(self, left: int) -> str:
        """Say how many items are left to rank, and what may be asked for."""
        items = "1 item" if left == 1 else f"{left} items"
        met = self.prepared.dataset.logged.num_items - left
        further = f", or rank the {met} met too: --include-seen (include_met=True)" if met else ""
        return f"{items} left to rank; ask for at most {left}{further}"

    def _columns(self, ranking: Ranking, items: Ints, best: Ints) -> dict[str, list[str] | Doubles]:
        """Return the columns of the best items: ids, a text, the number, its interval, outcomes without and with."""
        rows, ids = items[best], self.prepared.dataset.item_ids
        columns: dict[str, list[str] | Doubles] = {"item": [str(row if ids is None else ids[int(row)]) for row in rows]}
        for text in _item_texts(self.prepared):
            columns[text.name] = [str(text[int(row)]) for row in rows]
        columns[ranking.column] = np.asarray(ranking.values, np.float64)[best]
        for name, bound in zip(("low", "high"), ranking.interval or (), strict=False):
            columns[name] = np.asarray(bound, np.float64)[best]
        for name, outcome in zip(("without", "with"), ranking.outcomes or (), strict=False):
            columns[name] = np.asarray(outcome, np.float64)[best]
        return columns


def _reads_profile(config: ExperimentConfig) -> bool:
    """Whether the encoder reads a text of the user: it says so by `profile`, or among the sides of `user`."""
    encoder = config.encoder
    sides = encoder.setting("user") if "user" in encoder.keyword_names else ()
    if "profile" in encoder.keyword_names and encoder.setting("profile"):
        return True
    return sides is None or (isinstance(sides, tuple | list) and "profile" in sides)  # None: all that the view gives


def _item_texts(prepared: PreparedData) -> list[pl.Series]:
    """Return the column that tells items to a reader: the title, else the first text; none where there is no text."""
    names = [
        column.name for column in prepared.dataset.card.columns if (column.entity, column.kind) == ("item", "text")
    ]
    shown = "title" if "title" in names else names[0] if names else None
    return [] if shown is None else [prepared.dataset.item_table[shown]]
