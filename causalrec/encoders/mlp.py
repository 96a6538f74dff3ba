"""A perceptron over fixed vectors of user and item: an encoder without ids."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.encoders.base import AbstractPairEncoder, EncoderInputs, Submodel, affine, user_ids
from causalrec.encoders.fusion import present_rows
from causalrec.encoders.language.checksums import key_of
from causalrec.errors import RequestError
from causalrec.types import Batch, Count, Entity, Vectors

KEY_OF_SIDE: Mapping[Entity, str] = {"user": "user_vectors", "item": "vectors"}


class VectorMLP(AbstractPairEncoder):
    """Pair vector = `W ReLU(.. ReLU(W_1 [u; v] + b_1) ..) + b` of fixed vectors u of the user and v of the item.

    Vectors are those of the outcome view, of each side one after another, of each file centred and divided by one
    number, so that its widest column has variance 1 over the ids that have a vector; they are not trained. One number,
    for the factors of a regularised factorisation are noise beside its biases: each scaled to variance 1, they cost .03
    of AUC on half of Coat (.706 in place of .735, two seeds). An id without a vector is read at the mean, zeros. With
    `product` the layers read `[u; v; u * v]`, of which the score of a factorisation is a linear function. Source: the
    backbone of SuperDR (NeurIPS 2025) is a perceptron over fixed vectors of 32 factors, as `causalrec vectors` writes
    them; layer sizes are not in the text we had. Raises RequestError where the outcome view has no vectors of a side,
    and where `product` meets vectors of two widths.

    Args:
        inputs: what the run hands it.
        hidden: sizes of the hidden layers, from the first; empty: a linear model of the vectors.
        width: size of the pair vector.
        product: whether the element-wise product is read too.
    """

    reads_vectors = True
    vectorizable = True

    def __init__(
        self, inputs: EncoderInputs, *, hidden: tuple[Count, ...] = (64,), width: Count = 16, product: bool = False
    ) -> None:
        super().__init__()
        self.user_vectors = FixedVectors(inputs.user_vectors, "user")
        self.item_vectors = FixedVectors(inputs.item_vectors, "item")
        user_width, item_width = self.user_vectors.width, self.item_vectors.width
        if product and user_width != item_width:
            raise RequestError(
                f"encoder.product=true: user vectors have {user_width} numbers, item vectors {item_width}; take both "
                f"from one run (`causalrec vectors`), or set encoder.product=false"
            )
        self.product = product
        sizes = [user_width + item_width + (user_width if product else 0), *hidden, width]
        self.layers = nn.ModuleList(nn.Linear(size, after) for size, after in itertools.pairwise(sizes))

    @classmethod
    def submodels(cls, settings: Mapping[str, object], columns: Mapping[str, frozenset[str]]) -> Mapping[str, Submodel]:
        return {"linear": Submodel(settings={"hidden": ()})} if settings["hidden"] else {}

    def pairs(self, batch: Batch) -> Tensor:
        user, item = self.user_vectors(user_ids(batch)), self.item_vectors(batch.item)
        value = torch.cat([user, item, *([user * item] if self.product else [])], -1)
        for k, layer in enumerate(self.layers):
            value = affine(layer, value if k == 0 else value.relu())  # type: ignore[arg-type]
        return value


class FixedVectors(nn.Module):
    """Looks up `[..., width]` of ids: all vectors of one side, standardised, zeros where there is none.

    Args:
        vectors: [N,D] by column.
        entity: whose they are.
    """

    def __init__(self, vectors: Mapping[str, Vectors], entity: Entity) -> None:
        super().__init__()
        if not vectors:
            raise RequestError(
                f"encoder: the outcome view has no vectors of the {entity}; name a file under "
                f"dataset.{KEY_OF_SIDE[entity]}, and its node, a cause of the outcome, in the graph"
            )
        values = np.concatenate([standardise(each) for each in vectors.values()], axis=1)
        self.width = values.shape[1]
        self.register_buffer("values", torch.from_numpy(values), persistent=False)
        self.stamp = key_of([*values.shape, float(np.abs(values).sum(dtype=np.float64))])

    def forward(self, ids: Tensor) -> Tensor:
        return self.get_buffer("values")[ids]

    def extra_repr(self) -> str:
        return f"values={self.stamp}"


def standardise(values: Vectors) -> np.ndarray:
    """Return float32[N,D]: columns of mean 0 over the rows that have a vector, all divided by the largest of their
    standard deviations; rows without a vector are 0.

    >>> standardise(np.array([[1.0, 5.0], [3.0, 6.0], [np.nan, np.nan]])).tolist()
    [[-1.0, -0.5], [1.0, 0.5], [0.0, 0.0]]
    """
    there = present_rows(values).numpy()
    rows = np.asarray(values[there], np.float64)
    standardised, widest = np.zeros(values.shape, np.float32), rows.std(0).max() if len(rows) else 0.0
    standardised[there] = (rows - rows.mean(0)) / (widest or 1.0) if len(rows) else rows
    return standardised
