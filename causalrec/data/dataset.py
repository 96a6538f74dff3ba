"""A loaded data set: its logs, the tables of its columns, and what a simulation knows of the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from causalrec.data.card import Column, DatasetCard
from causalrec.data.contexts import ActionDistribution, ActionRewards
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairColumn
from causalrec.data.truth import Oracle, PotentialOutcomes
from causalrec.errors import DataError
from causalrec.types import Entity, Vectors


@dataclass(frozen=True)
class CausalDataset:
    """A loaded data set: the logged part, the randomised part where there is one, and the tables of its columns.

    Attributes:
        card: What the data set is; its columns of rows stand in each log.
        logged: The logged part.
        user_table: U rows, row = id; columns are named as graph nodes.
        item_table: I rows, row = id.
        randomised: The randomised part, None without one.
        pair_features: The columns of pairs, by name.
        item_vectors: Float arrays [I,D] of the item columns of kind `vector` (`data/vectors.py`), which no table holds;
            a row of NaN or of zeros is missing.
        user_vectors: Float arrays [U,D] of the user columns of that kind, likewise.
        oracle: The truth of a semi-synthetic data set.
        potential: Of simulated effects.
        logging_policy: Contexts of rounds -> the probability of each action under the policy that wrote `logged`,
            float64[B,A]; None where rows at most hold that of their own action.
        context_oracle: Contexts of rounds -> the true mean reward of each action, float64[B,A], where a simulation
            knows it: the truth of any policy's value on these rounds.
        policies: Further policies that come with the data, by name.
        policy_logs: Rounds that these wrote themselves, by name: their mean reward is the policy's value in them.
        knowledge: What is known of items beside the log, as triples; None without a graph.
        raw_sha256: Of the raw files as read, by name.
        user_ids: [U], the ids of the raw files, any dtype, row = id of the log; None where the files name none.
        item_ids: [I], likewise.
    """

    card: DatasetCard
    logged: InteractionLog
    user_table: pl.DataFrame
    item_table: pl.DataFrame
    randomised: InteractionLog | None = None
    pair_features: Mapping[str, PairColumn] = field(default_factory=dict)
    item_vectors: Mapping[str, Vectors] = field(default_factory=dict)
    user_vectors: Mapping[str, Vectors] = field(default_factory=dict)
    oracle: Oracle | None = None
    potential: PotentialOutcomes | None = None
    logging_policy: ActionDistribution | None = None
    context_oracle: ActionRewards | None = None
    policies: Mapping[str, ActionDistribution] = field(default_factory=dict)
    policy_logs: Mapping[str, InteractionLog] = field(default_factory=dict)
    knowledge: KnowledgeGraph | None = None
    raw_sha256: Mapping[str, str] = field(default_factory=dict)
    user_ids: pl.Series | None = None
    item_ids: pl.Series | None = None

    def __post_init__(self) -> None:
        expected = (self.logged.num_users, self.logged.num_items)
        if (len(self.user_table), len(self.item_table)) != expected:
            raise DataError(
                f"{self.card.name}: tables have {len(self.user_table)} users and {len(self.item_table)} items, "
                f"the log {expected[0]} and {expected[1]}; give every id one row"
            )
        sides: tuple[tuple[Entity, int], ...] = (("user", expected[0]), ("item", expected[1]))
        for side, count in sides:
            self._check_vectors(side, count)
        if self.knowledge is not None and len(self.knowledge.item_entity) != expected[1]:
            raise DataError(
                f"{self.card.name}: {self.knowledge.name} links {len(self.knowledge.item_entity)} items, but there are "
                f"{expected[1]}; give every item an entity, or -1"
            )
        for entity, ids, count in zip(("user", "item"), (self.user_ids, self.item_ids), expected, strict=True):
            if ids is not None:
                self._check_raw_ids(entity, ids, count)
        for column in self.card.row_columns:
            self._check_row_column(column)

    def training_side(self, train: InteractionLog) -> CausalDataset:
        """Return what may be read while fitting: training rows as its log, no randomised part and no truth."""
        return replace(
            self, logged=train, randomised=None, oracle=None, potential=None, context_oracle=None, policy_logs={}
        )

    def vectors_of(self, entity: Entity) -> Mapping[str, Vectors]:
        """Return the vectors of users or of items, by column."""
        return self.item_vectors if entity == "item" else self.user_vectors

    @property
    def tables(self) -> Mapping[Entity, pl.DataFrame]:
        """The tables of users and of items."""
        return {"user": self.user_table, "item": self.item_table}

    def _check_vectors(self, entity: Entity, count: int) -> None:
        for name, vectors in self.vectors_of(entity).items():
            if len(vectors) != count:
                raise DataError(
                    f"{self.card.name}: {name} has {len(vectors)} rows of vectors, but there are {count} {entity}s; "
                    f"give one row per {entity}, in {entity} order"
                )

    def _check_raw_ids(self, entity: str, ids: pl.Series, count: int) -> None:
        name = f"{self.card.name}: {entity}_ids"
        if len(ids) != count:
            raise DataError(
                f"{name} has {len(ids)} raw ids, but there are {count} {entity}s; give each {entity} one, in order"
            )
        if (odd := ids.is_null() | ids.is_duplicated()).any():
            row = int(odd.arg_max() or 0)
            raise DataError(
                f"{name}: row {row}: {ids[row]!r} is missing or not the only one; give each {entity} its own"
            )

    def _check_row_column(self, column: Column) -> None:
        for log in (self.logged, self.randomised):
            if log is None:
                continue
            if column.name not in log.columns:
                raise DataError(
                    f"{self.card.name}: {log.name} has no column {column.name}, which the card calls one of each row; "
                    f"hand it over in InteractionLog.columns"
                )
            if column.kind == "numeric" and log.columns[column.name].dtype.kind == "U":
                raise DataError(
                    f"{self.card.name}: {log.name}: column {column.name} is numeric on the card but holds text; give "
                    f"numbers, or call it a category"
                )
