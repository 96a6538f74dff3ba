"""What is known of actions beside their ids: categories, vectors (of texts too), and clusters of these."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl
from numpy.typing import NDArray

from causalrec.config.schema import ExperimentConfig
from causalrec.data.text import texts_of
from causalrec.encoders.representation import column_vectors
from causalrec.estimators.policy_value.rounds import ActionFeatures, RoundsInput
from causalrec.learners.table_columns import frozen_text_encoder
from causalrec.prepared import PreparedData
from causalrec.types import Bools, Doubles, Floats, Ints

Texts = NDArray[np.str_]

OF_VECTORS: frozenset[RoundsInput] = frozenset({"vectors", "cluster"})
OF_CATEGORIES: frozenset[str] = frozenset({"category", "multi_hot"})


def action_features(
    config: ExperimentConfig, prepared: PreparedData, wanted: Collection[RoundsInput], clusters: int
) -> ActionFeatures:
    """Return what estimators read of actions.

    Vectors are those of the items' vector columns, and of their texts where the encoder reads text: a language model as
    it was pretrained reads what it reads for encoders, the phrases of the data set over the columns of the outcome
    view, or each text column where there are no phrases. A placebo that deals texts or vectors anew deals these too.
    Categories are the items' category columns; of a column of several levels, each set of levels is one category.

    Args:
        config: of the job.
        prepared: whose items are the actions.
        wanted: inputs that estimators read; vectors that none reads are not made.
        clusters: of the vectors, at most one an action.
    """
    dataset = prepared.dataset
    columns = [column for column in dataset.card.columns if column.entity == "item" and column.kind in OF_CATEGORIES]
    names = tuple(column.name for column in columns)
    categories = [np.unique(_levels(dataset.item_table[name]), return_inverse=True)[1] for name in names]
    actions = dataset.logged.num_items
    vectors = np.zeros((actions, 0))
    if OF_VECTORS & set(wanted):
        vectors = _vectors(config, prepared)
    return ActionFeatures(
        categories=np.stack(categories, 1).astype(np.int64) if categories else np.zeros((actions, 0), np.int64),
        category_names=names,
        vectors=vectors,
        cluster=_clusters(vectors, clusters) if vectors.shape[1] and "cluster" in wanted else None,
    )


def _levels(values: pl.Series) -> Texts:
    """Return what tells the levels of a column apart, str[A]; the order within a set of levels is none."""
    texts = [", ".join(sorted(map(str, v))) if isinstance(v, list) else str(v) for v in values.to_list()]
    return np.array(texts)


def _vectors(config: ExperimentConfig, prepared: PreparedData) -> Doubles:
    """Return all vectors of items beside each other, float64[A,D]; a missing one is the mean of the others."""
    dataset, phrases, read_text = (
        prepared.encoder_data,
        config.components.dataset.item_text,
        frozen_text_encoder(config),
    )
    columns = [column for column in dataset.card.columns if column.entity == "item"]
    blocks = []
    if phrases and read_text is not None:
        texts = texts_of(dataset.item_table, phrases, prepared.plan.views.outcome)
        columns = [column for column in columns if column.kind == "vector"]
        if any(texts):
            blocks.append(_fill(read_text(texts), np.array([bool(text) for text in texts])))
    for column in columns:
        if (read := column_vectors(dataset, column, read_text)) is not None:
            blocks.append(_fill(*read))
    return np.concatenate(blocks, 1) if blocks else np.zeros((dataset.logged.num_items, 0))


def _fill(vectors: Floats, present: Bools) -> Doubles:
    return np.where(present[:, None], vectors, vectors[present].mean(0)).astype(np.float64)


def _clusters(vectors: Doubles, count: int) -> Ints:
    """Return the cluster of each action by k-means, from the same start every time."""
    from scipy.cluster.vq import kmeans2

    distinct = len(np.unique(vectors, axis=0))  # a cluster more than these would be empty
    _, label = kmeans2(vectors, min(count, distinct), minit="++", rng=np.random.default_rng(0))
    return np.asarray(np.unique(label, return_inverse=True)[1], np.int64)
