"""An encoder's vectors as numbers for a learner from a table: principal components of frozen vectors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from causalrec.data.card import Column
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.encoders.language.cache import embeddings
from causalrec.encoders.language.folder import model_folder
from causalrec.encoders.language.model import Precision
from causalrec.encoders.language.pooling import Pooling
from causalrec.errors import RequestError
from causalrec.types import Bools, Floats, Ints

ROUNDING = 1e-11  # of a variance, against the largest: float32 holds 7 digits
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrozenTextEncoder:
    """A frozen language model as a function of texts: the settings of an encoder, and the folders of models and
    vectors.

    Attributes:
        model: source, folder or hub name of the language model.
        pooling: how the states of the tokens become one vector.
        max_tokens: number of tokens at which texts are cut.
        layers: number of the model's first layers that are used; None: all.
        precision: number type of the model.
        data: folder of raw files, models among them.
        cache: folder in which vectors are stored.
    """

    model: str | Source
    pooling: Pooling
    max_tokens: int
    layers: int | None
    precision: Precision
    data: Path
    cache: Path

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors float32[N,D]."""
        return embeddings(
            texts,
            model_folder(self.model, self.data, self.cache),
            pooling=self.pooling,
            max_tokens=self.max_tokens,
            layers=self.layers,
            precision=self.precision,
            cache=self.cache,
        )


def represent_columns(
    dataset: CausalDataset,
    view: Sequence[str],
    text_encoder: FrozenTextEncoder | None,
    components: int,
    fitted: InteractionLog,
) -> Mapping[str, Floats]:
    """Return the first principal components of each text or vector column of a view, float32[rows,components] by name.

    Texts are read one column at a time by a language model that stays as it was pretrained. Each component has unit
    variance over the rows in `fitted`. No outcome is read, so that intervals of a learner that reads the components
    stay valid. A missing text or vector is 0, the mean.

    Args:
        dataset: the data set whose tables and vectors are read.
        view: names of columns.
        text_encoder: the language model; None: text columns are left out.
        components: number of components of each column.
        fitted: the rows whose users and items the components are computed from.
    """
    components_of: dict[str, Floats] = {}
    for name in view:
        column = dataset.card.column(name)
        vectors = column_vectors(dataset, column, text_encoder)
        if vectors is not None:
            used = np.unique(fitted.users if column.entity == "user" else fitted.item)
            components_of[name] = principal_components(*vectors, used, components, name)
    return components_of


def principal_components(vectors: Floats, present: Bools, used: Ints, components: int, name: str) -> Floats:
    """Return `vectors` on their first principal components, float32[N,components], whitened.

    Components are those of the rows that are both `used` and `present`. Raises RequestError where these rows have fewer
    dimensions than `components`.

    Args:
        vectors: float[N,D].
        present: which rows have a vector, bool[N]; the others are read as the mean.
        used: indices of the rows to compute the components from, int64[K].
        components: number of components.
        name: name of the column, for messages.
    """
    from sklearn.decomposition import PCA

    learned_rows = used[present[used]]
    dimensions = rank(vectors[learned_rows])
    if components > dimensions:
        raise RequestError(
            f"representation.components={components}: {name} has {dimensions} dimensions in the rows learnt from; "
            f"set representation.components={max(dimensions, 1)} or less, or leave {name} out of the graph"
        )
    fitted = PCA(components, whiten=True, svd_solver="full").fit(vectors[learned_rows].astype(np.float64))
    LOGGER.info(
        "%s: %d components hold %.0f %% of the variance of its vectors",
        name,
        components,
        100 * fitted.explained_variance_ratio_.sum(),
    )
    filled = np.where(present[:, None], vectors, fitted.mean_).astype(np.float64)
    scores: Floats = fitted.transform(filled).astype(np.float32)
    return scores


def rank(vectors: Floats) -> int:
    """Return in how many dimensions rows [N,D] vary, beyond the rounding of float32.

    >>> rank(np.array([[1, 1, 5], [2, 2, 5], [3, 3, 5]], np.float32))
    1
    """
    if len(vectors) < 2:
        return 0
    variances = np.linalg.eigvalsh(np.cov(vectors.T.astype(np.float64)).reshape(vectors.shape[1], -1))
    return int((variances > variances[-1] * ROUNDING).sum()) if variances[-1] > 0 else 0


def column_vectors(
    dataset: CausalDataset, column: Column, text_encoder: FrozenTextEncoder | None
) -> tuple[Floats, Bools] | None:
    """Return the vector of each row of a column, and whether it has one; None of a column that nothing reads."""
    if column.kind == "vector":
        vectors = np.asarray(dataset.vectors_of("user" if column.entity == "user" else "item")[column.name], np.float32)
        return vectors, np.isfinite(vectors).all(1) & (vectors != 0).any(1)
    if column.kind != "text" or text_encoder is None:
        return None
    table = dataset.user_table if column.entity == "user" else dataset.item_table
    texts = ["" if text is None else str(text) for text in table[column.name]]
    return text_encoder(texts), np.array([bool(text.strip()) for text in texts])
