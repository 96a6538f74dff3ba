"""What is known of actions beside their ids: categories, vectors (of texts too), and clusters of these."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from causalrec.config.schema import ExperimentConfig
from causalrec.data.card import Column
from causalrec.data.dataset import CausalDataset
from causalrec.encoders.representation import FrozenTextEncoder, column_vectors
from causalrec.estimators.policy_value.rounds import ActionFeatures, RoundsInput
from causalrec.learners.table_columns import frozen_text_encoder
from causalrec.types import Doubles, Ints

OF_VECTORS: frozenset[RoundsInput] = frozenset({"vectors", "cluster"})


def action_features(
    config: ExperimentConfig, dataset: CausalDataset, wanted: Collection[RoundsInput], clusters: int
) -> ActionFeatures:
    """Return what estimators read of actions.

    Vectors are those of the items' vector columns, and of their text columns where the encoder reads text: a language
    model as it was pretrained. Categories are the items' category columns.

    Args:
        config: of the job.
        dataset: whose items are the actions.
        wanted: inputs that estimators read; vectors that none reads are not made.
        clusters: of the vectors, at most one an action.
    """
    columns = [column for column in dataset.card.columns if column.entity == "item"]
    names = tuple(column.name for column in columns if column.kind == "category")
    categories = [np.unique(dataset.item_table[name].to_numpy().astype(str), return_inverse=True)[1] for name in names]
    actions = dataset.logged.num_items
    vectors = np.zeros((actions, 0))
    if OF_VECTORS & set(wanted):
        vectors = _vectors(dataset, columns, frozen_text_encoder(config))
    return ActionFeatures(
        categories=np.stack(categories, 1).astype(np.int64) if categories else np.zeros((actions, 0), np.int64),
        category_names=names,
        vectors=vectors,
        cluster=_clusters(vectors, clusters) if vectors.shape[1] and "cluster" in wanted else None,
    )


def _vectors(dataset: CausalDataset, columns: Collection[Column], text_encoder: FrozenTextEncoder | None) -> Doubles:
    """Return the columns' vectors beside each other, float64[A,D]; a missing one is the mean of the others."""
    blocks = []
    for column in columns:
        if (read := column_vectors(dataset, column, text_encoder)) is not None:
            vectors, present = read
            blocks.append(np.where(present[:, None], vectors, vectors[present].mean(0)).astype(np.float64))
    return np.concatenate(blocks, 1) if blocks else np.zeros((dataset.logged.num_items, 0))


def _clusters(vectors: Doubles, count: int) -> Ints:
    """Return the cluster of each action by k-means, from the same start every time."""
    from scipy.cluster.vq import kmeans2

    _, label = kmeans2(vectors, min(count, len(vectors)), minit="++", rng=np.random.default_rng(0))
    return np.asarray(np.unique(label, return_inverse=True)[1], np.int64)
